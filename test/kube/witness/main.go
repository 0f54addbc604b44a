// Witness is a function that tells a test when it runs, and where.
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	ID     string `json:"id"`
	Tell   string `json:"tell"` // URL that is told; empty tells nobody
	Millis int    `json:"millis"`
	Exit   bool   `json:"exit"` // die instead of answering
	// Version is which it is; only in answers.
	Version string `json:"version,omitempty"`
}

// client waits as long as the context of its call lets it.
var client = &http.Client{Transport: &http.Transport{}}

func main() {
	if os.Getenv("WITNESS") == "crash" {
		fmt.Fprintln(os.Stderr, "witness: told to crash")
		os.Exit(3)
	}
	lambda.Start(run)
}

func run(ctx context.Context, e event) (event, error) {
	e.Version = lambdacontext.FunctionVersion
	if err := tell(ctx, e, "began"); err != nil {
		return e, err
	}
	select {
	case <-time.After(time.Duration(e.Millis) * time.Millisecond):
	case <-ctx.Done():
		return e, ctx.Err()
	}
	if e.Exit {
		os.Exit(4)
	}
	return e, tell(ctx, e, "ended")
}

// tell returns when the test knows.
func tell(ctx context.Context, e event, what string) error {
	if e.Tell == "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.Tell+"/"+what+"?"+url.Values{"id": {e.ID}, "pod": {host}}.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
