// Command experiments puts claims about FaaS platforms to the simulator, and writes
// what came out to docs/experiments, a page each.
//
//	go run ./test/experiments all
//	go run ./test/experiments keepalive --trace-dir DIR   # also on public traces
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// experiment is one page.
type experiment struct {
	name, claim string
	run         func(*lab) error
}

var experiments = []experiment{
	{"provisioned", "A tenth of the peak provisioned takes P99 from 2.3 s to 350 ms", provisioned},
	{"hybrid", "Hybrid is cheaper than all in the cloud, and than owning for the peak", hybrid},
	{"spot", "Spot machines and a forecast save 60 to 70 %", spot},
	{"keepalive", "Instances should be kept for one to two minutes", keepAlive},
	{"utilisation", "Sharing a platform raises the utilisation of what is owned by 40 %", utilisation},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "experiments: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("experiments", flag.ContinueOnError)
	traces := flags.String("trace-dir", "", "`directory` with public traces, one a folder; keepalive reads azure2019_1250")
	out := flags.String("out", filepath.Join("docs", "experiments"), "`directory` for the pages")
	if len(args) == 0 {
		return fmt.Errorf("which? %s, or all", names())
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	found := false
	for _, e := range experiments {
		if args[0] != e.name && args[0] != "all" {
			continue
		}
		found = true
		l := &lab{ctx: ctx, traces: *traces}
		if err := l.page(e, *out); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	if !found {
		return fmt.Errorf("%q is none of %s, all", args[0], names())
	}
	return nil
}

func names() string {
	var all []string
	for _, e := range experiments {
		all = append(all, e.name)
	}
	return strings.Join(all, ", ")
}

// lab runs simulations and takes notes.
type lab struct {
	ctx    context.Context
	traces string // directory of public traces, or empty
	notes  bytes.Buffer
	runs   int
	calls  int64
	took   time.Duration // of simulations
}

// page runs an experiment and writes its page.
func (l *lab) page(e experiment, out string) error {
	l.say("# %s?\n\n", e.claim)
	if err := e.run(l); err != nil {
		return err
	}
	flags := ""
	if l.traces != "" {
		flags = " --trace-dir DIR"
	}
	l.say("\n---\nCommand: `go run ./test/experiments %s%s`. %d simulations of %d calls in all, %s of them on a core shared with other work. Prices are those of %s. Where no other is named the seed is 1; the same build gives the same figures.\n",
		e.name, flags, l.runs, l.calls, l.took.Round(100*time.Millisecond), pricesAt.Format(time.DateOnly))
	return os.WriteFile(filepath.Join(out, e.name+".md"), l.notes.Bytes(), 0o644)
}

// progress tells people that work goes on; nobody knows how much there is.
func (l *lab) progress(calls int64, took time.Duration) {
	fmt.Fprintf(os.Stderr, "simulation %d: %d calls in %s\n", l.runs, calls, took.Round(100*time.Millisecond))
}

func (l *lab) say(format string, args ...any) { fmt.Fprintf(&l.notes, format, args...) }

// row writes one line of a table.
func (l *lab) row(cells ...any) {
	for _, c := range cells {
		l.say("| %v ", c)
	}
	l.say("|\n")
}

func (l *lab) head(titles ...string) {
	l.say("\n| %s |\n|%s\n", strings.Join(titles, " | "), strings.Repeat(" --- |", len(titles)))
}
