package dispatcher

import "github.com/spillway-dev/spillway"

// ObservationKind is a fact from outside that is not the end of a call.
type ObservationKind uint8

const (
	InstanceReady     ObservationKind = iota // it asked for work
	InstanceFailed                           // it did not start, and is reaped
	InstanceStopped                          // after StopInstance: it is reaped
	InstanceExited                           // it ended by itself while idle, and is reaped
	InstanceReclaimed                        // idle or starting, it was taken away with the room that it held
	InstancePlaced                           // its process or container runs: what is left of its start is its function's own
	InstanceUnplaced                         // it did not start, since the pool had no room for it
	InstanceRefused                          // it did not start, since a quota that is not ours refused it
	PoolCapacity                             // what the pool was found to have
	LedgerDown                               // no intent can be written: no cloud sends
	LedgerUp
)

// Observation is one such fact.
type Observation struct {
	Kind     ObservationKind
	Pool     int
	Instance spillway.InstanceID
	Detail   string // InstanceFailed, Unplaced, Refused: why, for people
	// Capacity of PoolCapacity: no more than that is used until the next one.
	Capacity spillway.Resources
}

// Observe takes a fact from outside.
func (e *Engine) Observe(now spillway.Instant, o Observation) []Effect {
	e.out = e.out[:0]
	switch o.Kind {
	case LedgerDown:
		e.ledgerDown = true
		return e.out
	case LedgerUp:
		e.ledgerDown = false
		e.drain(now, true)
		return e.out
	}
	s := e.onPrem[o.Pool]
	if o.Kind == PoolCapacity {
		e.measured(now, s, o.Capacity)
		return e.out
	}
	in := s.live[o.Instance]
	if in == nil {
		return e.out
	}
	switch o.Kind {
	case InstanceReady:
		if in.exited && s.pool.Kind == spillway.PoolOffline {
			e.unplaced(now, s, in, "its instance was taken away as soon as it had started")
			break
		}
		if in.exited {
			e.failed(now, s, in, "Runtime.ExitError: it ended as soon as it had started")
			break
		}
		in.arrived()
		s.hasFitted(in.of.fn)
		e.hand(now, s, in, true)
	case InstanceFailed:
		e.failed(now, s, in, o.Detail)
	case InstancePlaced:
		in.hasPlace()
		s.hasFitted(in.of.fn)
	case InstanceUnplaced:
		e.unplaced(now, s, in, o.Detail)
	case InstanceRefused:
		e.refusedPlace(now, s, in, o.Detail)
	case InstanceStopped:
		s.gone(in)
		if s.cold {
			s.warmAt = min(s.warmAt, now.Add(keptFor))
		}
		e.startPending(s)
	case InstanceExited:
		e.exited(now, s, in)
	case InstanceReclaimed:
		if in.state == starting {
			e.reclaimed(now, s, in)
		} else {
			e.exited(now, s, in)
		}
	}
	e.freeIdle(s)
	e.drain(now, false)
	return e.out
}

// exited handles an idle death. A busy instance is told apart by its attempt's
// ending, a stopping one by InstanceStopped.
func (e *Engine) exited(now spillway.Instant, s *onPremState, in *instance) {
	switch in.state {
	case idle:
		s.unidle(in)
		in.calls++ // free takes one off
		e.free(now, s, in, true)
	case busy, starting:
		in.exited = true
		in.offer()
	}
}

// failed gives up the room of an instance that did not start and fails the calls
// that have waited longest for one of its function: one at least, and those for
// which none is coming now.
func (e *Engine) failed(now spillway.Instant, s *onPremState, in *instance, detail string) {
	first, ok := in.of.activating.pop()
	rest := e.notComing(now, s, in)
	s.warmAt = min(s.warmAt, now.Add(warmRetry))
	if !ok {
		return
	}
	o := spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseInitFailed, Detail: detail, FunctionError: spillway.FunctionUnhandled}
	e.placeAgain(now, first, o, true)
	for _, h := range rest {
		e.placeAgain(now, h, o, true)
	}
}

// reclaimed places the calls again for which no instance is coming now. It says
// nothing against the pool.
func (e *Engine) reclaimed(now spillway.Instant, s *onPremState, in *instance) {
	rest := e.notComing(now, s, in)
	s.warmAt = min(s.warmAt, now)
	for _, h := range rest {
		e.placeAgain(now, h, spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseCancelled, Detail: "its instance was taken away"}, false)
	}
}

// notComing gives up a starting instance and its room, and returns the calls for which
// no other is coming.
func (e *Engine) notComing(now spillway.Instant, s *onPremState, in *instance) []Handle {
	fs := in.of
	in.arrived()
	stranded := fs.strand()
	s.unclaim(fs, now.Add(aheadRetry))
	s.setTotal(fs, -1)
	s.promised = s.promised.Sub(in.of.fn.Instance)
	s.gone(in)
	e.startPending(s)
	return stranded
}

// strand takes the calls out of the queue for which no instance is coming.
func (fs *functionState) strand() (calls []Handle) {
	for fs.activating.len() > fs.places() {
		h, _ := fs.activating.pop()
		calls = append(calls, h)
	}
	return calls
}

// placeAgain ends an attempt that never got an instance and places its call again;
// elsewhere keeps it off the pool.
func (e *Engine) placeAgain(now spillway.Instant, h Handle, o spillway.Outcome, elsewhere bool) {
	r := e.record(h)
	e.endActivation(now, h, r, o)
	if d := r.d; d.Call.Function.Offline && (o.Cause == spillway.CauseNoRoom || o.Cause == spillway.CauseCancelled) {
		d.Tries-- // room that is not there is waited for, and was no attempt
		d.Attempts[d.Tries] = Attempt{}
	}
	e.again(now, h, r, elsewhere)
}

// endActivation ends an attempt that never got an instance.
func (e *Engine) endActivation(now spillway.Instant, h Handle, r *record, o spillway.Outcome) {
	a := r.d.Last()
	a.Ended, a.Outcome = now, o
	e.onPrem[a.Pool].loaded(r.instances, now, -1)
	r.d.Waited += now.Sub(a.Placed)
	r.state = callFree
	e.quota.Release(&r.ask, 0)
	r.tenant.inUse--
	e.freeIdle(e.onPrem[a.Pool])
}

// Tick does what is due at now: ends waits, stops idle instances, closes attempts
// whose outcome stayed unknown, keeps minWarm.
func (e *Engine) Tick(now spillway.Instant) []Effect {
	e.out = e.out[:0]
	for {
		t, ok := e.timers.pop(now)
		if !ok {
			break
		}
		if t.call == 0 {
			e.closeOpen(now, t.open)
		} else {
			e.due(now, t)
		}
	}
	if e.easeAt <= now {
		e.easeAt = spillway.Never
		e.idle.due = true
		if e.idle.easeAt <= now {
			e.idle.easeAt = spillway.Never
			e.idle.ease()
		}
		e.easeAt = e.idle.easeAt
		e.drain(now, true)
	}
	for _, s := range e.owned {
		if s.keeps() {
			e.lookAfter(s, now)
		} else {
			e.expire(s, now)
		}
		if s.warmAt <= now {
			e.keepWarm(now, s)
		}
	}
	return e.out
}

// due handles a timer of a call.
func (e *Engine) due(now spillway.Instant, t timer) {
	r := e.record(t.call)
	switch {
	case r == nil:
	case r.job != nil:
		e.jobDue(now, t.call, r)
	case r.state == callWaiting && now >= r.timerAt:
		e.place(now, t.call)
	case r.state == callActivating && now >= r.d.Deadline:
		r.instances.activating.remove(t.call)
		e.endActivation(now, t.call, r, spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseCancelled,
			Detail: "the deadline passed while an instance was starting"})
		e.refuse(now, t.call, r, spillway.ReasonDeadline)
		e.drain(now, false)
	case r.state == callActivating && r.timerAt != 0 && now >= r.timerAt:
		e.overdue(now, t.call, r)
	}
}
