package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// backOff is how long a worker leaves the server alone after a refusal.
const backOff = 50 * time.Millisecond

// maxBroken is how many calls without an answer end the script: something is badly
// wrong then, and the checks will say so.
const maxBroken = 20

// callers make the calls: by function if there is one of its own, else by namespace.
type callers map[string]invoker

func (c callers) of(s stream) invoker {
	if own := c[s.Namespace+"/"+s.Function]; own != nil {
		return own
	}
	return c[s.Namespace]
}

// drive plays one phase to its end, or until ctx ends. midway is called once, when
// the phase has sent what its moment waits for.
func drive(ctx context.Context, n int, p phase, by callers, t *tally, midway func()) {
	var workers, beside sync.WaitGroup
	if p.Midway != nil {
		beside.Go(func() {
			defer t.resume(n)
			select {
			case <-ctx.Done():
			case <-t.phases[n].reached:
				midway()
			}
		})
	}
	seat := uint64(0)
	for _, s := range p.Streams {
		for range s.Workers {
			rng := rand.New(rand.NewPCG(uint64(n), seat))
			seat++
			workers.Go(func() {
				for ctx.Err() == nil && t.take(n, p) {
					a := by.of(s).call(ctx, s.Function, s.Event(rng))
					a.Phase = n
					t.add(a)
					switch {
					case a.Kind == refused || a.Kind == broken:
						pause(ctx, backOff)
					case s.Rest > 0:
						pause(ctx, s.Rest)
					}
				}
			})
		}
	}
	workers.Wait()
	t.reach(n) // a phase that was cut short has its moment all the same
	beside.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
