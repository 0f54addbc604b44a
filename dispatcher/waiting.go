package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/placement"
)

// scanPerTenant bounds how many calls of one tenant are tried in one pass, so
// that a head that does not fit does not hold up those behind it, and a long
// queue does not hold up the Engine.
const scanPerTenant = 16

// wait keeps the call in its tenant's queue until the time e.decision grants it.
// It reports false when that time is over.
func (e *Engine) wait(now spillway.Instant, h Handle, r *record) bool {
	d, f := r.d, r.d.Call.Function
	until := d.Admitted.Add(f.MaxWait)
	if e.decision.Short {
		until = d.Admitted.Add(e.platform.BurstPolicies[f.Policy].OnPremWaitBudget)
	}
	until = min(until, d.Deadline)
	if now >= until {
		return false
	}
	if b := &e.platform.BurstPolicies[f.Policy]; b.Shadow && d.ShadowPool == 0 {
		if patience := d.Admitted.Add(b.OnPremWaitBudget); now < patience {
			until = min(until, patience) // it would have burst then
		}
	}
	t := r.tenant
	if r.state != callWaiting {
		if t.count >= maxWaiting {
			d.Limit = spillway.Limit{Kind: spillway.LimitWaiting, Name: f.FunctionKey.Namespace, Used: int64(t.count), Need: 1, Max: maxWaiting}
			return false
		}
		e.joinQueue(now, h, r, t)
	}
	if at := e.recheckAt(now, f); now < at && at != spillway.Never {
		e.easing = true
		until = min(until, at)
	}
	if r.timerAt <= now || until < r.timerAt {
		r.timerAt = until
		e.timers.push(timer{at: until, call: h})
	}
	return true
}

// recheckAt is when a cloud limit that filtered this call eases by itself, or Never.
func (e *Engine) recheckAt(now spillway.Instant, f *spillway.Function) spillway.Instant {
	at := spillway.Never
	if b := e.bursts[f.Policy]; b.fullSince != 0 && !b.open {
		at = b.opensAt(now)
	}
	for i, c := range e.clouds {
		if c != nil && e.decision.Filtered[i] == placement.FilterCapacity {
			at = min(at, c.retryAt(now))
		}
	}
	return at
}

func (e *Engine) joinQueue(now spillway.Instant, h Handle, r *record, t *tenant) {
	r.state, r.waitFrom, r.prev, r.next = callWaiting, now, t.last, 0
	if t.count == 0 {
		e.waiting = append(e.waiting, t)
		t.first = h
	} else {
		e.record(t.last).next = h
	}
	t.last = h
	t.count++
}

// leaveQueue ends the wait of a call, if it waits.
func (e *Engine) leaveQueue(now spillway.Instant, h Handle, r *record) {
	if r.state != callWaiting {
		return
	}
	t := r.tenant
	if r.prev != 0 {
		e.record(r.prev).next = r.next
	} else {
		t.first = r.next
	}
	if r.next != 0 {
		e.record(r.next).prev = r.prev
	} else {
		t.last = r.prev
	}
	if t.scan == h {
		t.scan = r.next
	}
	t.count--
	if t.count == 0 {
		e.dropWaiting(t)
	}
	r.state = callFree
	r.d.Waited += time.Duration(now - r.waitFrom)
}

func (e *Engine) dropWaiting(t *tenant) {
	for i, n := range e.waiting {
		if n == t {
			e.waiting[i] = e.waiting[len(e.waiting)-1]
			e.waiting = e.waiting[:len(e.waiting)-1]
			return
		}
	}
}

// drain offers freed room to the calls that wait: first to the tenant that runs
// least on-prem, ties to the one whose head has waited longest; within a tenant in
// order of arrival. freedCloud says that a cloud place may have become free too.
func (e *Engine) drain(now spillway.Instant, freedCloud bool) {
	e.drainFirst(now, freedCloud, len(e.waiting))
}

// drainFirst is drain that gives up when nothing fits of so many tenants.
func (e *Engine) drainFirst(now spillway.Instant, freedCloud bool, tenants int) {
	for skip := 0; skip < min(tenants, len(e.waiting)) && (freedCloud || !e.saturated()); {
		t := e.neediest(skip)
		if !e.serve(now, t) {
			// Nothing of this tenant fits now: set it aside for this pass.
			for i := skip; i < len(e.waiting); i++ {
				if e.waiting[i] == t {
					e.waiting[i], e.waiting[skip] = e.waiting[skip], e.waiting[i]
				}
			}
			skip++
		} else {
			skip = 0
		}
	}
}

// neediest returns the waiting tenant from position skip on that comes first.
func (e *Engine) neediest(skip int) *tenant {
	best := e.waiting[skip]
	for _, t := range e.waiting[skip+1:] {
		if t.inUse < best.inUse || (t.inUse == best.inUse && e.record(t.first).d.Admitted < e.record(best.first).d.Admitted) {
			best = t
		}
	}
	return best
}

// serve places the first of a tenant's waiting calls that fits. A pass that finds
// none goes on where it ended the next time, so that calls behind many that do not
// fit have their turn.
func (e *Engine) serve(now spillway.Instant, t *tenant) bool {
	h := t.scan
	if h == 0 {
		h = t.first
	}
	for i := 0; h != 0 && i < scanPerTenant; i++ {
		next := e.record(h).next
		if e.place(now, h) {
			t.scan = 0
			return true
		}
		h = next
	}
	t.scan = h
	return false
}

// saturated reports that no on-prem pool has room for anything.
func (e *Engine) saturated() bool {
	for _, s := range e.onPrem {
		if s != nil && (s.oldest != nil || s.pool.Capacity.Exceeds(s.promised, spillway.Resources{Slots: 1}) == spillway.DimNone) {
			return false
		}
	}
	return true
}
