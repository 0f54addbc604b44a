package cloud

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	initLimit   = 10 * time.Second // INIT on Lambda
	maxResponse = 6<<20 + 100      // bytes, as Lambda counts
	maxLogTail  = 4 << 10
)

// execution is a call that ran, with what it is billed for.
type execution struct {
	ending
	init      time.Duration // of the environment, if this call started it
	billedMs  int64
	unstarted bool // no environment came up
}

// execute runs an admitted call in e, or in a new environment when e is nil or
// turns out to be dead, bills it and gives the environment back. It does not end
// when the caller goes away: Lambda runs a call to its end.
func (s *Server) execute(c *call, e *environment) execution {
	var x execution
	if e != nil {
		x.ending = e.runner.run(s.ctx, c)
	}
	if !x.delivered {
		if e != nil {
			e.runner.stop()
			s.fleet.replace(c.function)
		}
		e = s.startAndRun(c, &x)
	}
	if e != nil && x.gone {
		e.runner.stop()
		e = nil
	}
	s.front.settle(c, &x)
	s.books.post(x.line(c, s.config.Clock()))
	s.logs.note(c, &x, s.config.Clock(), s.front.report(c, &x))
	s.fleet.release(s.config.Clock(), c.function, e)
	return x
}

// startAndRun returns the new environment, or nil when it did not come up.
func (s *Server) startAndRun(c *call, x *execution) *environment {
	r, took, failed := s.start(c.function, c.version)
	x.init = took
	if failed != nil {
		x.gone, x.unstarted, x.errorType = true, true, failed.kind
		x.payload = failure(failed.kind, "RequestId: "+c.id+" Error: "+failed.message)
		return nil
	}
	x.ending = r.run(s.ctx, c)
	if !x.delivered {
		x.gone, x.errorType = true, "Runtime.ExitError"
		x.payload = failure(x.errorType, "RequestId: "+c.id+" Error: Runtime exited before it took the event")
	}
	return &environment{runner: r, version: c.version}
}

func (s *Server) start(f *function, version string) (runner, time.Duration, *initError) {
	if f.Handle == nil {
		return s.front.start(s.ctx, f, version)
	}
	ctx, cancel := context.WithTimeout(s.ctx, initLimit)
	defer cancel()
	began := s.config.Clock()
	r, failed := startLocal(ctx, f, s.config.Clock)
	return r, s.config.Clock().Sub(began), failed
}

// settle implements front: a timeout lasts exactly the timeout, an answer over the
// limit is an error, and INIT is billed.
func (s *lambdaFront) settle(c *call, x *execution) {
	defer func() { x.billedMs = billedMs(x.duration + x.init) }()
	switch {
	case x.timedOut:
		x.duration = c.function.Timeout
		x.errorType = "Sandbox.Timedout"
		x.payload = failure(x.errorType, fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", c.id, x.duration.Seconds()))
	case len(x.payload) > maxResponse:
		x.errorType = "Function.ResponseSizeTooLarge"
		x.payload = failure(x.errorType, fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponse))
	}
}

// report implements front.
func (s *lambdaFront) report(c *call, x *execution) string { return lastLine(x.tail(c)) }

func (x *execution) status() string {
	switch {
	case x.timedOut:
		return "timeout"
	case x.errorType != "":
		return "error"
	}
	return "success"
}

func (x *execution) line(c *call, now time.Time) Line {
	return Line{
		RequestID: c.id, Function: c.function.Name, Version: c.version,
		Invocation: c.invocation, Attempt: c.attempt,
		At: now.UTC(), Status: x.status(), MiB: c.function.MiB,
		BilledMs: x.billedMs,
		InitMs:   int64((x.init + time.Millisecond - 1) / time.Millisecond),
	}
}

// tail is the end of the log as LogType Tail returns it: at most 4 KiB.
func (x *execution) tail(c *call) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "START RequestId: %s Version: %s\n", c.id, c.version)
	b.Write(x.log)
	if n := len(x.log); n > 0 && x.log[n-1] != '\n' {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "END RequestId: %s\n", c.id)
	fmt.Fprintf(&b, "REPORT RequestId: %s\tDuration: %s ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB\t",
		c.id, millis(x.duration), x.billedMs, c.function.MiB, x.peakMiB)
	if x.init > 0 {
		fmt.Fprintf(&b, "Init Duration: %s ms\t", millis(x.init))
	}
	switch x.status() {
	case "timeout":
		b.WriteString("Status: timeout")
	case "error":
		fmt.Fprintf(&b, "Status: error\tError Type: %s", oneWord(x.errorType))
	}
	b.WriteByte('\n')
	text := b.Bytes()
	return text[max(0, len(text)-maxLogTail):]
}

// millis writes d in milliseconds with two decimals, as REPORT lines have them.
func millis(d time.Duration) string {
	hundredths := int64(d / (10 * time.Microsecond))
	return fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
}

// oneWord keeps an error type that a function chose from forging log lines.
func oneWord(s string) string {
	quoted := strconv.Quote(s[:min(len(s), 128)])
	return quoted[1 : len(quoted)-1]
}
