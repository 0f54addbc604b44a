package kube

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

const (
	// orderWithin bounds the start of a pod that is to wait, and notBefore is when the
	// next of a size is tried after one that could not be made.
	orderWithin = 2 * time.Minute
	notBefore   = 5 * time.Second
)

// orders are the sizes of the pods to be made so that as many wait as should; mu is
// held. They count as coming from now on.
func (p *Pool) orders(now time.Time) (sizes []int) {
	if p.closed || p.retired || p.hurry.left(now) > 0 {
		return nil
	}
	for i, size := range p.spec.pods.Sizes {
		if now.Before(p.roomless[i]) {
			continue
		}
		have := p.coming[i]
		for _, w := range p.ready {
			if w.size == i {
				have++
			}
		}
		for ; have < size.Ready; have++ {
			p.coming[i]++
			sizes = append(sizes, i)
		}
	}
	return sizes
}

// order makes one pod that waits for a package.
func (p *Pool) order(size int) {
	ctx, cancel := context.WithTimeout(p.life, orderWithin)
	defer cancel()
	spec := p.spec.generic(size)
	p.mu.Lock()
	p.unseen[spec] = needOf(spec)
	p.mu.Unlock()
	w, err := p.make(ctx, spec, size, nil)
	if err == nil {
		p.warm(w)
	}
	p.mu.Lock()
	p.coming[size]--
	keep := err == nil && p.stock(w)
	if !keep {
		p.roomless[size] = time.Now().Add(notBefore)
	}
	p.mu.Unlock()
	if err != nil && !errors.Is(err, pools.ErrNoRoom) && p.life.Err() == nil {
		p.log.Warn("a pod that waits for a package cannot be made", "error", err)
	}
	if err == nil && !keep {
		p.drop(w)
	}
	p.changed()
}

// stock takes a pod to those that wait, if it lives still: of its end nothing more is told.
// mu is held.
func (p *Pool) stock(w *pod) bool {
	if o, _ := w.look(); p.closed || p.retired || p.pods[w.uid] != w || over(o) || o.DeletionTimestamp != nil {
		return false
	}
	w.warmed = time.Now()
	p.ready = append(p.ready, w)
	return true
}

// make returns a new pod whose agent answers, for an instance or to wait. An instance has
// it as soon as it is there.
func (p *Pool) make(ctx context.Context, spec *corev1.Pod, size int, i *instance) (*pod, error) {
	w, err := p.create(ctx, spec, size)
	if err != nil {
		return nil, err
	}
	if i != nil {
		p.mu.Lock()
		i.pod, w.instance = w, i
		p.mu.Unlock()
	}
	if err := p.reach(ctx, w, i); err != nil {
		if i == nil {
			p.background.Go(func() { p.drop(w) })
		}
		return nil, err
	}
	return w, nil
}

// sizeFor is the smallest size that holds what an instance does, or −1.
func (p *Pool) sizeFor(need spillway.Resources) int {
	return slices.IndexFunc(p.spec.pods.Sizes, func(s spillway.PodSize) bool {
		return s.Resources.Exceeds(spillway.Resources{}, need) == spillway.DimNone
	})
}

// takeReady returns the pod that has waited longest, of the smallest size that holds
// need, or nil; mu is held.
func (p *Pool) takeReady(need spillway.Resources) *pod {
	best := -1
	for i, w := range p.ready {
		if p.onGoodNode(w) && p.spec.pods.Sizes[w.size].Exceeds(spillway.Resources{}, need) == spillway.DimNone && (best < 0 || w.size < p.ready[best].size) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	w := p.ready[best]
	p.ready = slices.Delete(p.ready, best, best+1)
	p.hurry.begin(time.Now())
	p.changed()
	return w
}

// hurried notes that a pod that takeReady gave runs its function, or does not.
func (p *Pool) hurried() {
	p.mu.Lock()
	p.hurry.end(time.Now())
	p.mu.Unlock()
	p.changed()
}

const (
	// warmConnections are kept to the agent of a pod that waits: one for its start and its
	// first call, one that tells its end. The agent closes those that rest for long.
	warmConnections = 2
	warmEvery       = time.Minute
)

// cooling are the pods that wait whose connections have rested for long; they are as
// good as warm from now on. mu is held.
func (p *Pool) cooling(now time.Time) (out []*pod) {
	for _, w := range p.ready {
		if now.Sub(w.warmed) > warmEvery {
			w.warmed = now
			out = append(out, w)
		}
	}
	return out
}

// warm opens the connections to the agent of a pod that waits. Without them its start
// takes longer, and no more.
func (p *Pool) warm(w *pod) {
	ctx, cancel := context.WithTimeout(p.life, askWithin)
	defer cancel()
	if err := w.agent.Warm(ctx, warmConnections); err != nil && p.life.Err() == nil {
		p.log.Debug("a pod that waits does not answer", "pod", w.name, "error", err)
	}
}

// unready takes a pod out of those that wait, if it is one; mu is held.
func (p *Pool) unready(w *pod) bool {
	i := slices.Index(p.ready, w)
	if i >= 0 {
		p.ready = slices.Delete(p.ready, i, i+1)
	}
	return i >= 0
}

// onGoodNode reports whether a pod is on a node that may run pods of the pool; mu is held.
func (p *Pool) onGoodNode(w *pod) bool {
	o, _ := w.look()
	return p.nodes[o.Spec.NodeName].usable
}

// stranded takes out the pods that wait on a node that may not run them any more, or for
// a pool that is gone; mu is held.
func (p *Pool) stranded() (out []*pod) {
	p.ready = slices.DeleteFunc(p.ready, func(w *pod) bool {
		good := p.onGoodNode(w) && !p.retired
		if !good {
			out = append(out, w)
		}
		return !good
	})
	return out
}
