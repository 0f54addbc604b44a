package server

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/policy"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/httpv2"
)

// call is one request on its way. Its goroutine is its caller's.
type call struct {
	s      *Server
	ask    *Ask
	handle dispatcher.Handle
	// decision outlives the call, which holds payloads: it is kept for explanations.
	decision *dispatcher.Decision
	// steps are this call's effects, in order. Between two of its own events a call
	// gets at most two.
	steps  chan dispatcher.Effect
	result pools.Result
}

// newCall takes one that has been released: after its Reply nothing refers to a call.
func newCall(s *Server, ask *Ask) *call {
	c, _ := s.ended.Get().(*call)
	if c == nil {
		c = &call{steps: make(chan dispatcher.Effect, 4)}
	}
	c.s, c.ask, c.decision = s, ask, &dispatcher.Decision{RequestKey: ask.RequestKey}
	c.decision.Owner = c
	return c
}

// release gives an answered call back.
func (c *call) release() {
	ended := &c.s.ended
	*c = call{steps: c.steps}
	ended.Put(c)
}

// follow carries out the call's effects until its reply.
func (c *call) follow() *Answer {
	for f := range c.steps {
		switch f.Kind {
		case dispatcher.Start:
			c.attempt(f)
		case dispatcher.Post:
			c.s.post(f)
		case dispatcher.Reply:
			return c.answer()
		}
	}
	panic("unreachable: steps is never closed")
}

// attempt runs one attempt, recorded before it starts, and reports its end.
func (c *call) attempt(f dispatcher.Effect) {
	started := time.Now()
	var result pools.Result
	if c.abandoned() {
		result = notExecuted(spillway.CauseCancelled, "its caller had gone before it was started")
	} else if err := c.record(f); err != nil {
		c.s.ledgerFailed(err)
		result = notExecuted(spillway.CauseLedger, "no durable record could be written before the start")
	} else if c.tooLate(f) {
		result = notExecuted(spillway.CauseLedger, "recording the intent took so long that the provider's time limits would not hold")
	} else {
		result = c.invoke(f, started)
	}
	if result.Outcome.Class != spillway.NotExecuted || c.result.Outcome.Cause != spillway.CauseReclaimed {
		c.result = result // else what ran and had to go is the answer, if nothing else runs
	}
	c.s.metrics.attempt(f, &result, time.Since(started))
	ending := dispatcher.Ending{Outcome: result.Outcome, InstanceGone: result.InstanceGone}
	c.s.apply(func(e *dispatcher.Engine, now spillway.Instant) []dispatcher.Effect {
		return e.Complete(now, c.handle, ending)
	})
}

func notExecuted(cause spillway.Cause, detail string) pools.Result {
	return pools.Result{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: cause, Detail: detail}}
}

// abandoned reports that nobody will take the answer: it streams to one caller only.
func (c *call) abandoned() bool { return c.ask.Web != nil && c.ask.Web.Caller.Err() != nil }

// invoke hands the attempt to its pool. A web function in a cloud gets its request
// as an event.
func (c *call) invoke(f dispatcher.Effect, now time.Time) pools.Result {
	if (c.ask.Web != nil) != (f.Function.Contract == spillway.ContractHTTP) {
		return notExecuted(spillway.CauseCancelled, "the function's contract has changed since the call came")
	}
	r := c.request(f, now)
	if r.Web == nil || !f.Function.Platform.Pools[f.Pool].Kind.Cloud() {
		streamLarge(&r)
		return c.s.pool(f.Pool).Invoke(c.s.life, r)
	}
	var err error
	if r.Payload, err = httpv2.Event(r.Web, r.Payload, r.Invocation, now); err != nil {
		return notExecuted(spillway.CauseRejected, err.Error())
	}
	r.Web, r.ClientContext = nil, clientContext("", r.Invocation, r.Attempt)
	result := c.s.pool(f.Pool).Invoke(c.s.life, r)
	if result.Outcome.Class != spillway.Executed || result.Outcome.FunctionError != spillway.FunctionOK {
		return result
	}
	if result.Web, err = httpv2.Answer(result.Payload); err != nil {
		result.Outcome.FunctionError, result.Outcome.Detail = spillway.FunctionUnhandled, err.Error()
		result.Payload = initError("Spillway.WebAnswer: " + err.Error())
	}
	return result
}

// tooLate reports that a cloud attempt was placed too long ago to be sent: what it
// holds would be given back while it runs.
func (c *call) tooLate(f dispatcher.Effect) bool {
	if !f.Function.Platform.Pools[f.Pool].Kind.Cloud() {
		return false
	}
	c.s.mu.Lock()
	now := c.s.clock.now()
	c.s.mu.Unlock()
	return now.Sub(c.decision.Attempts[f.Attempt-1].Placed) > dispatcher.SendWithin
}

// record writes what must be on record before an attempt starts.
func (c *call) record(f dispatcher.Effect) error {
	e := c.s.entry(c.decision, f.Attempt)
	if !e.Cloud {
		e.Deadline = e.Posted.Add(f.Function.Timeout)
		return c.s.ledger.Begin(&e)
	}
	e.Kind = billing.KindIntent
	c.s.keepOpen(c.decision)
	return c.s.ledger.Intent(context.WithoutCancel(c.s.life), &e)
}

func (c *call) request(f dispatcher.Effect, now time.Time) pools.Request {
	deadline := c.decision.Deadline.Time()
	if !f.Function.Platform.Pools[f.Pool].Kind.Cloud() {
		if limit := now.Add(f.Function.Timeout); limit.Before(deadline) {
			deadline = limit
		}
	}
	if w := c.webOf(); w != nil {
		return pools.Request{Invocation: c.decision.Call.ID, Attempt: f.Attempt, Function: f.Function,
			Payload: c.ask.Payload, Deadline: deadline, Instance: f.Instance, Web: w}
	}
	return pools.Request{
		Invocation: c.decision.Call.ID, Attempt: f.Attempt, Function: f.Function, Payload: c.ask.Payload,
		ClientContext: clientContext(c.ask.ClientContext, c.decision.Call.ID, f.Attempt),
		LogTail:       c.ask.LogTail, Deadline: deadline, Instance: f.Instance,
	}
}

// answer is what the call's caller, and all who joined it, are told.
func (c *call) answer() *Answer {
	d := c.decision
	d.Owner = nil
	a := &Answer{Decision: d}
	if !plain(d) {
		a.Explanation = dispatcher.Explain(d)
	}
	if d.Refusal == spillway.ReasonNone {
		a.Web, a.Placement = c.result.Web, c.placement()
		a.Payload, a.LogTail, a.ExecutedVersion = c.result.Payload, c.result.LogTail, c.result.ExecutedVersion
		last := d.Answering().Outcome
		a.FunctionError = last.FunctionError
		if last.Cause == spillway.CauseInitFailed && d.Class() == spillway.NotExecuted {
			a.Payload, a.ExecutedVersion = initError(last.Detail), d.Call.Function.Revision
		}
	}
	c.s.keep(d, a)
	c.s.metrics.answer(d)
	c.s.scene.Load().counted(d)
	return a
}

// refuseUnrecorded refuses a call for which there is no room in the ledger. The
// Engine never sees it.
func (c *call) refuseUnrecorded(in spillway.Call, verdict *policy.Verdict) *Answer {
	now := spillway.InstantOf(time.Now())
	*c.decision = dispatcher.Decision{RequestKey: c.ask.RequestKey, Call: in, Verdict: verdict, Pool: -1, Admitted: now, Answered: now,
		Refusal: spillway.ReasonUnavailable, Limit: spillway.Limit{Kind: spillway.LimitLedger}}
	return c.answer()
}

// initError is Lambda's body for a function that does not start.
func initError(detail string) []byte {
	kind, message, ok := strings.Cut(detail, ": ")
	if !ok {
		kind, message = "Runtime.ExitError", detail
	}
	body, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
	return body
}

// clientContext adds the invocation and attempt under "custom", where a function
// can read them on every pool.
func clientContext(given, id string, attempt int) string {
	own := `"spillway-invocation":"` + id + `","spillway-attempt":"` + string(rune('0'+attempt)) + `"`
	if given == "" {
		return `{"custom":{` + own + `}}`
	}
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(given), &all) != nil || all == nil {
		return given
	}
	var custom map[string]json.RawMessage
	_ = json.Unmarshal(all["custom"], &custom)
	delete(custom, "spillway-invocation")
	delete(custom, "spillway-attempt")
	if len(custom) == 0 {
		all["custom"] = json.RawMessage(`{` + own + `}`)
	} else {
		rest, _ := json.Marshal(custom)
		all["custom"] = json.RawMessage(`{` + own + `,` + string(rest[1:]))
	}
	text, _ := json.Marshal(all)
	return string(text)
}
