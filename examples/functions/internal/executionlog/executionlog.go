// Package executionlog lets an example function write down when its handler ran,
// so that what really ran can be compared with what was billed and allowed.
package executionlog

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// Keys of the client context's "custom" map that name the attempt.
const (
	InvocationKey = "spillway-invocation"
	AttemptKey    = "spillway-attempt"
)

// Events of a Line.
const (
	Start = "start"
	End   = "end"
)

// Line is one moment of one handler call.
type Line struct {
	Invocation string `json:"invocation"`
	Attempt    int    `json:"attempt"`
	Event      string `json:"event"`
	Version    string `json:"version,omitempty"` // that the function was told it is
	At         int64  `json:"at"`                // nanoseconds since the Unix epoch, on the machine's clock
}

// Begin appends a Start line to the file that EXECUTION_LOG names; it does nothing
// when the variable is empty. Call it first in a handler, and end last, also
// before the process ends itself: end appends the End line, once. Without the
// custom keys the Lambda request id stands for the invocation, attempt 1.
func Begin(ctx context.Context) (end func(), err error) { return begin(lineOf(ctx)) }

// BeginRequest is Begin for a web function, which is not told what its invocation
// is: the caller's own name for the request stands for it, attempt 1.
func BeginRequest(name string) (end func(), err error) {
	return begin(Line{Invocation: name, Attempt: 1})
}

func begin(line Line) (end func(), err error) {
	path := os.Getenv("EXECUTION_LOG")
	if path == "" {
		return func() {}, nil
	}
	line.Version = lambdacontext.FunctionVersion
	if err := line.append(path, Start); err != nil {
		return nil, err
	}
	ended := false
	return func() {
		if ended {
			return
		}
		ended = true
		if err := line.append(path, End); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}, nil
}

// append adds the line in one write, so that lines of many processes never mix.
func (l Line) append(path, event string) error {
	l.Event, l.At = event, time.Now().UnixNano()
	text, err := json.Marshal(l)
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
		return Line{Invocation: lc.AwsRequestID, Attempt: 1}
	}
	return Line{Invocation: custom[InvocationKey], Attempt: attempt}
}
