package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
	"github.com/spillway-dev/spillway/pools"
)

// graces are how long an agent is given.
type graces struct {
	// answer is how long after its deadline an answer is waited for: the agent ends the
	// execution then, which takes a moment.
	answer time.Duration
	// ask is how long after its deadline an agent is asked how a call ended.
	ask time.Duration
	// cancel is how long after a cancellation the agent has for both.
	cancel time.Duration
}

var usualGraces = graces{answer: 2 * time.Second, ask: 10 * time.Second, cancel: 5 * time.Second}

// attempt is one call on its way.
type attempt struct {
	c        *Client
	r        *pools.Request
	ticket   ticket
	deadline time.Time
	sent     time.Time // when its request began to leave
}

// Invoke runs one attempt on the function that the agent has started, r.Instance being
// for messages only. It classifies as pools.Pool says. It is not executed when nothing
// of the request has left, or the agent vouches that it has not come and never will be
// run; when the agent cannot be asked until some seconds after the deadline it is
// unknown. CauseConnect says nothing of the instance: see what became of the pod.
func (c *Client) Invoke(ctx context.Context, r pools.Request) pools.Result {
	if refused, ok := refusal(ctx, &r); ok {
		return refused
	}
	a := &attempt{c: c, r: &r, ticket: ticket{c.name, c.number.Add(1)}, deadline: r.Deadline}
	if limit := time.Now().Add(r.Function.Timeout); r.Function.Timeout > 0 && (a.deadline.IsZero() || limit.Before(a.deadline)) {
		a.deadline = limit
	}
	if a.deadline.IsZero() {
		return notExecuted(spillway.CauseRejected, "the call has no deadline", false)
	}
	n, err := c.connect(ctx, a.deadline)
	if err != nil {
		return a.unsent(ctx, err)
	}
	if r.Web != nil {
		return a.exchange(ctx, n)
	}
	return a.event(ctx, n)
}

// refusal is of what need not be tried.
func refusal(ctx context.Context, r *pools.Request) (pools.Result, bool) {
	switch {
	case len(r.Payload) > pools.MaxPayload:
		return notExecuted(spillway.CauseRejected, fmt.Sprintf("the request has %d bytes; allowed: %d", len(r.Payload), pools.MaxPayload), false), true
	case (r.Web != nil) != (r.Function.Contract == spillway.ContractHTTP):
		return notExecuted(spillway.CauseRejected, "web functions take HTTP requests, others take events", false), true
	case ctx.Err() != nil, r.Web != nil && r.Web.Caller.Err() != nil:
		return notExecuted(spillway.CauseCancelled, "it was cancelled before it was sent to the agent", false), true
	case !r.Deadline.IsZero() && !time.Now().Before(r.Deadline):
		return notExecuted(spillway.CauseTimeout, "the deadline had passed before it was sent to the agent", false), true
	}
	return pools.Result{}, false
}

func notExecuted(cause spillway.Cause, detail string, gone bool) pools.Result {
	return pools.Result{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: cause, Detail: detail}, InstanceGone: gone}
}

// unsent is the result when there is no connection.
func (a *attempt) unsent(ctx context.Context, err error) pools.Result {
	switch {
	case errors.Is(err, errReplaced):
		return notExecuted(spillway.CauseCrashed, fmt.Sprintf("instance %d: %v", a.r.Instance, err), true)
	case ctx.Err() != nil:
		return notExecuted(spillway.CauseCancelled, "it was cancelled before it was sent to the agent", false)
	case !time.Now().Before(a.deadline):
		return notExecuted(spillway.CauseTimeout, fmt.Sprintf("the deadline passed before there was a connection: %v", err), false)
	}
	return notExecuted(spillway.CauseConnect, err.Error(), false)
}

// head is the request's, up to its length.
func (a *attempt) head(b []byte, path string, room int) []byte {
	call := callHead{
		Ticket: a.ticket, Invocation: a.r.Invocation, Left: max(1, time.Until(a.deadline).Microseconds()),
		LogTail: a.r.LogTail, Room: room,
	}
	if a.r.ClientContext != "" {
		call.ClientContext = []byte(a.r.ClientContext)
	}
	b = append(b, "POST "+path+" HTTP/1.1\r\nHost: agent\r\n"+callHeader+": "...)
	return append(append(b, asciiJSON(call)...), "\r\n"...)
}

// result is of an ending that the agent gave.
func (a *attempt) result(e *ending, payload []byte, web *pools.WebAnswer) pools.Result {
	ended := e.agentEnding(a.sent)
	ended.Payload, ended.Web = payload, web
	r := ended.Result(*a.r)
	if !e.Delivered && e.Detail != "" {
		r.Outcome.Detail = fmt.Sprintf("instance %d: %s", a.r.Instance, e.Detail)
	}
	return r
}

// lost is the result of an execution whose answer did not arrive whole; begun is what
// the caller has of it.
func (a *attempt) lost(e *ending, begun *pools.WebAnswer) pools.Result {
	const text = "the function was executed, but the connection to its pod broke before its answer had come"
	r := a.result(e, agent.ErrorPayload("Spillway.AnswerLost", "RequestId: "+a.r.Invocation+" Error: "+text), begun)
	r.Outcome.Cause, r.Outcome.Detail, r.Outcome.FunctionError = spillway.CauseLost, text, spillway.FunctionUnhandled
	return r
}

func (a *attempt) unknown(detail string, gone bool) pools.Result {
	return pools.Result{
		Outcome: spillway.Outcome{
			Class: spillway.Unknown, Cause: spillway.CauseLost, Detail: detail,
			Usage: spillway.Usage{
				Started: spillway.InstantOf(a.sent), DurationMicros: max(1, time.Since(a.sent).Microseconds()),
				MemoryMiB: a.r.Function.Resources.MiB, Estimated: true,
			},
		},
		InstanceGone: gone,
	}
}

// ask has the agent tell how a call ended whose answer did not come, until it does or
// cannot be expected to any more. Once ctx has ended it is told to end the call.
func (a *attempt) ask(ctx context.Context, begun *pools.WebAnswer) pools.Result {
	limit := a.deadline.Add(a.c.graces.ask)
	asking, end := context.WithDeadline(context.Background(), limit)
	defer end()
	stop := a.endWith(ctx, nil, "")
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(a.c.graces.cancel, end) })()
	for pause := firstPause; ; pause = min(2*pause, 500*time.Millisecond) {
		answer, err := a.c.do(asking, http.MethodGet, "/v1/invocations/"+a.ticket.String(), nil)
		if err == nil {
			if r, ok := a.told(answer, begun); ok {
				return r
			}
		}
		switch {
		case errors.Is(err, errReplaced):
			return a.unknown("the agent in the pod has ended while the call was on its way or under way", true)
		case errors.Is(err, errClosed):
			return a.unknown("the connection to the agent was lost, and it is not asked any more", false)
		}
		if !waited(asking, pause) {
			return a.unknown(fmt.Sprintf("the connection to the agent was lost, and it could not be asked how the call ended: %v", err), false)
		}
	}
}

// told reads what the agent says of a call; ok is false if that is nothing.
func (a *attempt) told(answer *answer, begun *pools.WebAnswer) (r pools.Result, ok bool) {
	switch answer.status {
	case http.StatusNotFound:
		return notExecuted(spillway.CauseConnect, "the connection to the agent broke before the request had come; it will not be run", false), true
	case http.StatusGone:
		return a.unknown("the connection to the agent was lost, and it does not remember the call any more", false), true
	case http.StatusOK:
	default:
		return pools.Result{}, false
	}
	e, err := parseEnding([]byte(answer.header.Get(endingHeader)))
	switch {
	case err != nil:
		return pools.Result{}, false
	case !e.Delivered:
		return a.result(&e, nil, nil), true
	case a.r.Web != nil && (e.Cause == "" || e.Cause == spillway.CauseCancelled.String() && a.r.Web.Caller.Err() == nil), e.PayloadLost:
		return a.lost(&e, begun), true
	}
	return a.result(&e, answer.body, begun), true
}

// endWith has the agent end the call when ctx ends, and n wait for no more than that
// takes; n may be nil. The function that it returns must be called, and blocks until
// nothing of this goes on.
func (a *attempt) endWith(ctx context.Context, n *conn, query string) (stop func()) {
	telling, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	off := context.AfterFunc(ctx, func() {
		defer close(done)
		if n != nil {
			_ = n.SetDeadline(time.Now().Add(a.c.graces.cancel))
		}
		for pause := firstPause; ; pause = min(2*pause, 500*time.Millisecond) {
			_, err := a.c.do(telling, http.MethodDelete, "/v1/invocations/"+a.ticket.String()+query, nil)
			if err == nil || errors.Is(err, errReplaced) || errors.Is(err, errClosed) || !waited(telling, pause) {
				return
			}
		}
	})
	return func() {
		if !off() {
			cancel()
			<-done
		}
		cancel()
	}
}
