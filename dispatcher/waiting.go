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
		until = d.Admitted.Add(e.platform.BurstPolicies[f.Policy].OnPremWaitBudget)
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
		if t.count >= maxWaiting {
			d.Limit = spillway.Limit{Kind: spillway.LimitWaiting, Name: f.FunctionKey.Namespace, Used: int64(t.count), Need: 1, Max: maxWaiting}
			return false
		}
		e.joinQueue(now, h, r, t)
	}
	if at := e.recheckAt(now, f); now < at && at != spillway.Never {
		e.easing, e.easeAt = true, min(e.easeAt, at)
	}
	e.easeAt = min(e.easeAt, e.reopensAt(now, f))
	if r.timerAt <= now || until < r.timerAt {
		r.timerAt = until
		e.timers.push(timer{at: until, call: h})
	}
	return true
}

// patience is until when a call waits for on-prem before it may go to a cloud.
func (e *Engine) patience(d *Decision) spillway.Instant {
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
// through, or Never.
func (e *Engine) reopensAt(now spillway.Instant, f *spillway.Function) spillway.Instant {
	at := spillway.Never
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
	r.state, r.waitFrom, r.prev, r.next = callWaiting, now, t.last, 0
	if t.count == 0 {
		e.waiting = append(e.waiting, t)
		t.first, t.least, t.shared = h, unbounded, false
	} else {
		e.record(t.last).next = h
	}
	t.last = h
	t.count++
	t.least = least(t.least, r.d.Call.Function.Instance)
	t.shared = t.shared || r.d.Call.Function.Concurrency > 1
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

// drainFirst is drain that gives up when nothing fits of so many tenants. What does
// not fit in one pass is not tried again in it: others only take room.
func (e *Engine) drainFirst(now spillway.Instant, freedCloud bool, tenants int) {
	if len(e.waiting) == 0 {
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
	var rooms [spillway.MaxPools]spillway.Resources
	n := 0
	for _, s := range e.owned {
		if s.idleSlots > s.evictable.Slots || s.idleSlots > 0 && s.capacity.Exceeds(s.promised, spillway.Resources{}) != spillway.DimNone {
			clouds = true // kept for functions of which a call may wait, or more than there is room for
			break
		}
		if room, some := s.room(); some {
			rooms[n] = room
			n++
		}
	}
	var best *tenant
	for _, t := range e.waiting {
		if t.aside == e.pass || !clouds && !t.shared && !anyHolds(rooms[:n], t.least) {
			continue
		}
		if best == nil || t.inUse < best.inUse || t.inUse == best.inUse && e.record(t.first).d.Admitted < e.record(best.first).d.Admitted {
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
		h = t.first
	}
	all, needs := h == t.first, unbounded
	for i := 0; h != 0 && i < scanPerTenant; i++ {
		r := e.record(h)
		next, f := r.next, r.d.Call.Function
		needs = least(needs, f.Instance)
		if like := e.futileNow(now, r.d); e.futile[f.Index] != like || r.tried != 0 || r.first != 0 {
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
	case all:
		t.least = needs
	}
	return false
}
