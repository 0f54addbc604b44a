// Package executionlog lets an example function write down that its handler was
// called, so that what really ran can be compared with what was billed.
package executionlog

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// Keys of the client context's "custom" map that name the attempt.
const (
	InvocationKey = "spillway-invocation"
	AttemptKey    = "spillway-attempt"
)

// Line is one handler call.
type Line struct {
	Invocation string `json:"invocation"`
	Attempt    int    `json:"attempt"`
}

// Record appends a Line to the file that EXECUTION_LOG names, in one write; it
// does nothing when the variable is not set. Call it first in a handler. Without
// the custom keys the Lambda request id stands for the invocation, attempt 1.
func Record(ctx context.Context) error {
	path := os.Getenv("EXECUTION_LOG")
	if path == "" {
		return nil
	}
	text, err := json.Marshal(lineOf(ctx))
	if err != nil {
		return fmt.Errorf("encode an execution: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("record an execution: %w", err)
	}
	if _, err := file.Write(append(text, '\n')); err != nil {
		file.Close()
		return fmt.Errorf("record an execution: %w", err)
	}
	return file.Close()
}

func lineOf(ctx context.Context) Line {
	lc, ok := lambdacontext.FromContext(ctx)
	if !ok {
		return Line{}
	}
	custom := lc.ClientContext.Custom
	attempt, err := strconv.Atoi(custom[AttemptKey])
	if err != nil || custom[InvocationKey] == "" {
		return Line{lc.AwsRequestID, 1}
	}
	return Line{custom[InvocationKey], attempt}
}
