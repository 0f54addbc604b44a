// Command spillway-demo runs Spillway and stand-ins of two clouds on this machine,
// plays a day of two departments against them in about a minute, and then checks
// every promise against what the executors themselves wrote down.
//
//	stage ─ 2 × spillway cloud ─ spillway up ─ script of phases ─ wait for estimates
//	                                                 │
//	   summary, exit code ─ checks ─ evidence: answers, ledger, logs, clouds' bills
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/term"
)

const usage = `spillway-demo plays a day of two departments on this machine and checks the result.

It starts 'spillway cloud' twice (strict stand-ins of AWS Lambda and Tencent SCF)
and 'spillway up' on free ports, and sends more than 20,000 calls of seven functions
through the AWS SDK and plain HTTP. Meanwhile it changes the rules in the files: a
canary, a kill switch, shadow mode, a file with a mistake. Then it compares what
clients were told, what the ledger says, and what those who executed the calls wrote
down. Exit code 0: every check passed; 1: not.

  spillway-demo                    # a live view on a terminal, else a line now and then
  spillway-demo --keep             # keep the directory: configuration, logs, ledger
  spillway-demo --json demo.json   # the summary as JSON too; - for standard output

Flags:
`

// options are what the command line says.
type options struct {
	keep, plain bool
	json        string // file, "-" or ""
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. It returns the exit code: 2 for wrong flags.
func run(ctx context.Context, args []string, stdout, stderr *os.File) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if o.json != "" && o.json != "-" { // say so now rather than after the run
		f, err := os.OpenFile(o.json, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			fmt.Fprintf(stderr, "spillway-demo: --json: %v\n", err)
			return 2
		}
		_ = f.Close()
	}
	people := stdout
	if o.json == "-" {
		people = stderr
	}
	passed, err := play(ctx, o, people, stdout)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "spillway-demo: %v\n", err)
		return 1
	case !passed:
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("spillway-demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.keep, "keep", false, "keep the run's directory; it is kept anyway when something is wrong")
	flags.BoolVar(&o.plain, "plain", false, "plain lines, also on a terminal")
	flags.StringVar(&o.json, "json", "", "write the summary as JSON to this `file`; - for standard output")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "spillway-demo: %q is not wanted: there are only flags; see --help\n", flags.Arg(0))
		return o, errors.New("arguments")
	}
	return o, nil
}

// play makes a stage, runs the demo on it and says how it went. The stage is kept
// when that was asked for, or when something was wrong.
func play(ctx context.Context, o options, people *os.File, stdout io.Writer) (passed bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return false, fmt.Errorf("find the programs: %w", err)
	}
	s, err := newStage(filepath.Dir(self))
	if err != nil {
		return false, err
	}
	fmt.Fprintf(people, "spillway-demo: working in %s\n", s.dir)
	interrupted := false
	defer func() {
		if o.keep || (!interrupted && (err != nil || !passed)) {
			fmt.Fprintf(people, "kept: %s\n", s.dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(s.dir))
	}()
	live := !o.plain && term.IsTerminal(int(people.Fd()))
	summary, err := perform(ctx, s, live, people)
	if err != nil {
		interrupted = errors.Is(err, errInterrupted)
		return false, err
	}
	if err := summary.print(people, o.keep); err != nil {
		return false, err
	}
	return summary.Passed, summary.writeJSON(o.json, stdout)
}
