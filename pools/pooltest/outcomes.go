package pooltest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/pooltest/probe"
)

// outcomes tests that every ending is told as it was.
func (s *suite) outcomes(t *testing.T) {
	t.Run("Echo", s.testEcho)
	t.Run("Concurrent", s.testConcurrent)
	t.Run("HandlerError", s.testHandlerError)
	t.Run("Timeout", s.testTimeout)
	t.Run("Deadline", s.testDeadline)
	t.Run("Crash", s.testCrash)
	t.Run("TooLarge", s.testTooLarge)
	t.Run("CancelledBefore", s.testCancelledBefore)
	t.Run("CancelledInFlight", s.testCancelledInFlight)
}

func (s *suite) testEcho(t *testing.T) {
	for name, payload := range map[string]string{
		"object":  `{"a": 1,  "b":[true,null]}`,
		"scalar":  `-0.0`,
		"null":    `null`,
		"escapes": `"\u0000\u00e9 é <&> "`,
		"spaces":  " \t{ }\n",
		"large":   `"` + strings.Repeat("Ж", 1<<19) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			r := s.once(t, s.call(s.Probe, []byte(payload)))
			executed(t, r, spillway.CauseNone)
			if string(r.Payload) != payload || r.Outcome.FunctionError != spillway.FunctionOK {
				t.Errorf("answer %.100q (function error %q), want %.100q", r.Payload, r.Outcome.FunctionError, payload)
			}
		})
	}
}

func (s *suite) testConcurrent(t *testing.T) {
	const callers, calls = 4, 8
	var all sync.WaitGroup
	for caller := range callers {
		first := s.call(s.Probe, nil)
		s.start(t, &first)
		all.Go(func() {
			for n := range calls {
				payload := fmt.Sprintf(`{"caller":%d,"call":%d}`, caller, n)
				c := s.call(s.Probe, []byte(payload))
				c.Instance = first.Instance
				r := s.invoke(t, context.Background(), c)
				if r.Outcome.Class != spillway.Executed || string(r.Payload) != payload {
					t.Errorf("%v %s: answer %.100q, want %q", r.Outcome.Class, r.Outcome.Detail, r.Payload, payload)
				}
			}
		})
	}
	all.Wait()
}

func (s *suite) testHandlerError(t *testing.T) {
	r := s.once(t, s.command(s.Probe, probe.Command{Do: probe.Fail, Text: "no such account"}))
	executed(t, r, spillway.CauseNone)
	if kind, message := functionError(t, r); kind == "" || message != "no such account" {
		t.Errorf("error %q %q, want a type and the handler's message", kind, message)
	}
	if r.InstanceGone {
		t.Error("a handler's error ended the instance")
	}
}

func (s *suite) testTimeout(t *testing.T) {
	r := s.timesOut(t, func() call { return s.command(s.Hasty, probe.Command{Do: probe.Hang}) })
	if _, message := functionError(t, r); !strings.Contains(message, "timed out") {
		t.Errorf("message %q does not say that it timed out", message)
	}
}

// timesOut makes calls that hang until one was seen to run and to end: on a busy machine
// the time of a call may be over before its probe has a connection to hold.
func (s *suite) timesOut(t *testing.T, hang func() call) pools.Result {
	t.Helper()
	for limit := time.Now().Add(patience); ; {
		c := hang()
		r := s.once(t, c)
		executed(t, r, spillway.CauseTimeout)
		if s.nothingRuns(t, c, r) {
			return r
		}
		if time.Now().After(limit) {
			t.Fatalf("no call that timed out was seen to run within %v", patience)
		}
	}
}

// mute is how long a probe that still runs takes at most to hold its connection.
const mute = 5 * time.Second

// nothingRuns checks that the execution of c ended, not only its waiting caller. It reports
// whether it was seen: it may have ended before the probe had a connection to hold.
func (s *suite) nothingRuns(t *testing.T, c call, r pools.Result) (seen bool) {
	t.Helper()
	h := s.oracle.holdOf(c.attempt)
	select {
	case <-h.arrived:
		await(t, h.gone, "the execution has ended")
		seen = true
	case <-time.After(mute):
	}
	if s.starter != nil && !r.InstanceGone {
		t.Error("the instance was ended, but is not reported gone")
	}
	return seen
}

func (s *suite) testDeadline(t *testing.T) {
	late := s.call(s.Probe, []byte(`{}`))
	s.start(t, &late)
	late.Deadline = time.Now().Add(-time.Second)
	if r := s.invoke(t, context.Background(), late); r.Outcome.Class != spillway.NotExecuted {
		t.Errorf("past its deadline: %v, want not executed", r.Outcome.Class)
	}
	c := s.command(s.Probe, probe.Command{Do: probe.Hang})
	s.start(t, &c)
	c.Deadline = time.Now().Add(time.Second)
	r := s.invoke(t, context.Background(), c)
	s.cut(t, c, r)
}

// cut checks an attempt that was ended from outside while it ran.
func (s *suite) cut(t *testing.T, c call, r pools.Result) {
	t.Helper()
	switch {
	case s.oracle.ran(c.attempt) == 0:
		return // it was ended before it began
	case s.starter != nil:
		if r.Outcome.Class != spillway.Executed {
			t.Errorf("%v, want executed: it ran and was killed", r.Outcome.Class)
		}
		s.nothingRuns(t, c, r)
	case r.Outcome.Class == spillway.NotExecuted:
		t.Error("not executed, but the request was sent")
	}
}

func (s *suite) testCrash(t *testing.T) {
	r := s.once(t, s.command(s.Probe, probe.Command{Do: probe.Exit}))
	executed(t, r, spillway.CauseCrashed)
	if kind, _ := functionError(t, r); kind != "Runtime.ExitError" {
		t.Errorf("error type %q, want Runtime.ExitError", kind)
	}
	if s.starter != nil && !r.InstanceGone {
		t.Error("the process died, but the instance is not reported gone")
	}
}

func (s *suite) testTooLarge(t *testing.T) {
	fits := s.once(t, s.command(s.Probe, probe.Command{Do: probe.Big, Bytes: pools.MaxPayload}))
	executed(t, fits, spillway.CauseNone)
	if len(fits.Payload) != pools.MaxPayload {
		t.Errorf("answer of %d bytes, want %d", len(fits.Payload), pools.MaxPayload)
	}
	r := s.once(t, s.command(s.Probe, probe.Command{Do: probe.Big, Bytes: pools.MaxPayload + 64<<10}))
	executed(t, r, spillway.CauseTooLarge)
	functionError(t, r)
}

func (s *suite) testCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := s.call(s.Probe, []byte(`{}`))
	s.start(t, &c)
	r := s.invoke(t, ctx, c)
	if r.Outcome.Class != spillway.NotExecuted || r.Outcome.Detail == "" {
		t.Errorf("%v %q, want not executed with a detail", r.Outcome.Class, r.Outcome.Detail)
	}
}

func (s *suite) testCancelledInFlight(t *testing.T) {
	c := s.command(s.Probe, probe.Command{Do: probe.Hang})
	s.start(t, &c)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	result := make(chan pools.Result, 1)
	go func() { result <- s.invoke(t, ctx, c) }()
	h := s.holding(t, c)
	cancel()
	s.cut(t, c, <-result)
	close(h.release) // a cloud's execution goes on until then
}
