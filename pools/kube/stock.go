package kube

import (
	"context"
	"errors"
	"slices"
	"time"

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
	if p.closed {
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
	w, err := p.makeGeneric(ctx, size)
	p.mu.Lock()
	p.coming[size]--
	keep := err == nil && !p.closed
	if keep {
		p.ready = append(p.ready, w)
	} else {
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

// makeGeneric returns a pod of the package pool whose agent answers.
func (p *Pool) makeGeneric(ctx context.Context, size int) (*pod, error) {
	w, err := p.create(ctx, p.spec.generic(size), size)
	if err != nil {
		return nil, err
	}
	if err := p.reach(ctx, w); err != nil {
		p.background.Go(func() { p.drop(w) })
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
// need, or nil.
func (p *Pool) takeReady(need spillway.Resources) *pod {
	p.mu.Lock()
	defer p.mu.Unlock()
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
	p.changed()
	return w
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

// stranded takes out the pods that wait on a node that may not run them any more; mu is
// held.
func (p *Pool) stranded() (out []*pod) {
	p.ready = slices.DeleteFunc(p.ready, func(w *pod) bool {
		good := p.onGoodNode(w)
		if !good {
			out = append(out, w)
		}
		return !good
	})
	return out
}
