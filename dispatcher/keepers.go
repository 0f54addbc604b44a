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
	// maxVacant bounds the places of one function that are remembered without an
	// instance.
	maxVacant = 16
	// checkEvery is the least time between two looks at the places of a function, so
	// that one with many idle instances costs little.
	checkEvery = time.Second
	// aheadRetry is how long a place is left without an instance that was taken from
	// it, or did not fit.
	aheadRetry = time.Minute
)

// vacancy is a place of a function that has no instance.
type vacancy struct {
	since  spillway.Instant // when it was last in use
	retry  spillway.Instant // no start before this
	coming bool             // an instance is being started for it
}

// keeping is what a pool with a keeper remembers of a function. The zero value
// belongs to one without.
type keeping struct {
	keeper  keeper
	vacant  []vacancy        // by since, the newest last
	ahead   int              // of them, those that are coming
	checkAt spillway.Instant // when its places are looked at
	slot    int              // in the pool's checks plus one; zero: not there
}

// keeps reports that the pool asks keepers.
func (s *onPremState) keeps() bool { return s.pool.KeepAlivePolicy.Kind != spillway.KeepAliveFixed }

// taken tells the keeper of fs that an instance was needed, either one that was idle
// since then or one that is to be started.
func (s *onPremState) taken(fs *functionState, now, since spillway.Instant, wasIdle bool) {
	if !s.keeps() {
		return
	}
	if fs.keeper == nil {
		fs.keeper = newKeeper(s.pool)
	}
	idle := time.Duration(-1)
	if last := len(fs.vacant) - 1; last >= 0 && (!wasIdle || fs.vacant[last].since > since) {
		v := fs.vacant[last]
		idle = now.Sub(v.since)
		fs.fill(last)
		if wasIdle { // its instance came from an older place, which has none now
			fs.vacate(vacancy{since: since})
		}
	} else if wasIdle {
		idle = now.Sub(since)
	}
	fs.keeper.Taken(now, fs.total-fs.idleCount-fs.ahead, idle)
}

// fill forgets a vacancy.
func (fs *functionState) fill(i int) vacancy {
	v := fs.vacant[i]
	if v.coming {
		fs.ahead--
	}
	fs.vacant = append(fs.vacant[:i], fs.vacant[i+1:]...)
	return v
}

// vacate remembers a place that has lost its instance; the oldest is forgotten for it.
func (fs *functionState) vacate(v vacancy) {
	if fs.vacant == nil {
		fs.vacant = make([]vacancy, 0, maxVacant)
	}
	if len(fs.vacant) == maxVacant {
		if v.since < fs.vacant[0].since {
			return
		}
		fs.fill(0)
	}
	fs.vacant = append(fs.vacant, v)
	for i := len(fs.vacant) - 1; i > 0 && fs.vacant[i-1].since > fs.vacant[i].since; i-- {
		fs.vacant[i-1], fs.vacant[i] = fs.vacant[i], fs.vacant[i-1]
	}
}

// lost notes that a place of fs lost its instance, but not because its keeper wanted
// that.
func (s *onPremState) lost(fs *functionState, now, since spillway.Instant) {
	if fs.keeper == nil || fs.retired {
		return
	}
	fs.vacate(vacancy{since: since, retry: now.Add(aheadRetry)})
	s.check(fs, now.Add(aheadRetry))
}

// rested plans the end of an instance that has become idle. One that was started
// ahead takes over its place.
func (s *onPremState) rested(in *instance, now spillway.Instant, fresh bool) {
	fs := in.of
	if fs.keeper == nil {
		if !s.keeps() {
			return
		}
		fs.keeper = newKeeper(s.pool)
	}
	if fresh && fs.ahead > 0 {
		for i := len(fs.vacant) - 1; i >= 0; i-- {
			if fs.vacant[i].coming {
				in.since = fs.fill(i).since
				break
			}
		}
	}
	age := now.Sub(in.since)
	warm, until := fs.keeper.Warm(now, fs.total, age)
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
		next := min(e.letGo(s, fs, now), e.startAhead(s, fs, now))
		s.check(fs, max(next, now.Add(checkEvery)))
	}
}

// letGo stops idle instances of fs that should not be there, the oldest first, and
// returns when to look again.
func (e *Engine) letGo(s *onPremState, fs *functionState, now spillway.Instant) spillway.Instant {
	next := spillway.Never
	for in := fs.bottom; in != nil && fs.total > fs.minWarm; {
		above := in.above
		warm, until := fs.keeper.Warm(now, fs.total, now.Sub(in.since))
		if warm {
			next = min(next, later(in.since, until))
		} else {
			since := in.since
			e.evict(s, in)
			fs.vacate(vacancy{since: since})
		}
		in = above
	}
	return next
}

// startAhead starts instances for places of fs that should have one, and returns
// when to look again. A start takes no room that a call may want: none is made while
// calls wait, nor without room for another of its size.
func (e *Engine) startAhead(s *onPremState, fs *functionState, now spillway.Instant) spillway.Instant {
	next := spillway.Never
	for i := len(fs.vacant) - 1; i >= 0; i-- {
		v := &fs.vacant[i]
		if v.coming {
			continue
		}
		warm, until := fs.keeper.Warm(now, fs.total+1, now.Sub(v.since))
		switch {
		case !warm:
			next = min(next, later(v.since, until))
		case now < v.retry:
			next = min(next, v.retry)
		case e.spareRoom(s, fs.fn):
			v.coming = true
			fs.ahead++
			e.launch(now, s, fs.fn)
		default:
			v.retry = now.Add(aheadRetry)
			next = min(next, v.retry)
		}
	}
	return next
}

// spareRoom reports that a start of f holds up no call: the pool has room for two.
func (e *Engine) spareRoom(s *onPremState, f *spillway.Function) bool {
	return len(e.waiting) == 0 && !e.ending && !s.pool.Retired && f.Permitted.Has(s.pool.Index) &&
		s.pool.Capacity.Exceeds(s.promised.Add(f.Instance), f.Instance) == spillway.DimNone
}

// aheadFailed forgets places whose instance will not come, or went to a call.
func (fs *functionState) aheadFailed() {
	for i := 0; i < len(fs.vacant) && fs.ahead > fs.coming; {
		if fs.vacant[i].coming {
			fs.fill(i)
		} else {
			i++
		}
	}
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
		if s.keeps() && (fs.idle != nil || len(fs.vacant) > 0) {
			if fs.keeper == nil {
				fs.keeper = newKeeper(s.pool)
			}
			s.check(fs, now)
		}
	}
}
