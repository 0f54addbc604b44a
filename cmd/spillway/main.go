// Command spillway runs functions on machines that are already paid for and
// lets them overflow to a public cloud, as far as policy, quota and budget allow.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once: the ledger survives that.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: it returns the exit code and ends when ctx does.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	command, err := execute(ctx, streams{stdin, stdout, stderr}, args)
	return complain(stderr, command, err)
}

// streams are the program's own input and outputs.
type streams struct {
	in       io.Reader
	out, err io.Writer
}
