package simulator

import (
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
)

// poolState is what the simulator knows of one pool beside the Engine.
type poolState struct {
	model *PoolModel
	inits map[spillway.InstanceID]start // of instances that no call has used

	// Of a pool whose capacity changes: its instances. Nil otherwise.
	instances map[spillway.InstanceID]*instance
}

// instance is one of a pool whose capacity changes.
type instance struct {
	function *spillway.Function
	flight   *flight // that it runs; nil: idle or starting
	starting bool
}

func newPoolState(p *spillway.Pool, m *PoolModel) poolState {
	s := poolState{model: m, inits: map[spillway.InstanceID]start{}}
	if len(m.Capacity) > 0 && !p.Kind.Cloud() {
		s.instances = map[spillway.InstanceID]*instance{}
	}
	return s
}

func (s *poolState) begin(id spillway.InstanceID, f *spillway.Function, took start) {
	s.inits[id] = took
	if s.instances != nil {
		s.instances[id] = &instance{function: f, starting: true}
	}
}

// ready reports whether the instance is still there.
func (s *poolState) ready(id spillway.InstanceID) bool {
	if s.instances == nil {
		return true
	}
	in := s.instances[id]
	if in != nil {
		in.starting = false
	}
	return in != nil
}

// use gives a call to an instance. If it is the first one there and waited for the
// start, that was its cold start; a call that comes later to an instance that was
// started ahead, or that was handed another one while it waited, met none.
func (s *poolState) use(id spillway.InstanceID, x *flight, waited bool) (took start, cold bool) {
	if in := s.instances[id]; in != nil {
		in.flight = x
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

// rest takes the call off an instance, which may end with it.
func (s *poolState) rest(id spillway.InstanceID, gone bool) {
	if gone {
		s.forget(id)
	} else if in := s.instances[id]; in != nil {
		in.flight = nil
	}
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
