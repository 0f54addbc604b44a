package dispatcher

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher/placement"
)

// Ending is how a driver reports the end of an attempt.
type Ending struct {
	Outcome spillway.Outcome
	// InstanceGone reports that the on-prem instance ended with the attempt and is
	// reaped.
	InstanceGone bool
}

// Complete takes the end of the call's latest attempt: it settles quota and
// money, posts the line, and answers the call or places it again. A handle that is
// not running an attempt is ignored.
func (e *Engine) Complete(now spillway.Instant, h Handle, end Ending) []Effect {
	e.out = e.out[:0]
	r := e.record(h)
	if r == nil || r.state != callRunning {
		return e.out
	}
	a := r.d.Last()
	a.Ended, a.Outcome = now, end.Outcome
	r.state = callFree
	if s := e.onPrem[a.Pool]; s != nil {
		e.completeOnPrem(now, h, r, s, &end)
		e.drain(now, false)
	} else {
		e.completeCloud(now, h, r, &a.Outcome)
		e.drain(now, true)
	}
	return e.out
}

func (e *Engine) completeOnPrem(now spillway.Instant, h Handle, r *record, s *onPremState, end *Ending) {
	e.quota.Release(&r.ask, 0)
	r.tenant.inUse--
	e.burst(r.d.Call.Function).onPremEnd(now, r.ask.Need.MiB, &end.Outcome.Usage)
	s.loaded(r.on.of, now, -1)
	if end.Outcome.Cause == spillway.CauseReclaimed && !r.on.dying {
		s.takenBack(r.on.of.fn.Instance)
	}
	e.free(now, s, r.on, end.InstanceGone)
	e.freeIdle(s)
	if end.Outcome.Class == spillway.NotExecuted {
		e.post(h, r.d, billing.KindVoid, 0)
		e.again(now, h, r, end.Outcome.Cause == spillway.CauseInitFailed)
		return
	}
	e.post(h, r.d, billing.KindCharge, 0)
	if end.Outcome.Cause == spillway.CauseReclaimed && r.d.Call.Function.Retry == spillway.RetryIdempotent {
		e.again(now, h, r, false)
		return
	}
	e.reply(now, h, r)
}

func (e *Engine) completeCloud(now spillway.Instant, h Handle, r *record, o *spillway.Outcome) {
	d, a := r.d, r.d.Last()
	if o.Class != spillway.Unknown || now < d.Deadline { // else the caller's haste says nothing of the cloud
		r.cloud.judged(now, o)
	} else {
		r.cloud.judged(now, &spillway.Outcome{Cause: spillway.CauseCancelled})
	}
	if o.Class == spillway.Unknown {
		e.unknown(now, h, r)
		return
	}
	if a.Outcome.Usage.Estimated { // our own clock may run past the provider's limits
		most := providerLimit(a)
		a.Outcome.Usage.BilledMillis = min(a.Outcome.Usage.BilledMillis, most.Milliseconds())
		a.Outcome.Usage.DurationMicros = min(a.Outcome.Usage.DurationMicros, most.Microseconds())
	}
	if o.Class == spillway.NotExecuted {
		r.cloud.end(now, &spillway.Usage{})
		e.quota.Release(&r.ask, 0)
		if o.Cause == spillway.CauseThrottled {
			e.clouds[a.Pool].throttled(now, o.RetryAfter)
		}
		e.post(h, d, billing.KindVoid, 0)
		e.again(now, h, r, true)
		return
	}
	r.cloud.end(now, &a.Outcome.Usage)
	a.Settled = settle(a, e.platform.Pools[a.Pool].Kind)
	e.quota.Release(&r.ask, a.Settled)
	e.post(h, d, billing.KindCharge, a.Settled)
	e.reply(now, h, r)
}

// settle is the cost of an executed cloud attempt, rounded up. A cost that does
// not fit is booked as what was reserved for it.
func settle(a *Attempt, kind spillway.PoolKind) spillway.Nano {
	b := &a.Function.Bindings[a.Pool]
	u := &a.Outcome.Usage
	mib := u.MemoryMiB
	if mib == 0 {
		mib = b.MiB
	}
	n, err := b.Rate.CeilNano(billing.Meter(*u, b.Rate, kind), spillway.Resources{MiB: mib})
	if err != nil {
		return a.Reserved
	}
	return n
}

// unknown keeps what the attempt holds until it cannot be running any more. The
// call is placed again only if its function says that is safe.
func (e *Engine) unknown(now spillway.Instant, h Handle, r *record) {
	d := r.d
	e.keepOpen(now, r)
	if d.Call.Function.Retry == spillway.RetryIdempotent {
		e.again(now, h, r, true)
		return
	}
	e.reply(now, h, r)
}

// again places a call whose attempt was not executed, or may be repeated. exclude
// keeps it off the pool that failed.
func (e *Engine) again(now spillway.Instant, h Handle, r *record, exclude bool) {
	d := r.d
	if exclude {
		r.tried = r.tried.With(d.Last().Pool)
	}
	r.timerAt = 0
	if f := e.current(&d.Call); f != nil {
		d.Call.Function = f
	} else {
		e.decision = placement.Decision{Pool: -1, Reason: spillway.ReasonDenied}
		d.Limit = spillway.Limit{Kind: spillway.LimitRemoved, Name: d.Call.Function.String()}
		e.giveUp(now, h, r)
		return
	}
	if d.Tries == MaxAttempts {
		e.decision = placement.Decision{Pool: -1, Reason: spillway.ReasonUnavailable}
		e.giveUp(now, h, r)
		return
	}
	e.place(now, h)
}

// giveUp answers a call that has been attempted and cannot be placed again: with
// what is known of its last attempt if that is an answer, else with a refusal.
func (e *Engine) giveUp(now spillway.Instant, h Handle, r *record) {
	if r.d.Tries == 0 {
		e.refuse(now, h, r, e.decision.Reason)
		return
	}
	last := r.d.Last().Outcome
	switch {
	case last.Class == spillway.Unknown, last.Cause == spillway.CauseInitFailed:
		e.leaveQueue(now, h, r)
		e.reply(now, h, r)
	case last.Cause == spillway.CauseThrottled, last.Cause == spillway.CauseNoRoom:
		e.refuse(now, h, r, spillway.ReasonNoCapacity)
	case last.Cause == spillway.CauseQuota:
		r.d.Limit = spillway.Limit{Kind: spillway.LimitPoolQuota, Name: e.platform.Pools[r.d.Last().Pool].Name}
		e.refuse(now, h, r, spillway.ReasonQuotaExceeded)
	default:
		e.refuse(now, h, r, e.decision.Reason)
	}
}

// free takes a call off its instance, and returns the instance to calls that wait
// for one of its function, to the idle list, or, when it is gone and its last call
// has ended, its room to the pool.
func (e *Engine) free(now spillway.Instant, s *onPremState, in *instance, gone bool) {
	in.calls--
	if gone || in.exited || in.dying {
		if !in.dying {
			in.dying = true
			since := now
			if in.state == idle {
				since = in.since
			}
			s.lost(in.of, now, since)
			s.setTotal(in.of, -1)
			s.promised = s.promised.Sub(in.of.fn.Instance)
			in.offer()
		}
		if in.calls > 0 {
			return
		}
		s.gone(in)
		s.warmAt = min(s.warmAt, now)
		e.startPending(s)
		return
	}
	e.hand(now, s, in, false)
}

// hand gives the free places of an instance to the first calls that wait for one of
// its function. One without calls rests, or is stopped when its function is retired.
// fresh says that it has just been started.
func (e *Engine) hand(now spillway.Instant, s *onPremState, in *instance, fresh bool) {
	for int(in.calls) < in.of.fn.Concurrency {
		h, ok := in.of.activating.pop()
		if !ok {
			break
		}
		if r := e.record(h); r != nil && r.state == callActivating {
			r.d.Waited += now.Sub(r.d.Last().Placed)
			e.run(h, r, in)
		}
	}
	in.offer()
	switch {
	case in.calls > 0:
	case in.of.retired:
		s.setTotal(in.of, -1)
		s.promised = s.promised.Sub(in.of.fn.Instance)
		e.stop(s, in)
	default:
		s.rest(in, now)
		s.rested(in, now, fresh)
	}
}
