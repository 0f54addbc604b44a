package kube

import (
	"context"
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// Invoke runs one attempt on r.Instance. An attempt whose pod is gone has ended.
func (p *Pool) Invoke(ctx context.Context, r pools.Request) pools.Result {
	i, refused := p.take(r)
	if i == nil {
		return refused
	}
	if limit := time.Now().Add(r.Function.Timeout); r.Function.Timeout > 0 && (r.Deadline.IsZero() || limit.Before(r.Deadline)) {
		r.Deadline = limit
	}
	result := i.pod.agent.Invoke(ctx, r)
	if result.Outcome.Class == spillway.Unknown {
		result = p.sure(i, result)
	}
	p.giveBack(i, &result)
	return result
}

// take gives the call a place on an instance.
func (p *Pool) take(r pools.Request) (*instance, pools.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.instances[r.Instance]
	switch {
	case i == nil || !i.started || p.pods[i.pod.uid] == nil:
		return nil, refusal(spillway.CauseCrashed, fmt.Sprintf("instance %d is not running", r.Instance), true)
	case i.calls >= max(1, i.function.Concurrency):
		return nil, refusal(spillway.CauseRejected, fmt.Sprintf("instance %d has no place", r.Instance), false)
	}
	i.calls++
	return i, pools.Result{}
}

func refusal(cause spillway.Cause, detail string, gone bool) pools.Result {
	return pools.Result{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: cause, Detail: detail}, InstanceGone: gone}
}

// sureWithin is how long the end of a pod is waited for that does not answer any more.
const sureWithin = 15 * time.Second

// sure ends the pod of an attempt whose ending its agent does not tell. When the pod is
// gone nothing of the attempt runs: it has crashed. A node that does not answer either
// leaves it unknown.
func (p *Pool) sure(i *instance, unknown pools.Result) pools.Result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.life), sureWithin)
	defer cancel()
	if err := p.end(ctx, i.pod); err != nil {
		p.log.Warn("it is not known whether a call runs on", "error", err)
		return unknown
	}
	unknown.InstanceGone = true
	unknown.Outcome.Class, unknown.Outcome.Cause = spillway.Executed, spillway.CauseCrashed
	unknown.Outcome.FunctionError = spillway.FunctionUnhandled
	unknown.Outcome.Detail = "Runtime.ExitError"
	return unknown
}

// giveBack takes a call off an instance. One that has ended is given up, and its pod.
func (p *Pool) giveBack(i *instance, result *pools.Result) {
	p.mu.Lock()
	i.calls--
	gone := p.pods[i.pod.uid] == nil
	result.InstanceGone = result.InstanceGone || gone
	last := i.calls == 0 && p.instances[i.id] == i
	if result.InstanceGone && last {
		delete(p.instances, i.id)
	}
	p.mu.Unlock()
	if result.InstanceGone && last {
		p.changed()
		p.background.Go(func() { p.drop(i.pod) })
	}
}
