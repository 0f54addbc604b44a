package simulator

import (
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
)

// poolState is what the simulator knows of one pool beside the Engine.
type poolState struct {
	model *PoolModel
	inits map[spillway.InstanceID]start // of instances that no call has used; none if Warm

	changes bool // its capacity does
	// All instances of a pool whose capacity changes, of others those that take several
	// calls at once.
	instances map[spillway.InstanceID]*instance
}

// instance is one that may be taken away from what it runs.
type instance struct {
	function *spillway.Function
	flights  []*flight // that it runs, in order of their start; none: idle or starting
	starting bool
}

func newPoolState(p *spillway.Pool, m *PoolModel) poolState {
	return poolState{model: m, inits: map[spillway.InstanceID]start{}, instances: map[spillway.InstanceID]*instance{},
		changes: len(m.Capacity) > 0 && !p.Kind.Cloud()}
}

func (s *poolState) begin(id spillway.InstanceID, f *spillway.Function) {
	if s.changes || f.Concurrency > 1 {
		s.instances[id] = &instance{function: f, starting: true}
	}
}

// ready reports whether the instance is still there.
func (s *poolState) ready(id spillway.InstanceID) bool {
	in := s.instances[id]
	if in != nil {
		in.starting = false
	}
	return in != nil || !s.changes
}

// use gives a call to an instance. If it is the first one there and waited for the
// start, that was its cold start; a call that comes later to an instance that was
// started ahead, or that was handed another one while it waited, met none.
func (s *poolState) use(id spillway.InstanceID, x *flight, waited bool) (took start, cold bool) {
	if in := s.of(id); in != nil {
		in.flights = append(in.flights, x)
	}
	if len(s.inits) > 0 {
		if took, cold = s.inits[id]; cold {
			delete(s.inits, id)
		}
	}
	if !waited {
		return start{}, false
	}
	return took, cold
}

// of is what is known of an instance, or nil.
func (s *poolState) of(id spillway.InstanceID) *instance {
	if len(s.instances) == 0 {
		return nil
	}
	return s.instances[id]
}

// rest takes the call off an instance, which may end with it, and returns the other
// calls that end then.
func (s *poolState) rest(id spillway.InstanceID, x *flight, gone bool) (others []*flight) {
	in := s.of(id)
	if in != nil {
		if at := slices.Index(in.flights, x); at >= 0 {
			in.flights = slices.Delete(in.flights, at, at+1)
		}
	}
	if !gone {
		return nil
	}
	s.forget(id)
	if in != nil {
		others = in.flights
	}
	return others
}

func (s *poolState) forget(id spillway.InstanceID) {
	if len(s.inits) > 0 {
		delete(s.inits, id)
	}
	delete(s.instances, id)
}

// away returns the outage at a time since the start of the trace, or nil.
func (s *poolState) away(at time.Duration) *Away {
	i, found := slices.BinarySearchFunc(s.model.Away, at, func(a Away, at time.Duration) int {
		switch {
		case at < a.From:
			return 1
		case at >= a.To:
			return -1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &s.model.Away[i]
}
