package dispatcher

import (
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/placement"
)

// scanPerTenant bounds how many calls of one tenant are tried in one pass, so
// that a head that does not fit does not hold up those behind it, and a long
// queue does not hold up the Engine.
const scanPerTenant = 16

// scanEvery is when the next pass comes at the latest that goes on with a queue.
const scanEvery = 100 * time.Millisecond

// wait keeps the call in its tenant's queue until the time e.decision grants it.
// It reports false when that time is over.
func (e *Engine) wait(now spillway.Instant, h Handle, r *record) bool {
	d, f := r.d, r.d.Call.Function
	since := now
	if r.state == callWaiting {
		since = r.waitFrom
	}
	until := since.Add(f.MaxWait - d.Waited) // what it ran before is no wait
	if e.decision.Short {
		until = e.patience(d)
	}
	until = min(until, d.Deadline)
	if now >= until {
		return false
	}
	if e.mayWait(now, d) && e.allowed(d)&e.cloud != 0 {
		until = min(until, e.patience(d)) // it may burst then, or would have
	}
	t := r.tenant
	if r.state != callWaiting {
		if t.calls() >= maxWaiting {
			d.Limit = spillway.Limit{Kind: spillway.LimitWaiting, Name: f.FunctionKey.Namespace, Used: int64(t.calls()), Need: 1, Max: maxWaiting}
			return false
		}
		e.joinQueue(now, h, r, t)
	}
	eases := e.reopensAt(now, f)
	if at := e.recheckAt(now, f); now < at && at != spillway.Never {
		e.easing, eases = true, min(eases, at)
	}
	e.easeAt = min(e.easeAt, eases)
	if t.offline {
		e.idle.easeAt = min(e.idle.easeAt, eases)
		e.idle.count(r, -1)
		r.forCloud = e.waitsForCloud()
		e.idle.count(r, +1)
	}
	if r.timerAt <= now || until < r.timerAt {
		r.timerAt = until
		e.timers.push(timer{at: until, call: h})
	}
	return true
}

// patience is until when a call waits for on-prem before it may go to a cloud.
func (e *Engine) patience(d *Decision) spillway.Instant {
	if f := d.Call.Function; f.Offline {
		return d.Admitted.Add(f.MaxWait)
	}
	return d.Admitted.Add(e.platform.BurstPolicies[d.Call.Function.Policy].OnPremWaitBudget)
}

func (e *Engine) mayWait(now spillway.Instant, d *Decision) bool { return now < e.patience(d) }

// recheckAt is when a cloud limit that filtered this call eases by itself, or Never.
func (e *Engine) recheckAt(now spillway.Instant, f *spillway.Function) spillway.Instant {
	at := spillway.Never
	if b := e.bursts[f.Policy]; b.fullSince != 0 && !b.open && now < b.opensAt(now) {
		at = b.opensAt(now)
	}
	for i, c := range e.clouds {
		if c != nil && e.decision.Filtered[i] == placement.FilterCapacity {
			at = min(at, c.retryAt(now))
		}
	}
	return at
}

// reopensAt is when a burst window or a breaker that filtered this call may let it
// through, or a pool looks for a place again, or Never.
func (e *Engine) reopensAt(now spillway.Instant, f *spillway.Function) spillway.Instant {
	at := spillway.Never
	for _, s := range e.owned {
		if fits := s.fitsAt(now, f); now < fits && e.decision.Filtered[s.pool.Index] == placement.FilterCapacity {
			at = min(at, fits)
		}
	}
	for i, c := range e.clouds {
		if c == nil {
			continue
		}
		switch e.decision.Filtered[i] {
		case placement.FilterClosed:
			at = min(at, e.bursts[f.Policy].windowAt(now))
		case placement.FilterUnavailable:
			if opens := max(c.breaker.opensAt(now), c.function(f).breaker.opensAt(now)); now < opens {
				at = min(at, opens)
			}
		}
	}
	return at
}

func (e *Engine) joinQueue(now spillway.Instant, h Handle, r *record, t *tenant) {
	after := t.last
	if r.job != nil { // its place is that of its first attempt
		for after != 0 && e.record(after).d.Admitted > r.d.Admitted {
			after = e.record(after).prev
		}
	}
	r.state, r.waitFrom, r.prev, r.next, r.forCloud = callWaiting, now, after, 0, false
	if t.count == 0 {
		list := e.listOf(t)
		*list = append(*list, t)
		t.first, t.last, t.least, t.shared, t.looked = h, h, unbounded, false, e.idle.freed
	} else {
		e.link(h, r, t)
	}
	t.count++
	if t.offline {
		e.idle.count(r, +1)
	}
	t.least = least(t.least, r.d.Call.Function.Instance)
	t.shared = t.shared || r.d.Call.Function.Concurrency > 1
	r.lacking = e.full()
	e.queue(now, r, +1)
}

// link puts h into the list of t behind r.prev.
func (e *Engine) link(h Handle, r *record, t *tenant) {
	if r.prev == 0 {
		r.next, t.first = t.first, h
	} else {
		before := e.record(r.prev)
		r.next, before.next = before.next, h
	}
	if r.next == 0 {
		t.last = h
	} else {
		e.record(r.next).prev = h
	}
}

var unbounded = spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}

func least(a, b spillway.Resources) spillway.Resources {
	return spillway.Resources{Slots: min(a.Slots, b.Slots), MilliCPU: min(a.MilliCPU, b.MilliCPU), MiB: min(a.MiB, b.MiB)}
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
	if r.job != nil {
		t.jobs--
	}
	if t.offline {
		e.idle.count(r, -1)
	}
	if t.count == 0 {
		e.dropWaiting(t)
	}
	e.queue(now, r, -1)
	r.state = callFree
	r.d.Waited += time.Duration(now - r.waitFrom)
}

func (e *Engine) dropWaiting(t *tenant) {
	list := e.listOf(t)
	for i, n := range *list {
		if n == t {
			(*list)[i] = (*list)[len(*list)-1]
			*list = (*list)[:len(*list)-1]
			return
		}
	}
}

// drain offers freed room to the calls that wait: first to the tenant that runs
// least on-prem, ties to the one whose head has waited longest; within a tenant in
// order of arrival. Offline work comes after all that, if it may fit now. freedCloud says that a cloud place may have become free too.
func (e *Engine) drain(now spillway.Instant, freedCloud bool) {
	if freedCloud && e.idle.clouds > 0 {
		e.idle.ease()
	}
	e.drainFirst(now, freedCloud, len(e.waiting)+len(e.idle.waiting))
}

// drainFirst is drain that gives up when nothing fits of so many tenants. What does
// not fit in one pass is not tried again in it: others only take room.
func (e *Engine) drainFirst(now spillway.Instant, freedCloud bool, tenants int) {
	if len(e.waiting) == 0 && !e.idle.may() {
		return
	}
	e.pass++
	if len(e.futile) < len(e.platform.Functions) {
		e.futile = make([]futility, len(e.platform.Functions))
	}
	for tenants > 0 {
		t := e.neediest(freedCloud && e.cloudsHaveRoom(now))
		if t == nil {
			return
		}
		if !e.serve(now, t) {
			t.aside = e.pass
			tenants--
		}
	}
}

// neediest returns the waiting tenant that comes first of those that may have a call
// that fits, or nil.
func (e *Engine) neediest(clouds bool) *tenant {
	if best := e.neediestOf(e.waiting, clouds, false); best != nil || !e.idle.may() {
		return best
	}
	best := e.neediestOf(e.idle.waiting, clouds, true)
	e.idle.due = best != nil
	return best
}

// neediestOf is neediest of a list: of offline work, or of the rest. Each has pools of
// its own.
func (e *Engine) neediestOf(list []*tenant, clouds, offline bool) (best *tenant) {
	if len(list) == 0 {
		return nil
	}
	var rooms [spillway.MaxPools]spillway.Resources
	n := 0
	for _, s := range e.owned {
		if (s.pool.Kind == spillway.PoolOffline) != offline {
			continue
		}
		if s.idleSlots > s.evictable.Slots || s.idleSlots > 0 && s.capacity.Exceeds(s.promised, spillway.Resources{}) != spillway.DimNone {
			clouds = true // kept for functions of which a call may wait, or more than there is room for
			break
		}
		if room, some := s.room(); some {
			rooms[n] = room
			n++
		}
	}
	for _, t := range list {
		switch {
		case t.aside == e.pass, offline && !e.idle.mayServe(t), !clouds && !t.shared && !anyHolds(rooms[:n], t.least):
		case best == nil, t.inUse < best.inUse, t.inUse == best.inUse && e.record(t.first).d.Admitted < e.record(best.first).d.Admitted:
			best = t
		}
	}
	return best
}

// room is what instances may still hold, idle ones making way.
func (s *onPremState) room() (room spillway.Resources, some bool) {
	firm := s.promised.Sub(s.evictable)
	room = s.capacity.Sub(firm)
	return room, room.Slots > 0 && room.MilliCPU > 0 && room.MiB > 0
}

func anyHolds(rooms []spillway.Resources, need spillway.Resources) bool {
	for i := range rooms {
		if need.Slots <= rooms[i].Slots && need.MilliCPU <= rooms[i].MilliCPU && need.MiB <= rooms[i].MiB {
			return true
		}
	}
	return false
}

// cloudsHaveRoom reports that some cloud is below its limit of calls at once and not
// closed. If none is, calls that wait are looked at when one opens.
func (e *Engine) cloudsHaveRoom(now spillway.Instant) bool {
	opens := spillway.Never
	for i, c := range e.clouds {
		if c == nil {
			continue
		}
		if at := max(c.throttledUntil, c.breaker.opensAt(now)); now < at {
			opens = min(opens, at)
			continue
		}
		l := &e.platform.Pools[i].Limits
		if (l.Concurrency == 0 || c.inFlight < l.Concurrency) && (l.MemoryMiB == 0 || c.inFlightMiB < l.MemoryMiB) {
			return true
		}
	}
	e.easeAt = min(e.easeAt, opens)
	return false
}

// futility is the latest pass in which a call of a function did not fit, and what may
// set others of the function apart from it: the pools that they may use, and that
// they still wait for on-prem.
type futility struct {
	pass    uint64
	allowed spillway.PoolSet
	mayWait bool
}

// futileNow is what holds for calls like this one if it does not fit now.
func (e *Engine) futileNow(now spillway.Instant, d *Decision) futility {
	return futility{e.pass, e.allowed(d), e.mayWait(now, d)}
}

// serve places the first of a tenant's waiting calls that fits. A pass that finds
// none goes on where it ended the next time, so that calls behind many that do not
// fit have their turn.
func (e *Engine) serve(now spillway.Instant, t *tenant) bool {
	h := t.scan
	if h == 0 {
		h, t.since = t.first, e.idle.freed
	}
	all, needs := h == t.first, unbounded
	var alike likeJob
	for i := 0; h != 0 && i < scanPerTenant; i++ {
		r := e.record(h)
		next, f := r.next, r.d.Call.Function
		needs = least(needs, f.Instance)
		if r.job != nil {
			if like := e.likeJob(r); like != alike || r.job.silent(now) {
				if e.place(now, h) {
					t.scan = 0
					return true
				}
				alike = like.unless(e.cloud)
			}
		} else if like := e.futileNow(now, r.d); e.futile[f.Index] != like || r.tried != 0 || r.first != 0 {
			if e.place(now, h) {
				t.scan = 0
				return true
			}
			// Budgets are of the window in which a call was admitted.
			if r.tried == 0 && r.first == 0 && !slices.Contains(e.decision.Filtered[:], placement.FilterBudget) {
				e.futile[f.Index] = like
			}
		}
		h = next
	}
	switch t.scan = h; {
	case h != 0: // those behind have their turn, also if nothing else happens
		e.easeAt = min(e.easeAt, now.Add(scanEvery))
	default:
		t.looked = t.since
		if all {
			t.least = needs
		}
	}
	return false
}
