package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// call is one admitted invocation on its way through an environment.
type call struct {
	id            string
	function      *function
	version       string
	arn           string
	payload       []byte
	clientContext string // JSON
	invocation    string // the caller's own names for it, if it gave any
	attempt       int
}

// ending is how a call ended inside an environment.
type ending struct {
	delivered bool // false: the environment was dead and the function never saw it
	gone      bool // the environment has ended
	timedOut  bool
	errorType string // of the platform or the function; empty if it answered
	payload   []byte
	duration  time.Duration
	peakMiB   int64
	peakBytes int64  // of SCF's processes
	code      int    // Tencent's, of a failure on SCF
	log       []byte // what the function wrote
}

// runner is the inside of an environment.
type runner interface {
	run(ctx context.Context, c *call) ending
	stop() // ends it and blocks until it is gone
}

// initError is why an environment did not come up.
type initError struct {
	kind    string // Lambda's word
	message string
}

func failure(kind, message string) []byte {
	body, _ := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, message})
	return body
}

// local runs a Handler of this process.
type local struct {
	function *function
	clock    func() time.Time
}

func startLocal(ctx context.Context, f *function, clock func() time.Time) (runner, *initError) {
	if f.Init != nil {
		if err := f.Init(ctx); err != nil {
			return nil, &initError{"Runtime.ExitError", err.Error()}
		}
	}
	return &local{f, clock}, nil
}

func (l *local) stop() {}

func (l *local) run(ctx context.Context, c *call) ending {
	ctx, cancel := context.WithTimeout(ctx, l.function.Timeout)
	defer cancel()
	var log bytes.Buffer
	began := l.clock()
	e := Event{
		RequestID: c.id, FunctionARN: c.arn, Version: c.version, Payload: c.payload,
		ClientContext: c.clientContext, Deadline: began.Add(l.function.Timeout), Log: &log,
	}
	payload, err, crashed := l.handle(ctx, e)
	end := ending{delivered: true, payload: payload, duration: l.clock().Sub(began), log: log.Bytes(), gone: crashed}
	switch {
	case end.duration >= l.function.Timeout || ctx.Err() == context.DeadlineExceeded:
		end.timedOut, end.gone = true, true
	case crashed:
		end.errorType = "Runtime.ExitError"
		end.payload = failure(end.errorType, "RequestId: "+c.id+" Error: Runtime exited with error: exit status 2")
	case err != nil:
		end.errorType = reflect.Indirect(reflect.ValueOf(err)).Type().Name()
		end.payload = failure(end.errorType, err.Error())
	}
	return end
}

func (l *local) handle(ctx context.Context, e Event) (payload []byte, err error, crashed bool) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintln(e.Log, "panic:", p)
			crashed = true
		}
	}()
	payload, err = l.function.Handle(ctx, e)
	return payload, err, false
}
