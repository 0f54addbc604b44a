package kube

import (
	"context"
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
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
	switch {
	case result.Outcome.Class == spillway.Unknown:
		result = p.sure(i, &r, result)
	case result.Outcome.Class == spillway.NotExecuted && (result.Outcome.Cause == spillway.CauseConnect || result.Outcome.Cause == spillway.CauseTimeout):
		// A silent address is a timeout where the deadline is sooner than a connection's.
		p.judge(ctx, i, result.Outcome.Detail)
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
	case i == nil || !i.started || i.ejected || i.pod.givenUp || p.pods[i.pod.uid] == nil:
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

// sure finds out whether an attempt runs on whose ending its agent does not tell. When
// its containers have ended it has crashed; else the pod is deleted, and it has when the
// pod is gone. A node that does not answer either leaves it unknown, and the instance is
// given up: the pool has less room until its pod is gone.
func (p *Pool) sure(i *instance, r *pools.Request, unknown pools.Result) pools.Result {
	unknown.InstanceGone = true
	taken := p.taken(i.pod)
	if o, _ := i.pod.look(); !over(o) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.life), sureWithin)
		defer cancel()
		if err := p.end(ctx, i.pod); err != nil {
			p.log.Warn("it is not known whether a call runs on", "error", err)
			p.mu.Lock()
			p.undead(i.pod)
			p.mu.Unlock()
			return unknown
		}
	}
	how, why := "Runtime.ExitError", "its pod has ended"
	unknown.Outcome.Class, unknown.Outcome.Cause = spillway.Executed, spillway.CauseCrashed
	if o, _ := i.pod.look(); taken || p.spec.idle && disrupted(o) {
		how, why = "Spillway.Reclaimed", "online work needed the room in which it ran"
		unknown.Outcome.Cause = spillway.CauseReclaimed
	}
	unknown.Outcome.FunctionError, unknown.Outcome.Detail = spillway.FunctionUnhandled, how
	unknown.Payload = agent.ErrorPayload(how, "RequestId: "+r.Invocation+" Error: "+why)
	return unknown
}

// ejectAfter is how often in a row an agent may be out of reach: for a call, and when it
// is asked after that whether it is there.
const ejectAfter = 3

// judge ejects an instance whose agent cannot be reached several times in a row: it
// takes no more calls and is replaced.
func (p *Pool) judge(ctx context.Context, i *instance, detail string) {
	for range ejectAfter - 1 {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		_, err := i.pod.agent.Health(asking)
		cancel()
		if err == nil || p.life.Err() != nil {
			return
		}
	}
	p.mu.Lock()
	i.ejected = true
	p.mu.Unlock()
	p.log.Warn("an instance is ended whose agent cannot be reached", "pod", i.pod.namespace+"/"+i.pod.name,
		"function", i.function.FunctionKey.String(), "failures", ejectAfter, "latest", detail)
}

// giveBack takes a call off an instance. One that has ended is given up, and its pod.
func (p *Pool) giveBack(i *instance, result *pools.Result) {
	p.mu.Lock()
	i.calls--
	gone := p.pods[i.pod.uid] == nil || i.pod.givenUp || i.ejected
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
