// Command benchcluster measures Spillway on a real Kubernetes of one node on this
// machine, beside what Kubernetes itself does there, and prints tables in Markdown.
// Ratios within a run are what to compare: absolute times depend on the machine.
//
//	go run ./test/benchcluster                 everything, about half an hour
//	go run ./test/benchcluster -only overflow  one section
//
// It needs root and what test/cluster/install installs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// section is one part of the tables.
type section struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

var sections = []section{
	{"coldstart", coldStartSection},
	{"tasks", tasksSection},
	{"overflow", overflowSection},
	{"objects", objectsSection},
	{"offline", offlineSection},
}

// parts are of sections, and run only where they are named.
var parts = []section{
	{"operator", operatorSection},
	{"pressure", offlinePart((*offline).pressures)},
	{"delay", offlinePart((*offline).delays)},
	{"use", offlinePart((*offline).utilisation)},
}

// bench is one run.
type bench struct {
	out     io.Writer
	samples int // of cold starts
	tasks   int
	calls   int // that overflow
	turns   int // with and without offline work

	jobTakes time.Duration // of offline work
	*world
}

func main() {
	b := &bench{out: os.Stdout}
	only := flag.String("only", "", "run these `sections`, with commas between: coldstart, tasks, overflow, objects, offline; operator is a part of objects; pressure, delay and use of offline")
	flag.IntVar(&b.samples, "samples", 60, "`number` of cold starts, and of tasks one after another, of each kind")
	flag.IntVar(&b.tasks, "tasks", 200, "`number` of short tasks of each kind that come at once")
	flag.IntVar(&b.calls, "calls", 10_000, "`number` of calls under load that overflow")
	flag.IntVar(&b.turns, "turns", 5, "`number` of runs with and without offline work, in turn")
	flag.DurationVar(&b.jobTakes, "jobs", 10*time.Minute, "`how long` a Job of offline work takes while online pods' delay is measured")
	flag.Parse()
	ctrllog.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "benchcluster:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, only string) (err error) {
	wanted := sections
	if only != "" {
		wanted = nil
		all := slices.Concat(sections, parts)
		for name := range strings.SplitSeq(only, ",") {
			i := slices.IndexFunc(all, func(s section) bool { return s.name == name })
			if i < 0 {
				return fmt.Errorf("there is no section %q", name)
			}
			wanted = append(wanted, all[i])
		}
	}
	fmt.Fprintf(b.out, "%s/%s, %d CPUs, %s; load before the run %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), load())
	if b.world, err = newWorld(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, s := range wanted {
		fmt.Fprintf(os.Stderr, "benchcluster: %s …\n", s.name)
		if err := s.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(b.out, "\nLoad after it: %s.\n", load())
	}
	return nil
}

// load is the machine's, over 1, 5 and 15 minutes.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// heading starts a table.
func (b *bench) heading(title string, columns ...string) {
	fmt.Fprintf(b.out, "\n### %s\n\n| %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
}

func (b *bench) row(cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = fmt.Sprint(c)
	}
	fmt.Fprintf(b.out, "| %s |\n", strings.Join(text, " | "))
}

// spread prints a row of what was measured: samples, p50, p90, p99, most.
func (b *bench) spread(name string, times []time.Duration, more ...any) {
	b.row(append([]any{name, len(times), millis(quantile(times, 50)), millis(quantile(times, 90)), millis(quantile(times, 99)), millis(quantile(times, 100))}, more...)...)
}

var spreadColumns = []string{"", "samples", "p50 ms", "p90 ms", "p99 ms", "most ms"}

// quantile is by nearest rank; percent of 1 to 100.
func quantile(times []time.Duration, percent int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

func millis(d time.Duration) string {
	switch ms := float64(d) / 1e6; {
	case ms < 100:
		return fmt.Sprintf("%.1f", ms)
	default:
		return fmt.Sprintf("%.0f", ms)
	}
}

func times(a, b time.Duration) string { return fmt.Sprintf("%.0f ×", float64(a)/float64(max(b, 1))) }
