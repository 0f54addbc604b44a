package pooltest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/pooltest/probe"
)

// noStream is for answers that must not be streamed.
type noStream struct{ t *testing.T }

func (s noStream) Inform(int, http.Header)           { s.t.Error("an interim answer") }
func (s noStream) Begin(int, http.Header, time.Time) { s.t.Error("a short answer was streamed") }
func (s noStream) Write(p []byte) (int, error)       { return len(p), nil }

// web tests a pool that runs web functions.
func (s *suite) web(t *testing.T) {
	t.Run("WebAnswer", s.testWebAnswer)
	t.Run("WebCrash", s.testWebCrash)
	t.Run("WebTimeout", s.testWebTimeout)
	t.Run("WebCallerGone", s.testWebCallerGone)
	t.Run("WebCancelledBefore", s.testWebCancelledBefore)
}

// request is a call of the web probe: what it is to do is the body, and the custom
// values are fields of the header.
func (s *suite) request(t *testing.T, f *spillway.Function, body string) call {
	c := s.call(f, []byte(body))
	c.ClientContext = ""
	c.Web = &pools.Web{
		Method: http.MethodPost, Target: "/", Host: "probe", Caller: context.Background(), Room: make([]byte, 32<<10), Stream: noStream{t},
		Header: http.Header{
			probe.HeaderPrefix + "Oracle": {s.oracle.url}, probe.HeaderPrefix + "Invocation": {c.invocation}, probe.HeaderPrefix + "Attempt": {c.attempt.attempt},
		},
	}
	return c
}

func (s *suite) testWebAnswer(t *testing.T) {
	c := s.request(t, s.Web, `{"a":1}`)
	s.start(t, &c)
	for n := range 3 {
		next := s.request(t, s.Web, `{"a":`+strings.Repeat("1", n+1)+`}`)
		next.Instance = c.Instance
		r := s.invoke(t, t.Context(), next)
		executed(t, r, spillway.CauseNone)
		if r.Web == nil || r.Web.Status != http.StatusOK || string(r.Web.Body) != string(next.Payload) || r.InstanceGone || r.Outcome.FunctionError != "" {
			t.Errorf("answer %+v, gone %v", r.Web, r.InstanceGone)
		}
		if r.Outcome.Usage.DurationMicros <= 0 || r.Outcome.Usage.MemoryMiB != s.MiB {
			t.Errorf("usage %+v", r.Outcome.Usage)
		}
	}
}

func (s *suite) testWebCrash(t *testing.T) {
	r := s.once(t, s.request(t, s.Web, `{"do":"exit"}`))
	executed(t, r, spillway.CauseCrashed)
	if kind, _ := functionError(t, r); kind != "Runtime.ExitError" || !r.InstanceGone || r.Web != nil {
		t.Errorf("%s, gone %v, answer %+v", kind, r.InstanceGone, r.Web)
	}
}

func (s *suite) testWebTimeout(t *testing.T) {
	hasty := *s.Web
	hasty.Timeout = s.Hasty.Timeout
	s.timesOut(t, func() call { return s.request(t, &hasty, `{"do":"hang"}`) })
}

// testWebCallerGone ends the caller while the function works for it.
func (s *suite) testWebCallerGone(t *testing.T) {
	c := s.request(t, s.Web, `{"do":"hang"}`)
	s.start(t, &c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.Web.Caller = ctx
	result := make(chan pools.Result, 1)
	go func() { result <- s.invoke(t, context.Background(), c) }()
	s.holding(t, c)
	cancel()
	r := <-result
	if r.Outcome.Class != spillway.Executed || !r.InstanceGone || r.Web != nil {
		t.Errorf("%v, gone %v, answer %+v; want executed, and the instance gone", r.Outcome.Class, r.InstanceGone, r.Web)
	}
	s.nothingRuns(t, c, r)
}

func (s *suite) testWebCancelledBefore(t *testing.T) {
	c := s.request(t, s.Web, `{}`)
	s.start(t, &c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Web.Caller = ctx
	if r := s.invoke(t, t.Context(), c); r.Outcome.Class != spillway.NotExecuted || r.InstanceGone {
		t.Errorf("%v, gone %v; want not executed", r.Outcome.Class, r.InstanceGone)
	}
}
