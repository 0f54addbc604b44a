package process

import (
	"context"
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
	"github.com/spillway-dev/spillway/pools"
)

// Invoke runs one attempt on r.Instance. The time limit is the function's, or the
// request's deadline if that is sooner.
func (p *Pool) Invoke(ctx context.Context, r pools.Request) pools.Result {
	if len(r.Payload) > pools.MaxPayload {
		return refused(spillway.CauseRejected, fmt.Sprintf("the request has %d bytes; allowed: %d", len(r.Payload), pools.MaxPayload), false)
	}
	if (r.Web != nil) != (r.Function.Contract == spillway.ContractHTTP) {
		return refused(spillway.CauseRejected, "web functions take HTTP requests, others take events", false)
	}
	i, result := p.take(r.Instance)
	if i == nil {
		return result
	}
	deadline := r.Deadline
	if limit := time.Now().Add(r.Function.Timeout); r.Function.Timeout > 0 && (deadline.IsZero() || limit.Before(deadline)) {
		deadline = limit
	}
	var e agent.Ending
	if r.Web != nil {
		e = i.agent.Exchange(ctx, agent.Exchange{ID: r.Invocation, Web: r.Web, Body: r.Payload, Deadline: deadline})
	} else {
		e = i.agent.Invoke(ctx, agent.Event{
			ID: r.Invocation, Payload: r.Payload, ClientContext: r.ClientContext,
			Deadline: deadline, LogTail: r.LogTail,
		})
	}
	p.giveBack(i, e.InstanceGone)
	return e.Result(r)
}

// take gives the call a place on an instance.
func (p *Pool) take(id spillway.InstanceID) (*instance, pools.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.instances[id]
	switch {
	case i == nil || i.ended:
		return nil, refused(spillway.CauseCrashed, fmt.Sprintf("instance %d is not running", id), true)
	case i.calls >= max(1, i.function.Concurrency) || i.agent == nil:
		return nil, refused(spillway.CauseRejected, fmt.Sprintf("instance %d has no place", id), false)
	}
	i.calls++
	return i, pools.Result{}
}

// giveBack takes a call off an instance. One that ended with a call is not an idle
// exit.
func (p *Pool) giveBack(i *instance, gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i.calls--
	if gone {
		i.stopped = true
	}
	if i.ended && i.calls == 0 {
		p.forget(i)
	}
}

func refused(cause spillway.Cause, detail string, gone bool) pools.Result {
	return pools.Result{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: cause, Detail: detail}, InstanceGone: gone}
}
