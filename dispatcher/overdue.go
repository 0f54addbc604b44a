package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
)

// placedWithin is what a start has at least to get its place, however little of its
// wait budget a call has left.
const placedWithin = 20 * time.Millisecond

// expect plans the look at a call that waits for an instance to start, if the pool may
// take long to find a place for that and the call may go to a cloud instead.
func (e *Engine) expect(now spillway.Instant, h Handle, r *record, s *onPremState) {
	r.timerAt = 0
	if s.measured && e.allowed(r.d)&e.cloud != 0 {
		e.lookAt(h, r, max(e.patience(r.d), now.Add(placedWithin)))
	}
}

func (e *Engine) lookAt(h Handle, r *record, at spillway.Instant) {
	r.timerAt = at
	e.timers.push(timer{at: at, call: h})
}

// overdue handles a call whose wait budget is over while its instance is starting. If
// that has no place yet, the call goes where there is one, and the start goes on for
// others. Else the call waits on, and is looked at ever more rarely.
func (e *Engine) overdue(now spillway.Instant, h Handle, r *record) {
	d, was := r.d, r.d.Call.Function
	f := e.current(&d.Call)
	if f == nil || d.Tries == MaxAttempts {
		return
	}
	d.Call.Function = f
	if !r.instances.hasPlaceFor(h) && now >= e.patience(d) && e.findElsewhere(now, r) {
		r.instances.activating.remove(h)
		e.endActivation(now, h, r, spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseNoRoom, Detail: "its instance had no place within onPremWaitBudget"})
		e.assign(now, h, r)
		e.drain(now, false)
		return
	}
	if e.allowed(d)&e.cloud != 0 {
		waited := now.Sub(d.Last().Placed)
		e.lookAt(h, r, max(e.patience(d), now.Add(max(scanEvery, waited/2))))
	}
	d.Call.Function = was
}

// findElsewhere decides for a call that waits for its instance where else it may run
// now. What is said about the call is untouched if that is nowhere.
func (e *Engine) findElsewhere(now spillway.Instant, r *record) bool {
	d := r.d
	limit, filtered, used := d.Limit, d.Filtered, d.QuotaUsed
	e.decide(now, r)
	e.feel(now, r)
	if e.decision.Pool >= 0 {
		return true
	}
	d.Limit, d.Filtered, d.QuotaUsed = limit, filtered, used
	return false
}

// hasPlaceFor reports that the instance which the call will get has its place.
func (fs *functionState) hasPlaceFor(h Handle) bool {
	return fs.activating.among(h, fs.placed*fs.fn.Concurrency)
}

// hasPlace notes that an instance that is starting has its place.
func (in *instance) hasPlace() {
	if in.state == starting && !in.placed {
		in.placed = true
		in.of.placed++
	}
}

// arrived notes that an instance is not coming any more.
func (in *instance) arrived() {
	in.of.coming--
	if in.placed {
		in.placed = false
		in.of.placed--
	}
}

// warmFor reports that an instance of f has a place for a call now.
func (s *onPremState) warmFor(f *spillway.Function) bool {
	fs := s.functions[f.Index]
	return fs.idle != nil || fs.room != nil
}
