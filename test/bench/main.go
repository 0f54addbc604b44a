// Command bench measures Spillway beside its peers on one machine, in one run,
// and prints a table in Markdown. Ratios within a run and CPU per request are what
// to compare: absolute times depend on the machine.
//
//	go run ./test/bench                 everything, a few minutes
//	go run ./test/bench -only dataplane one section
//	go run ./test/bench -only builds -against OTHER
//	                                    two builds of the command, side by side
//
// nginx is measured if it is installed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// section is one part of the table.
type section struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

var sections = []section{
	{"engine", engineSection},
	{"dataplane", dataPlaneSection},
	{"builds", buildsSection},
	{"coldstart", coldStartSection},
	{"chaos", chaosSection},
	{"idle", idleSection},
}

// bench is one run.
type bench struct {
	dir      string // for everything that is written
	bin      string // the spillway command
	echo     string // package directory of the echo function
	web      string // package directory of this program as a web function
	round    time.Duration
	rounds   int
	profiles string
	against  string // another build of the spillway command, or empty
}

func main() {
	role := flag.String("role", "", "run as a peer: backend or proxy (used by the bench itself)")
	target := flag.String("target", "", "with -role proxy: the backend's address")
	only := flag.String("only", "", "run one `section`: engine, dataplane, builds, coldstart, chaos or idle")
	round := flag.Duration("round", 3*time.Second, "length of one round of load")
	rounds := flag.Int("rounds", 3, "rounds of load for each peer, alternating")
	profiles := flag.String("profiles", "", "`directory` to leave CPU profiles in")
	against := flag.String("against", "", "another build of the spillway `command`, loaded in turn with this one")
	flag.Parse()
	if port := os.Getenv("PORT"); port != "" && filepath.Base(os.Args[0]) == "bootstrap" {
		*role = "backend@127.0.0.1:" + port
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *role != "" {
		exit(serveRole(ctx, *role, *target))
		return
	}
	b := &bench{round: *round, rounds: *rounds, profiles: *profiles, against: *against}
	exit(b.run(ctx, *only))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, only string) error {
	dir, err := os.MkdirTemp("", "spillway-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // function processes have their own uid
		return err
	}
	b.dir = dir
	if err := b.build(ctx); err != nil {
		return err
	}
	fmt.Printf("%s/%s, %d CPUs, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	for _, s := range sections {
		if only != "" && only != s.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s …\n", s.name)
		if err := s.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// build makes the command and the echo function.
func (b *bench) build(ctx context.Context) error {
	b.bin = filepath.Join(b.dir, "spillway")
	b.echo, b.web = filepath.Join(b.dir, "echo"), filepath.Join(b.dir, "web")
	for _, c := range [][]string{
		{"build", "-o", b.bin, "./cmd/spillway"},
		{"build", "-o", filepath.Join(b.web, "bootstrap"), "./test/bench"},
		{"build", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", filepath.Join(b.echo, "bootstrap"), "./examples/functions/echo"},
	} {
		cmd := exec.CommandContext(ctx, "go", c...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(c, " "), err, out)
		}
	}
	return nil
}

// heading starts a table.
func heading(title string, columns ...string) {
	fmt.Printf("\n### %s\n\n| %s |\n|%s\n", title, strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
}

func row(cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = fmt.Sprint(c)
	}
	fmt.Printf("| %s |\n", strings.Join(text, " | "))
}
