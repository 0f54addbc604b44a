package simulator

import (
	"time"

	"github.com/spillway-dev/spillway"
)

// fleet is what a cloud holds for the account: environments, kept for a while
// after their last call, and the limits that it enforces.
type fleet struct {
	limits   spillway.CloudLimits
	idleFor  time.Duration
	inFlight int64
	mib      int64
	account  meter // new environments of the account
	requests meter
	idle     [][]spillway.Instant // by function: since when, the last used is last
	ramps    []meter              // by function
}

func newFleet(functions int, m *PoolModel) *fleet {
	f := &fleet{limits: m.Limits, idleFor: m.IdleFor, idle: make([][]spillway.Instant, functions), ramps: make([]meter, functions)}
	f.account = newMeter(m.Limits.RampPerMinute, time.Minute)
	f.requests = newMeter(m.Limits.RequestsPerSecond, time.Second)
	for i := range f.ramps {
		f.ramps[i] = newMeter(m.Limits.RampPer10s, 10*time.Second)
	}
	return f
}

// acquire admits a call of the function, with whether an environment starts for it;
// ok is false when a limit refuses it.
func (f *fleet) acquire(now spillway.Instant, function int, mib int64) (cold, ok bool) {
	idle := f.idle[function]
	if n := len(idle); n > 0 && idle[n-1].Add(f.idleFor) <= now {
		idle = idle[:0] // the last used is gone, so all are
		f.idle[function] = idle
	}
	cold = len(idle) == 0
	switch {
	case f.limits.Concurrency > 0 && f.inFlight+1 > f.limits.Concurrency,
		f.limits.MemoryMiB > 0 && f.mib+mib > f.limits.MemoryMiB,
		!f.requests.has(now),
		cold && (!f.account.has(now) || !f.ramps[function].has(now)):
		return cold, false
	}
	f.requests.take(now)
	if cold {
		f.account.take(now)
		f.ramps[function].take(now)
	} else {
		f.idle[function] = idle[:len(idle)-1]
	}
	f.inFlight++
	f.mib += mib
	return cold, true
}

// release ends a call and keeps its environment.
func (f *fleet) release(now spillway.Instant, function int, mib int64) {
	f.inFlight--
	f.mib -= mib
	idle := f.idle[function]
	if len(idle) == cap(idle) { // before it grows: what is over age at the bottom goes
		gone := 0
		for gone < len(idle) && idle[gone].Add(f.idleFor) <= now {
			gone++
		}
		idle = idle[:copy(idle, idle[gone:])]
	}
	f.idle[function] = append(idle, now)
}

// meter admits n events at once and then n per window, evenly: a token bucket kept
// as the instant at which it will be full again. Zero admits all.
type meter struct {
	interval, window time.Duration
	full             spillway.Instant
}

func newMeter(n int64, window time.Duration) meter {
	if n <= 0 {
		return meter{}
	}
	interval := max(window/time.Duration(n), 1)
	return meter{interval: interval, window: interval * time.Duration(n)}
}

func (m *meter) has(now spillway.Instant) bool {
	return m.window == 0 || m.full.Add(m.interval) <= now.Add(m.window)
}

func (m *meter) take(now spillway.Instant) {
	m.full = max(m.full, now).Add(m.interval)
}
