// Command record runs the demo's platform live, with its stand-ins of two clouds, at
// several loads, and writes down what happened: the recordings that the test of
// test/replay holds the simulator against.
//
//	make build functions && go run ./test/replay/record
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	programs := flag.String("programs", "bin", "`directory` that make build functions fills")
	out := flag.String("out", "test/replay/testdata", "`directory` of the recordings")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := recordAll(ctx, *programs, *out); err != nil {
		fmt.Fprintf(os.Stderr, "record: %v\n", err)
		os.Exit(1)
	}
}

func recordAll(ctx context.Context, programs, out string) error {
	programs, err := filepath.Abs(programs)
	if err != nil {
		return err
	}
	if err := writeConfig(filepath.Join(out, "conf")); err != nil {
		return err
	}
	for _, l := range loads {
		if err := recordLoad(ctx, l, programs, out); err != nil {
			return fmt.Errorf("load %s: %w", l.name, err)
		}
	}
	return nil
}

// recordLoad starts a platform of its own, so that no load inherits another's budget.
func recordLoad(ctx context.Context, l load, programs, out string) (err error) {
	s, err := newStage(programs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if left := time.Until(time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)); left < 3*time.Minute {
		return fmt.Errorf("the day ends in %s, and budgets with it: record again after midnight UTC", left.Round(time.Second))
	}
	w, err := s.start(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s: %s of calls\n", l.name, l.lasts)
	answers := l.drive(ctx, w.front, s.token)
	calls, err := w.explain(ctx, answers)
	ahead, unread := w.ahead(ctx)
	if err = errors.Join(err, unread, w.stop()); err != nil {
		return err
	}
	return s.save(ctx, l, calls, ahead, out)
}
