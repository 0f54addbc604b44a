package scf_test

import (
	"context"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// TestFaults holds what the pool says of a misbehaving cloud against what the
// cloud's bill says was executed.
func TestFaults(t *testing.T) {
	echo := func(_ context.Context, e cloud.Event) ([]byte, error) { return e.Payload, nil }
	s, url := standIn(t, cloud.Function{Name: "fn", Handle: echo, Qualifiers: map[string]string{"live": "1"}})
	p, f := newPool(t, url), function("fn", time.Minute)
	const not, unknown = spillway.NotExecuted, spillway.Unknown
	for _, c := range []struct {
		fault cloud.Fault
		class spillway.OutcomeClass
		cause spillway.Cause
		runs  int
	}{
		{cloud.Fault{Kind: cloud.Throttle}, not, spillway.CauseThrottled, 0},
		{cloud.Fault{Kind: cloud.Throttle, Reason: "RequestLimitExceeded"}, not, spillway.CauseThrottled, 0},
		{cloud.Fault{Kind: cloud.Throttle, Reason: "RequestLimitExceeded.UinLimitExceeded"}, not, spillway.CauseThrottled, 0},
		{cloud.Fault{Kind: cloud.Throttle, Reason: "ResourceInsufficient"}, not, spillway.CauseThrottled, 0},
		{cloud.Fault{Kind: cloud.Throttle, Reason: "ResourceUnavailable"}, not, spillway.CauseThrottled, 0},
		{cloud.Fault{Kind: cloud.Throttle, Reason: "432"}, not, spillway.CauseThrottled, 0},
		{cloud.Fault{Kind: cloud.Throttle, Reason: "429"}, not, spillway.CauseThrottled, 0},
		{cloud.Fault{Kind: cloud.ErrorCode, Reason: "AuthFailure.SignatureExpire"}, not, spillway.CauseRejected, 0},
		{cloud.Fault{Kind: cloud.ErrorCode, Reason: "ResourceUnavailable.InsufficientBalance"}, not, spillway.CauseRejected, 0},
		{cloud.Fault{Kind: cloud.ErrorBefore}, unknown, spillway.CauseProvider, 0},
		{cloud.Fault{Kind: cloud.ResetBefore}, unknown, spillway.CauseLost, 0},
		{cloud.Fault{Kind: cloud.Stall}, unknown, spillway.CauseLost, 0},
		{cloud.Fault{Kind: cloud.ErrorAfter}, unknown, spillway.CauseProvider, 1},
		{cloud.Fault{Kind: cloud.ResetAfter}, unknown, spillway.CauseLost, 1},
		{cloud.Fault{Kind: cloud.StallAfter}, unknown, spillway.CauseLost, 1},
		{cloud.Fault{Kind: cloud.Truncated}, unknown, spillway.CauseLost, 1},
		{cloud.Fault{Kind: cloud.Oversized}, unknown, spillway.CauseProvider, 1},
		{cloud.Fault{Kind: cloud.Compress}, unknown, spillway.CauseProvider, 1},
		{cloud.Fault{Kind: cloud.Malformed}, unknown, spillway.CauseProvider, 1},
		{cloud.Fault{Kind: cloud.MalformedIn}, unknown, spillway.CauseProvider, 1},
		{cloud.Fault{Kind: cloud.Garbage}, unknown, spillway.CauseLost, 1},
		{cloud.Fault{Kind: cloud.WrongType}, unknown, spillway.CauseProvider, 1},
	} {
		t.Run(string(c.fault.Kind)+" "+c.fault.Reason, func(t *testing.T) {
			c.fault.Count = 1
			if err := s.Inject(c.fault); err != nil {
				t.Fatal(err)
			}
			defer s.ClearFaults()
			wait := 20 * time.Second
			if c.fault.Kind == cloud.Stall || c.fault.Kind == cloud.StallAfter {
				wait = 200 * time.Millisecond
			}
			before := s.Bill().Executions
			r := p.Invoke(t.Context(), pools.Request{Function: f, Payload: []byte(`{}`), Deadline: time.Now().Add(wait)})
			if r.Outcome.Class != c.class || r.Outcome.Cause != c.cause {
				t.Errorf("%v %v (%s)", r.Outcome.Class, r.Outcome.Cause, r.Outcome.Detail)
			}
			if runs := s.Bill().Executions - before; runs != c.runs {
				t.Errorf("executed %d times, want %d", runs, c.runs)
			}
			noSecrets(t, r)
		})
	}
	if r := p.Invoke(t.Context(), pools.Request{Function: f, Payload: []byte(`{}`)}); r.Outcome.Class != spillway.Executed {
		t.Errorf("afterwards: %+v", r.Outcome)
	}
}

// TestMetering holds usage against the bill: what the pool reports is what the
// cloud bills, to the millisecond.
func TestMetering(t *testing.T) {
	echo := func(_ context.Context, e cloud.Event) ([]byte, error) { return e.Payload, nil }
	s, url := standIn(t, cloud.Function{Name: "fn", Handle: echo, MiB: 512, Qualifiers: map[string]string{"live": "1"}})
	f := function("fn", time.Minute)
	f.Bindings[0].MiB = 512
	p := newPool(t, url)
	for range 3 {
		r := p.Invoke(t.Context(), pools.Request{Function: f, Payload: []byte(`{}`), ClientContext: `{"custom":{"spillway-invocation":"inv","spillway-attempt":"1"}}`})
		lines := s.Bill().Lines
		line, u := lines[len(lines)-1], r.Outcome.Usage
		if u.Estimated || u.BilledMillis != line.BilledMs || u.MemoryMiB != int64(line.MiB) || u.ProviderID != line.RequestID || line.Invocation != "inv" || line.Attempt != 1 {
			t.Errorf("%+v, billed %+v", u, line)
		}
	}
}
