package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/pools"
)

// taken reports that a pod in idle capacity was taken away, and not by this pool, which
// never ends one that runs a call, or starts, while it is open.
func (p *Pool) taken(w *pod) bool {
	o, _ := w.look()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spec.idle && !p.closed && (p.pods[w.uid] == nil || o.DeletionTimestamp != nil || disrupted(o))
}

// disrupted reports that a pod was preempted or evicted for others, or that its node went.
// One that is evicted for its own limit, as of its disk, is not.
func disrupted(o *corev1.Pod) bool {
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// orTaken is why a start failed: in idle capacity want of room where its pod was taken
// away meanwhile, whatever its agent, or how it ended, says of the function. It has to be
// asked before the pool ends the pod itself.
func (p *Pool) orTaken(ctx context.Context, i *instance, err error) error {
	p.mu.Lock()
	w, stopped := i.pod, i.stopped
	p.mu.Unlock()
	if err == nil || !p.spec.idle || w == nil || stopped || errors.Is(err, pools.ErrNoRoom) {
		return err
	}
	if !p.taken(w) && w.agent != nil {
		p.awaitFate(ctx, w)
	}
	if !p.taken(w) {
		return err
	}
	return fmt.Errorf("%w: its pod %s/%s was taken away while it started", pools.ErrNoRoom, w.namespace, w.name)
}

// awaitFate waits until the cluster says what becomes of a pod whose agent ends, which was
// told so before everybody else may know. An agent that goes on has its own reasons.
func (p *Pool) awaitFate(ctx context.Context, w *pod) {
	asking, cancel := context.WithTimeout(ctx, askWithin)
	h, silent := w.agent.Health(asking)
	cancel()
	if silent == nil && !h.Draining {
		return
	}
	ctx, cancel = context.WithTimeout(ctx, sureWithin)
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		o, next := w.look()
		if over(o) || o.DeletionTimestamp != nil || disrupted(o) {
			return
		}
		select {
		case <-next:
		case <-look.C:
			p.refresh(ctx, w)
		case <-w.left:
			return
		case <-ctx.Done():
			return
		}
	}
}
