// Command main is the conformance suite's function as a Lambda function.
package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/spillway-dev/spillway/pools/pooltest/probe"
)

type handler struct{}

// Invoke implements lambda.Handler, which leaves the payload's bytes alone.
func (handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var custom map[string]string
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		custom = lc.ClientContext.Custom
	}
	// The pool ends a process that hangs; the deadline in ctx must not do it first.
	answer, err := probe.Run(context.WithoutCancel(ctx), custom, payload, os.Stderr, die)
	if errors.Is(err, probe.ErrExit) {
		die()
	}
	return answer, err
}

func die() { os.Exit(3) }

func main() {
	switch how := os.Getenv(probe.StartVariable); {
	case how == "exit":
		die()
	case strings.HasPrefix(how, "http://"):
		_ = probe.Hold(context.Background(), how)
		die()
	}
	lambda.Start(handler{})
}
