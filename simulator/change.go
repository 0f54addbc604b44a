package simulator

import (
	"cmp"
	"maps"
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

// nextChange is when a pool has another capacity, or Never.
func (r *run) nextChange() spillway.Instant {
	at := spillway.Never
	for i := range r.Pools {
		if steps := r.Pools[i].Capacity; r.changed[i] < len(steps) {
			at = min(at, r.Start.Add(steps[r.changed[i]].At))
		}
	}
	return at
}

// change gives pools the capacity that they have from now on, as a reload does live,
// and takes away what is beyond it.
func (r *run) change() error {
	next := *r.Platform
	next.Pools = slices.Clone(next.Pools)
	var smaller []int
	for i := range r.Pools {
		for steps := r.Pools[i].Capacity; r.changed[i] < len(steps) && r.Start.Add(steps[r.changed[i]].At) <= r.now; r.changed[i]++ {
			pool := *next.Pools[i]
			pool.Capacity = steps[r.changed[i]].Capacity
			next.Pools[i] = &pool
			smaller = append(smaller, i)
		}
	}
	next.Functions = make([]*spillway.Function, len(r.Platform.Functions))
	for i, f := range r.Platform.Functions {
		same := *f
		next.Functions[i] = &same
	}
	for _, f := range next.Functions {
		for i, revision := range f.Revisions {
			if i == 0 {
				f.Revisions = slices.Clone(f.Revisions)
			}
			f.Revisions[i] = next.Functions[revision.Index]
		}
	}
	next.Index()
	r.Platform = &next
	if err := r.apply(r.engine.Reload(r.now, &next, nil)); err != nil {
		return err
	}
	for _, pool := range slices.Compact(smaller) {
		if err := r.measure(pool); err != nil {
			return err
		}
		if err := r.reclaim(pool); err != nil {
			return err
		}
		if err := r.measure(pool); err != nil { // else what was taken back counts twice
			return err
		}
	}
	r.changeAt = r.nextChange()
	return nil
}

// measure tells the Engine what a pool has whose capacity is told and not configured.
func (r *run) measure(pool int) error {
	if r.Platform.Pools[pool].Kind != spillway.PoolOffline {
		return nil
	}
	return r.apply(r.engine.Observe(r.now, dispatcher.Observation{Kind: dispatcher.PoolCapacity, Pool: pool, Capacity: r.Platform.Pools[pool].Capacity}))
}

// reclaim takes instances away until the rest fits the pool: idle ones first, then
// those that are starting, then the youngest that run calls. A call that loses its
// instance was not executed: what such a pool runs may be run again. In idle capacity it
// was, and only some may be run again.
func (r *run) reclaim(pool int) error {
	s, capacity := &r.pools[pool], r.Platform.Pools[pool].Capacity
	for _, id := range s.leastFirst() {
		if capacity.Exceeds(r.tally.pools[pool].held, spillway.Resources{}) == spillway.DimNone {
			return nil
		}
		in := s.instances[id]
		if in == nil { // the Engine has stopped it meanwhile
			continue
		}
		r.tally.drop(pool, in.function)
		s.forget(id)
		if len(in.flights) == 0 {
			if err := r.apply(r.engine.Observe(r.now, dispatcher.Observation{Kind: dispatcher.InstanceReclaimed, Pool: pool, Instance: id})); err != nil {
				return err
			}
		}
		for _, x := range in.flights {
			r.tally.reclaim(pool, x, r.now)
			x.turn++ // the end that it would have had is void
			x.gone = false
			end := dispatcher.Ending{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseCancelled}, InstanceGone: true}
			if r.Platform.Pools[pool].Kind == spillway.PoolOffline {
				x.ending.micros, x.ending.cause = r.now.Sub(x.ending.began).Microseconds(), spillway.CauseReclaimed
				end.Outcome = x.ending.outcome()
			}
			if err := r.apply(r.engine.Complete(r.now, x.handle, end)); err != nil {
				return err
			}
		}
	}
	return nil
}

// leastFirst orders the instances by how little is lost with them.
func (s *poolState) leastFirst() []spillway.InstanceID {
	loss := func(in *instance) int {
		switch {
		case len(in.flights) > 0:
			return 2
		case in.starting:
			return 1
		}
		return 0
	}
	return slices.SortedFunc(maps.Keys(s.instances), func(a, b spillway.InstanceID) int {
		return cmp.Or(cmp.Compare(loss(s.instances[a]), loss(s.instances[b])), cmp.Compare(b, a))
	})
}
