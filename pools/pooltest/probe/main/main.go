// Command main is the conformance suite's function as a Lambda function, or as a web
// function if there is a PORT.
package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

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
	if port := os.Getenv("PORT"); port != "" {
		server := http.Server{Addr: "127.0.0.1:" + port, Handler: http.HandlerFunc(serve), ReadHeaderTimeout: time.Minute}
		panic(server.ListenAndServe())
	}
	lambda.Start(handler{})
}

func serve(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	answer, err := probe.Run(context.WithoutCancel(r.Context()), probe.CustomOf(r.Header), payload, os.Stderr, die)
	switch {
	case errors.Is(err, probe.ErrExit):
		die()
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		_, _ = w.Write(answer)
	}
}
