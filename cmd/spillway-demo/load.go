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

// drive plays one phase to its end, or until ctx ends.
func drive(ctx context.Context, n int, p phase, callers map[string]*caller, t *tally) {
	var workers sync.WaitGroup
	seat := uint64(0)
	for _, s := range p.Streams {
		for range s.Workers {
			rng := rand.New(rand.NewPCG(uint64(n), seat))
			seat++
			workers.Go(func() {
				for ctx.Err() == nil && t.take(n, p) {
					a := callers[s.Namespace].call(ctx, s.Function, s.Event(rng))
					a.Phase = n
					t.add(a)
					if a.Kind == refused || a.Kind == broken {
						pause(ctx, backOff)
					}
				}
			})
		}
	}
	workers.Wait()
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
