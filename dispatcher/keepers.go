package dispatcher

import (
	"math"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/keepalive"
)

// keeper decides for one function on one pool which of its idle instances stay. See
// package keepalive for what a place and its age are.
type keeper interface {
	// Taken tells that an instance was needed for a place idle for so long (negative:
	// not known), and that so many are busy now.
	Taken(now spillway.Instant, busy int, idle time.Duration)
	// Warm reports whether an instance should be there for a place of this age, being
	// the rank-th of the function, and the age up to which that holds.
	Warm(now spillway.Instant, rank int, idle time.Duration) (warm bool, until time.Duration)
}

// newKeeper makes the keeper of a function on a pool; nil for the fixed window,
// which the pool's idle list keeps by itself.
func newKeeper(p *spillway.Pool) keeper {
	switch p.KeepAlivePolicy.Kind {
	case spillway.KeepAliveHybrid:
		return keepalive.NewHybrid(p.KeepAlivePolicy, p.KeepAlive)
	case spillway.KeepAliveForecast:
		return keepalive.NewForecast(p.KeepAlivePolicy, p.KeepAlive)
	case spillway.KeepAliveProvisioned:
		return keepalive.NewProvisioned(p.KeepAlivePolicy, p.KeepAlive)
	}
	return nil
}

const (
	// checkEvery is the least time between two looks at the places of a function, so
	// that one with many idle instances costs little.
	checkEvery = time.Second
	// aheadRetry is how long a place is left without an instance that has lost one, or
	// whose new one did not fit.
	aheadRetry = time.Minute
)

// keeping is what a pool with keepers remembers of a function. The zero value
// belongs to one without.
type keeping struct {
	keeper  keeper
	vacant  vacancies
	windows *keepalive.Windows // in place of the two before
	aheadAt spillway.Instant   // nothing is started for windows before this
	checkAt spillway.Instant   // when its places are looked at
	slot    int                // in the pool's checks plus one; zero: not there
}

// keeps reports that the pool asks keepers, or windows.
func (s *onPremState) keeps() bool { return s.pool.KeepAlivePolicy.Kind != spillway.KeepAliveFixed }

// asks reports that the pool asks keepers.
func (s *onPremState) asks() bool { return s.keeps() && !s.scales() }

// inUse is how many instances run calls or are started for them.
func (fs *functionState) inUse() int { return fs.total - fs.idleCount - fs.vacant.coming }

// rank is the number of the place, idle since then, that the idle-th newest idle
// instance is for.
func (fs *functionState) rank(since spillway.Instant, idle int) int {
	return fs.inUse() + idle + fs.vacant.after(since)
}

// taken tells the keeper of fs that an instance was needed: one that was idle since
// then, or one that is to be started.
func (s *onPremState) taken(fs *functionState, now, since spillway.Instant, wasIdle bool) {
	if !s.asks() {
		return
	}
	if fs.keeper == nil {
		fs.keeper = newKeeper(s.pool)
	}
	idle := time.Duration(-1)
	if newest, ok := fs.vacant.newest(); ok && (!wasIdle || newest > since) {
		idle = now.Sub(newest)
		fs.vacant.drop()
		if wasIdle { // its instance came from an older place, which has none now
			fs.vacant.add(since, 0)
		}
	} else if wasIdle {
		idle = now.Sub(since)
	}
	fs.keeper.Taken(now, fs.inUse(), idle)
}

// lost notes that a place of fs lost its instance, but not because its keeper wanted
// that.
func (s *onPremState) lost(fs *functionState, now, since spillway.Instant) {
	if fs.windows != nil {
		fs.aheadAt = now.Add(aheadRetry)
	}
	if fs.keeper == nil || fs.retired {
		return
	}
	fs.vacant.add(since, now.Add(aheadRetry))
	s.check(fs, now.Add(aheadRetry))
}

// ahead is how many of the instances that are coming no call will take.
func (fs *functionState) ahead() int {
	atOnce := fs.fn.Concurrency
	return fs.coming - (fs.activating.len()+atOnce-1)/atOnce
}

// unclaim leaves places of fs without an instance that are not the next to get one any
// more: it did not come, or a call takes it.
func (s *onPremState) unclaim(fs *functionState, retry spillway.Instant) {
	if fs.windows != nil {
		fs.aheadAt = max(fs.aheadAt, retry)
	}
	if fs.vacant.atMost(fs.ahead(), retry) && !fs.retired {
		s.check(fs, retry)
	}
}

// rested plans the end of an instance that has become idle. One that was started
// ahead takes over its place.
func (s *onPremState) rested(in *instance, now spillway.Instant, fresh bool) {
	fs := in.of
	if s.scales() {
		s.told(fs, now)
	}
	if !s.asks() {
		return
	}
	if fs.keeper == nil {
		fs.keeper = newKeeper(s.pool)
	}
	if since, ok := fs.vacant.arrived(fresh); ok {
		in.since = since
	}
	idle := 1
	for other := in.below; other != nil && other.since > in.since; other = other.below {
		idle++
	}
	age := now.Sub(in.since)
	warm, until := fs.keeper.Warm(now, fs.rank(in.since, idle), age)
	if !warm {
		until = age
	}
	s.check(fs, later(in.since, until))
}

// later is since+age; an age that no place reaches is never.
func later(since spillway.Instant, age time.Duration) spillway.Instant {
	if age == math.MaxInt64 {
		return spillway.Never
	}
	return since.Add(age)
}

// lookAfter stops the idle instances that their keepers do not want any more and
// starts those that they want, where that costs nobody anything.
func (e *Engine) lookAfter(s *onPremState, now spillway.Instant) {
	for len(s.checks) > 0 && s.checks[0].checkAt <= now {
		fs := s.checks[0]
		s.uncheck(fs)
		var next spillway.Instant
		if fs.windows != nil {
			next = e.scale(s, fs, now)
		} else {
			next = min(e.letGo(s, fs, now), e.startAhead(s, fs, now))
		}
		s.check(fs, max(next, now.Add(checkEvery)))
	}
}

// letGo stops idle instances of fs that should not be there, the oldest first, and
// returns when to look again.
func (e *Engine) letGo(s *onPremState, fs *functionState, now spillway.Instant) spillway.Instant {
	next, idle := spillway.Never, fs.idleCount
	for in := fs.bottom; in != nil && fs.total > fs.minWarm; {
		above := in.above
		warm, until := fs.keeper.Warm(now, fs.rank(in.since, idle), now.Sub(in.since))
		if warm {
			next = min(next, later(in.since, until))
		} else {
			since := in.since
			e.evict(s, in)
			fs.vacant.add(since, now.Add(aheadRetry))
		}
		in, idle = above, idle-1
	}
	return next
}

// startAhead starts instances for places of fs that should have one, and returns
// when to look again. A start takes no room that a call may want: none is made while
// calls wait, nor without room for another of its size.
func (e *Engine) startAhead(s *onPremState, fs *functionState, now spillway.Instant) spillway.Instant {
	next, rank, newer := spillway.Never, fs.inUse()+1, fs.idle
	for i := len(fs.vacant.groups) - 1; i >= 0; i-- {
		v := &fs.vacant.groups[i]
		for ; newer != nil && newer.since >= v.since; newer = newer.below {
			rank++
		}
		next = min(next, e.startPlaces(s, fs, v, rank, now))
		rank += v.n
	}
	return next
}

// startPlaces is startAhead for one group, whose first place is of this rank. Those
// of lower rank come first; the first that should have none ends it.
func (e *Engine) startPlaces(s *onPremState, fs *functionState, v *vacancy, rank int, now spillway.Instant) spillway.Instant {
	for v.coming < v.n {
		warm, until := fs.keeper.Warm(now, rank+v.coming, now.Sub(v.since))
		at := later(v.since, until)
		if warm && v.oldest < v.since { // it must hold for all of them
			warm, until = fs.keeper.Warm(now, rank+v.coming, now.Sub(v.oldest))
			at = later(v.oldest, until)
		}
		switch {
		case !warm:
			return at
		case now < v.retry:
			return v.retry
		case !e.spareRoom(now, s, fs.fn):
			v.retry = now.Add(aheadRetry)
			return v.retry
		}
		v.coming++
		fs.vacant.coming++
		e.launch(now, s, fs.fn)
	}
	return spillway.Never
}

// spareRoom reports that a start of f holds up no call: the pool has room for two.
func (e *Engine) spareRoom(now spillway.Instant, s *onPremState, f *spillway.Function) bool {
	return len(e.waiting) == 0 && !e.ending && !s.pool.Retired && f.Permitted.Has(s.pool.Index) &&
		s.capacity.Exceeds(s.promised.Add(f.Instance), f.Instance) == spillway.DimNone && s.fitsAt(now, f) == now
}

// reloadKeepers puts the functions of s under the pool's policy. Those that had the
// same go on with what they know.
func (s *onPremState) reloadKeepers(now spillway.Instant, same bool) {
	for _, fs := range s.checks {
		fs.slot = 0
	}
	s.checks = s.checks[:0]
	var last spillway.Instant
	for in := s.oldest; in != nil; in = in.newer {
		last = max(last, in.since) // the fixed window needs them in order
		if !s.keeps() {
			in.since = last
		}
	}
	for _, fs := range s.functions {
		if !same {
			fs.keeping = keeping{}
		}
		if fs.queued = 0; s.scales() && (fs.idle != nil || fs.calls > 0 || fs.windows != nil) {
			s.told(fs, now)
		}
		if s.asks() && (fs.idle != nil || len(fs.vacant.groups) > 0) {
			if fs.keeper == nil {
				fs.keeper = newKeeper(s.pool)
			}
			s.check(fs, now)
		}
	}
}
