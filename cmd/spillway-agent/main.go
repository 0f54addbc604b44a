// Command spillway-agent stands beside a function that is written for AWS Lambda.
//
// In a pod of our own cluster it serves the dispatcher, which alone can call it:
//
//	spillway-agent install /spillway           copies itself to /spillway/agent (init container)
//	/spillway/agent serve [-- PROGRAM ARG...]  runs the program of the image, or a package that it is sent
//	/spillway/agent ready                      exits with 0 when it serves (probe)
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
	"slices"
	"strings"
	"syscall"

	"github.com/spillway-dev/spillway/agent/scf"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run returns the exit code: 0 when it was told to end, 1 when SCF, the function or
// what it was asked for failed, 2 when it was not set up to run.
func run(ctx context.Context, arguments, environ []string, stdout, stderr io.Writer) int {
	if !onSCF(environ) && len(arguments) > 0 {
		switch arguments[0] {
		case "serve":
			return serve(ctx, arguments[1:], environ, stdout, stderr)
		case "ready":
			return ready(ctx, arguments[1:], stderr)
		case "install":
			return install(arguments[1:], stderr)
		}
	}
	return runSCF(ctx, arguments, environ, stderr)
}

// onSCF reports that every argument is part of a function's command.
func onSCF(environ []string) bool {
	return slices.ContainsFunc(environ, func(pair string) bool { return strings.HasPrefix(pair, "SCF_RUNTIME_API=") })
}

func runSCF(ctx context.Context, command, environ []string, stderr io.Writer) int {
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
			fmt.Fprintln(stderr, "       in a pod: spillway-agent install DIR | serve [--listen ADDRESS] [--dir DIR] [-- PROGRAM [ARGUMENT...]] | ready [--address ADDRESS]")
		}
		return 2
	}
	if err := scf.Run(ctx, config); ctx.Err() == nil {
		fmt.Fprintln(stderr, "spillway-agent:", err)
		return 1
	}
	return 0
}
