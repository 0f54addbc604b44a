package dispatcher

import "github.com/spillway-dev/spillway"

// measured takes what a pool was found to have. Idle instances beyond it are stopped,
// and starts beyond it that wait for their room are given up, the latest first: their
// calls are placed again. Nothing that runs is ended.
func (e *Engine) measured(now spillway.Instant, s *onPremState, found spillway.Resources) {
	s.found, s.measured = found, true
	s.eased()
	e.resize(now, s, least(s.pool.Capacity, found))
	if s.cold {
		s.warmAt = min(s.warmAt, now)
	}
	e.startPending(s)
	e.freeIdle(s)
	e.drain(now, true)
}

func (e *Engine) resize(now spillway.Instant, s *onPremState, capacity spillway.Resources) {
	s.capacity = capacity
	var calls []Handle
	for s.overfull() {
		if in := s.victim(); in != nil {
			s.lost(in.of, now, in.since)
			e.evict(s, in)
			continue
		}
		last := len(s.pending) - 1
		if last < 0 {
			break
		}
		fs := s.pending[last]
		s.pending = s.pending[:last]
		calls = append(calls, s.giveUp(now, fs)...)
	}
	for _, h := range calls {
		e.placeAgain(now, h, spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseNoRoom, Detail: "the pool became smaller"}, false)
	}
}

// takenBack notes that others have the room which an instance is losing. What was
// measured may not show that yet, and the next measure does.
func (s *onPremState) takenBack(lost spillway.Resources) {
	for _, of := range []struct {
		found *int64
		lost  int64
	}{{&s.found.Slots, lost.Slots}, {&s.found.MilliCPU, lost.MilliCPU}, {&s.found.MiB, lost.MiB}} {
		if *of.found != spillway.Unlimited {
			*of.found = max(0, *of.found-of.lost)
		}
	}
	s.capacity = least(s.pool.Capacity, s.found)
}

func (s *onPremState) overfull() bool {
	return s.capacity.Exceeds(s.promised, spillway.Resources{}) != spillway.DimNone
}

// giveUp takes back a start that was promised, and returns the calls for which no
// instance is coming now.
func (s *onPremState) giveUp(now spillway.Instant, fs *functionState) []Handle {
	s.cold = true
	fs.coming--
	s.setTotal(fs, -1)
	s.promised = s.promised.Sub(fs.fn.Instance)
	calls := fs.strand()
	s.unclaim(fs, now.Add(aheadRetry))
	return calls
}

// unplaced is told that a pool had no place for an instance that it was thought to have
// room for. None of its size or larger is started for a while, and the calls are placed
// again.
func (e *Engine) unplaced(now spillway.Instant, s *onPremState, in *instance, detail string) {
	f := in.of.fn
	calls := e.notComing(now, s, in)
	s.foundNoPlace(now, f)
	s.cold = true
	s.warmAt = min(s.warmAt, s.fitsAt(now, f))
	for _, h := range calls {
		e.placeAgain(now, h, spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseNoRoom, Detail: detail}, false)
	}
}

// refusedPlace is told that a quota of the pool's own refused an instance. Calls of
// others have room there.
func (e *Engine) refusedPlace(now spillway.Instant, s *onPremState, in *instance, detail string) {
	calls := e.notComing(now, s, in)
	s.warmAt = min(s.warmAt, now.Add(warmRetry))
	for _, h := range calls {
		e.placeAgain(now, h, spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseQuota, Detail: detail}, true)
	}
}
