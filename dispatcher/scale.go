package dispatcher

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/keepalive"
	"github.com/spillway-dev/spillway/dispatcher/placement"
)

// scales reports that the pool has windows of load in place of keepers.
func (s *onPremState) scales() bool { return s.pool.KeepAlivePolicy.Kind == spillway.KeepAliveWindows }

// loaded notes that fs has so many more calls that run on its instances or wait for one.
func (s *onPremState) loaded(fs *functionState, now spillway.Instant, more int) {
	fs.calls += more
	if s.scales() {
		s.told(fs, now)
	}
}

// told tells the windows of fs its load, and has them looked at soon.
func (s *onPremState) told(fs *functionState, now spillway.Instant) {
	if fs.retired {
		return
	}
	if fs.windows == nil {
		fs.windows = keepalive.NewWindows(s.pool.KeepAlivePolicy, s.pool.KeepAlive)
	}
	fs.windows.Load(now, fs.calls+fs.queued)
	s.check(fs, now.Add(checkEvery))
}

// full are the on-prem pools that had no room for the call in e.decision; those where
// quota stands against it too are not among them.
func (e *Engine) full() (pools spillway.PoolSet) {
	for _, s := range e.owned {
		if e.decision.Filtered[s.pool.Index] == placement.FilterCapacity {
			pools = pools.With(s.pool.Index)
		}
	}
	return pools
}

// queue tells the pools that scale of a call that begins to wait for room there, or no
// longer does.
func (e *Engine) queue(now spillway.Instant, r *record, more int) {
	f := r.d.Call.Function
	if r.lacking == 0 || f.Platform != e.platform { // counted anew by the reload under way
		return
	}
	for _, s := range e.owned {
		if r.lacking.Has(s.pool.Index) && s.scales() {
			fs := s.functions[f.Index]
			fs.queued += more
			s.told(fs, now)
		}
	}
}

// scale ends instances of fs beyond what its windows want that have been idle for a
// stable window, or starts what is missing, and returns when to look again. Like other
// starts ahead of calls these take no room that a call may want.
func (e *Engine) scale(s *onPremState, fs *functionState, now spillway.Instant) spillway.Instant {
	want := fs.windows.Wanted(now, fs.total-fs.coming, fs.fn.Concurrency)
	for !want.Hold && fs.bottom != nil && fs.total > max(fs.minWarm, want.Wanted) {
		if at := fs.bottom.since.Add(s.pool.KeepAlivePolicy.Stable); now < at {
			return min(want.Until, at)
		}
		e.evict(s, fs.bottom)
	}
	for want.Start && fs.total < want.Wanted {
		if now < fs.aheadAt {
			return min(want.Until, fs.aheadAt)
		}
		if !e.spareRoom(now, s, fs.fn) {
			fs.aheadAt = now.Add(warmRetry)
			continue
		}
		e.launch(now, s, fs.fn)
	}
	return want.Until
}
