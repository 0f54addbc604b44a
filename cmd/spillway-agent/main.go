// Command spillway-agent stands beside a function that is written for AWS Lambda.
//
// As the file bootstrap of a Tencent SCF package with the runtime CustomRuntime it
// runs the unmodified Lambda package in the folder lambda beside it:
//
//	bootstrap           this program, built with CGO_ENABLED=0
//	lambda/bootstrap    the function, and whatever belongs to it
//
// In an image, or called by a bootstrap script, it runs the program it is given:
//
//	spillway-agent node index.js
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spillway-dev/spillway/agent/scf"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code: 0 when it was told to end, 1 when SCF or the function
// failed, 2 when it was not set up to run.
func run(ctx context.Context, command, environ []string, stderr io.Writer) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(stderr, "spillway-agent: find its own folder:", err)
		return 2
	}
	config, err := scf.FromEnvironment(environ, filepath.Dir(self), command)
	if err != nil {
		fmt.Fprintln(stderr, "spillway-agent:", err)
		if errors.Is(err, scf.ErrNotSCF) {
			fmt.Fprintln(stderr, "usage: as bootstrap of an SCF package with the runtime CustomRuntime, or there: spillway-agent [PROGRAM [ARGUMENT...]]")
		}
		return 2
	}
	if err := scf.Run(ctx, config); ctx.Err() == nil {
		fmt.Fprintln(stderr, "spillway-agent:", err)
		return 1
	}
	return 0
}
