// Report stands for a function that mostly waits, as on a slow database.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/spillway-dev/spillway/examples/functions/internal/executionlog"
)

type event struct {
	Millis int `json:"millis"` // how long to wait; 60 if absent
}

type answer struct {
	Rows   int `json:"rows"`
	Millis int `json:"millis"`
}

func main() { lambda.Start(report) }

func report(ctx context.Context, e event) (answer, error) {
	end, err := executionlog.Begin(ctx)
	if err != nil {
		return answer{}, err
	}
	defer end()
	if e.Millis == 0 {
		e.Millis = 60
	}
	if e.Millis < 0 {
		return answer{}, fmt.Errorf("millis is %d; allowed: 0 and more", e.Millis)
	}
	select {
	case <-time.After(time.Duration(e.Millis) * time.Millisecond):
		return answer{Rows: 10 * e.Millis, Millis: e.Millis}, nil
	case <-ctx.Done():
		return answer{}, fmt.Errorf("report not finished: %w", ctx.Err())
	}
}
