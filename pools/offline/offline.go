// Package offline is the pool of functions of class offline: pods on real nodes, in what
// online work leaves idle there.
//
//	the virtual node ── measures what is idle, each 5 s ──► the dispatcher
//	StartInstance ──► a pod of the lowest priority, which takes no other pod's place
//	online work comes ──► the scheduler, a kubelet or the virtual node ends the pod
//	Invoke ──► ends with CauseReclaimed unless its call ends within the grace
//
// Pods are those of package kube. Unlike that pool, this one does not say what it has: that
// is measured for Jobs and functions together, by who knows what is kept back for online
// work. It keeps no pods that wait for a package, which would be idle capacity in use for
// nothing.
package offline

import (
	"context"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/kube"
)

var _ pools.Placer = (*Pool)(nil)

// Pool makes pods in idle capacity and calls them. It is safe for concurrent use.
type Pool struct{ pods *kube.Pool }

// Open is kube.Open for pods in idle capacity; their priority is always kube.IdlePriority.
func Open(ctx context.Context, c kube.Config) (*Pool, error) {
	c.Idle = true
	pods, err := kube.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Pool{pods}, nil
}

// StartInstance implements pools.Starter.
func (p *Pool) StartInstance(ctx context.Context, id spillway.InstanceID, f *spillway.Function) (pools.ColdStart, error) {
	return p.pods.StartInstance(ctx, id, f)
}

// StopInstance implements pools.Starter.
func (p *Pool) StopInstance(ctx context.Context, id spillway.InstanceID) {
	p.pods.StopInstance(ctx, id)
}

// Invoke implements pools.Pool. An attempt whose pod was taken away is Executed with
// CauseReclaimed.
func (p *Pool) Invoke(ctx context.Context, r pools.Request) pools.Result {
	return p.pods.Invoke(ctx, r)
}

// Exits implements pools.Starter: idle instances that ended, or were taken away.
func (p *Pool) Exits() <-chan spillway.InstanceID { return p.pods.Exits() }

// Placed implements pools.Placer.
func (p *Pool) Placed() <-chan spillway.InstanceID { return p.pods.Placed() }

// Beside is what instances hold of what was measured, beside what their functions ask for.
func (p *Pool) Beside() spillway.Resources { return p.pods.Beside() }

// FailedStarts is that of kube.Pool. A start whose pod was taken away is none.
func (p *Pool) FailedStarts() map[spillway.FunctionKey]map[string]string {
	return p.pods.FailedStarts()
}

// ReadLog is that of kube.Pool.
func (p *Pool) ReadLog(ctx context.Context, function spillway.FunctionKey, tail int, follow bool, write func([]byte) error) error {
	return p.pods.ReadLog(ctx, function, tail, follow, write)
}

// Renew takes what the pool's object says now.
func (p *Pool) Renew(now *spillway.Pool) { p.pods.Renew(now) }

// Close deletes every pod, as kube.Pool.Close does.
func (p *Pool) Close(ctx context.Context) error { return p.pods.Close(ctx) }
