package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// EndJob takes how an attempt ended; it reports whether that attempt was open. One that
// ran is posted, and what it held is free. One whose end is not known holds on until it
// cannot be running any more, or its end is told after all; then it is an estimate.
func (e *Engine) EndJob(now spillway.Instant, uid string, end JobEnd) ([]Effect, bool) {
	e.out = e.out[:0]
	j := e.jobs.open[uid]
	if j == nil || j.attempt != end.Attempt {
		return e.out, false
	}
	r := e.record(j.at)
	switch {
	case j.state == JobAdmitted && end.Outcome.Class == spillway.Unknown:
		e.loseJob(now, j, r, end.Outcome)
	case j.state == JobAdmitted:
		line := billing.KindCharge
		if end.Outcome.Class == spillway.NotExecuted {
			line = billing.KindVoid
		}
		e.finishJob(now, j.at, r, end.Outcome, line)
	default:
		e.forgetJob(now, j)
	}
	return e.out, true
}

// RevokeJob takes back an admitted attempt that nobody was told of: it may be asked for
// again. The effects are valid until the next event.
func (e *Engine) RevokeJob(now spillway.Instant, uid string) []Effect {
	e.out = e.out[:0]
	if j := e.jobs.open[uid]; j != nil && j.state == JobAdmitted {
		e.revokeJob(now, j, e.record(j.at))
	}
	return e.out
}

func (e *Engine) revokeJob(now spillway.Instant, j *job, r *record) {
	e.returnRoom(now, r)
	r.d.Tries = 0 // it was never told, so there was no attempt
	e.forgetJob(now, j)
	e.drain(now, false)
}

// loseJob notes that nobody knows how an attempt ended.
func (e *Engine) loseJob(now spillway.Instant, j *job, r *record, o spillway.Outcome) {
	a := r.d.Last()
	a.Outcome, j.told = o, true
	if j.lost == 0 {
		j.lost = now
	}
	over := j.lost.Add(lostJob)
	if j.Timeout > 0 {
		began := max(a.Placed, j.asked)
		if o.Usage.Started != 0 {
			began = o.Usage.Started
		}
		over = max(now, began.Add(j.Timeout).Add(jobMargin))
	}
	if j.over == 0 || over < j.over {
		j.over = over
		e.timers.push(timer{at: over, call: j.at})
	}
}

// lostFor is what an attempt is billed whose end nobody knows: its time limit, or what it
// can have run before it was lost.
func (j *job) lostFor(a *Attempt) spillway.Outcome {
	o := a.Outcome
	if o.Usage.Started == 0 {
		o.Usage.Started = a.Placed
	}
	lasted := j.Timeout
	if lasted <= 0 {
		lasted = max(time.Millisecond, j.lost.Sub(o.Usage.Started))
	}
	o.Usage.DurationMicros, o.Usage.Estimated = lasted.Microseconds(), true
	return o
}

// finishJob posts the line of an attempt that held room, and gives the room to others.
func (e *Engine) finishJob(now spillway.Instant, h Handle, r *record, o spillway.Outcome, line billing.Kind) {
	a := r.d.Last()
	a.Ended, a.Outcome = now, o
	r.d.Answered = now
	e.post(h, r.d, line, 0)
	e.returnRoom(now, r)
	e.forgetJob(now, r.job)
	e.drain(now, false)
}

func (e *Engine) returnRoom(now spillway.Instant, r *record) {
	e.quota.Release(&r.ask, 0)
	r.tenant.inUse--
	if pool := r.d.Last().Pool; pool >= 0 {
		e.unhold(now, e.onPrem[pool], r.ask.Need)
	}
	e.idle.free()
}

// forgetJob ends what is kept of an attempt, but that it was there.
func (e *Engine) forgetJob(now spillway.Instant, j *job) {
	attempts := j.d.Earlier + j.d.Tries
	if j.state == JobCloud {
		attempts = j.attempt // its line is that of the call
	}
	e.jobs.end(j.UID, attempts, j.d.Admitted)
	delete(e.jobs.open, j.UID)
	e.closeJob(now, j)
}

// closeJob gives back the record of a job, if it has one.
func (e *Engine) closeJob(now spillway.Instant, j *job) {
	r := e.record(j.at)
	if r == nil {
		return
	}
	e.leaveQueue(now, j.at, r)
	e.freeCall = append(e.freeCall, uint32(j.at))
	r.d, r.job, r.state, j.at = nil, nil, callFree, 0
}

// jobDue handles a timer of a job.
func (e *Engine) jobDue(now spillway.Instant, h Handle, r *record) {
	j := r.job
	switch {
	case r.state == callWaiting && now >= r.timerAt:
		e.placeJob(now, h, r)
	case r.state != callRunning:
	case !j.told && j.silent(now):
		e.revokeJob(now, j, r)
	case !j.told:
		e.timers.push(timer{at: j.asked.Add(AskWithin + 1), call: h})
	case j.over != 0 && now >= j.over:
		e.finishJob(now, h, r, j.lostFor(r.d.Last()), billing.KindEstimate)
	}
}
