// Flaky fails in the way its event asks for.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/spillway-dev/spillway/examples/functions/internal/executionlog"
)

type event struct {
	Mode string `json:"mode"` // "", "error", "panic", "exit", "oversized" or "hang"
}

type answer struct {
	OK   bool   `json:"ok"`
	Fill string `json:"fill,omitempty"`
}

func main() { lambda.Start(flaky) }

func flaky(ctx context.Context, e event) (answer, error) {
	end, err := executionlog.Begin(ctx)
	if err != nil {
		return answer{}, err
	}
	defer end()
	switch e.Mode {
	case "":
		return answer{OK: true}, nil
	case "error":
		return answer{}, errors.New("flaky was asked to fail")
	case "panic":
		panic("flaky was asked to panic")
	case "exit":
		end() // exiting runs nothing that was deferred
		os.Exit(7)
	case "oversized":
		return answer{OK: true, Fill: strings.Repeat("x", 6<<20)}, nil
	case "hang":
		time.Sleep(time.Hour) // the time limit ends it
	}
	return answer{}, fmt.Errorf("mode is %q; allowed: error, panic, exit, oversized, hang or nothing", e.Mode)
}
