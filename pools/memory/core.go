// Package memory holds pools whose functions are Go code or scripted service
// times: an on-prem pool (Pool) and a cloud (Cloud). They keep time with package
// time only, so that they run inside testing/synctest, and they remember every
// execution, so that a test can ask what really ran.
package memory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// Func is the code of the functions. It must return soon after ctx ends: Invoke
// waits for it. Returning ErrExit stands for the death of the process; any other
// error is the handler's. It must not write to log after it returned.
type Func func(ctx context.Context, r pools.Request, log io.Writer) ([]byte, error)

// ErrExit is what a Func returns to die instead of answering.
var ErrExit = errors.New("exit status 3")

// Ending is how an execution ends.
type Ending uint8

const (
	Returns  Ending = iota // as the code does
	Fails                  // the handler returns an error
	Crashes                // the process dies
	Refuses                // it never starts: not executed, for Step.Cause
	Vanishes               // it runs, but the answer is lost: unknown
)

// Step scripts one attempt.
type Step struct {
	Service    time.Duration // before the code runs; at the time limit it is cut
	Ending     Ending
	Cause      spillway.Cause // of Refuses
	RetryAfter time.Duration  // of Refuses
}

// Options scripts a pool. Every field may be nil. The callbacks may be called
// concurrently; a pool is as deterministic as they are.
type Options struct {
	Web   WebFunc                                                                  // nil: every request of a web function crashes
	Run   Func                                                                     // nil answers the payload
	Step  func(r pools.Request) Step                                               // nil is the zero Step
	Start func(ctx context.Context, f *spillway.Function) (pools.ColdStart, error) // nil starts at once; the pool then waits for the total
}

// core runs attempts for both kinds of pool.
type core struct {
	options Options
	record
}

// limits bound one execution.
type limits struct {
	timeout time.Duration
	mib     int64
}

func (c *core) execute(ctx context.Context, r pools.Request, l limits) pools.Result {
	var step Step
	if c.options.Step != nil {
		step = c.options.Step(r)
	}
	now := time.Now()
	limit := l.timeout
	if !r.Deadline.IsZero() {
		limit = min(limit, r.Deadline.Sub(now))
	}
	switch {
	case ctx.Err() != nil || limit <= 0 || r.Web != nil && r.Web.Caller.Err() != nil:
		return notExecuted(spillway.CauseCancelled, "cancelled or past its deadline before it started")
	case step.Ending == Refuses:
		result := notExecuted(step.Cause, "refused by script")
		result.Outcome.RetryAfter = step.RetryAfter
		return result
	}
	n := c.began(r, now)
	result := c.attempt(ctx, r, step, limit)
	elapsed := c.ended(n).Sub(now)
	result.Outcome.Usage = spillway.Usage{
		Started:        spillway.InstantOf(now),
		DurationMicros: max(1, int64((elapsed+time.Microsecond-1)/time.Microsecond)),
		MemoryMiB:      l.mib,
		ProviderID:     fmt.Sprintf("%s-%d", r.Invocation, r.Attempt),
	}
	return result
}

// attempt waits out the service time and runs the code, both within limit.
func (c *core) attempt(ctx context.Context, r pools.Request, step Step, limit time.Duration) pools.Result {
	running, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	timer := time.NewTimer(min(step.Service, limit))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return killed()
	}
	if step.Service >= limit {
		return timedOut(limit)
	}
	if r.Web != nil {
		return c.web(ctx, r, limit-min(step.Service, limit))
	}
	var log tail
	payload, err := c.run(running, r, step, &log)
	result := ending(ctx, running, limit, payload, err)
	if step.Ending == Vanishes {
		result = pools.Result{Outcome: spillway.Outcome{Class: spillway.Unknown, Cause: spillway.CauseLost, Detail: "answer lost by script"}}
	}
	if r.LogTail {
		result.LogTail = log.bytes()
	}
	return result
}

func (c *core) run(ctx context.Context, r pools.Request, step Step, log io.Writer) ([]byte, error) {
	switch {
	case step.Ending == Fails:
		return nil, errors.New("failed by script")
	case step.Ending == Crashes:
		return nil, ErrExit
	case c.options.Run != nil:
		return c.options.Run(ctx, r, log)
	}
	return append([]byte(nil), r.Payload...), nil
}

// ending turns what the code returned into a result. What stopped the code counts
// before what it says.
func ending(ctx, running context.Context, limit time.Duration, payload []byte, err error) pools.Result {
	switch {
	case ctx.Err() != nil:
		return killed()
	case running.Err() != nil:
		return timedOut(limit)
	case errors.Is(err, ErrExit):
		return failed(spillway.CauseCrashed, "Runtime.ExitError", "Runtime exited with error: "+err.Error())
	case err != nil:
		return failed(spillway.CauseNone, "errorString", err.Error())
	case len(payload) > pools.MaxPayload:
		return failed(spillway.CauseTooLarge, "Function.ResponseSizeTooLarge",
			fmt.Sprintf("response of %d bytes is over the limit of %d", len(payload), pools.MaxPayload))
	}
	return pools.Result{Payload: payload, ExecutedVersion: "$LATEST", Outcome: spillway.Outcome{Class: spillway.Executed}}
}

func timedOut(limit time.Duration) pools.Result {
	return failed(spillway.CauseTimeout, "Sandbox.Timedout", fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds()))
}

func killed() pools.Result {
	return failed(spillway.CauseCrashed, "Runtime.ExitError", "killed: the call was cancelled")
}

func failed(cause spillway.Cause, kind, message string) pools.Result {
	body, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message}) // strings always marshal
	return pools.Result{Payload: body, ExecutedVersion: "$LATEST", Outcome: spillway.Outcome{
		Class: spillway.Executed, Cause: cause, Detail: kind, FunctionError: spillway.FunctionUnhandled}}
}

func notExecuted(cause spillway.Cause, detail string) pools.Result {
	return pools.Result{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: cause, Detail: detail}}
}

// tail keeps the last MaxLogTail bytes written to it.
type tail struct{ kept []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	if extra := len(t.kept) - pools.MaxLogTail; extra > 0 {
		t.kept = append([]byte(nil), t.kept[extra:]...)
	}
	return len(b), nil
}

func (t *tail) bytes() []byte { return t.kept }
