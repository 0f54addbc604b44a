package dispatcher

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/placement"
)

// idleWork is what waits for idle capacity. Ends of online calls free nothing of that,
// so they do not look at it.
type idleWork struct {
	waiting []*tenant
	jobs    int              // that wait
	clouds  int              // calls that wait for a place in a cloud
	freed   uint64           // counts what may let something fit that did not
	due     bool             // it is looked at in the next pass
	easeAt  spillway.Instant // when time may have let a call fit that waits, or Never
}

// free notes that room or quota for offline work may have become free.
func (w *idleWork) free() {
	w.freed++
	w.due = len(w.waiting) > 0
}

// ease notes that a cloud or time may let a call fit.
func (w *idleWork) ease() {
	for _, t := range w.waiting {
		if t.calls() > 0 {
			t.since, t.looked, w.due = w.freed-1, w.freed-1, true
		}
	}
}

func (w *idleWork) count(r *record, by int) {
	if r.job != nil {
		w.jobs += by
	}
	if r.forCloud {
		w.clouds += by
	}
}

func (w *idleWork) may() bool { return w.due && len(w.waiting) > 0 }

// mayServe reports whether something of t may fit that did not when it was looked at.
// A job that waits for a cloud tries again by itself.
func (w *idleWork) mayServe(t *tenant) bool { return t.looked != w.freed }

// freeIdle notes that room or quota may have become free that an instance of s held.
func (e *Engine) freeIdle(s *onPremState) {
	if s.pool.Kind == spillway.PoolOffline {
		e.idle.free()
	}
}

// waitsForCloud reports that the call in e.decision would have taken a place in a cloud.
func (e *Engine) waitsForCloud() bool {
	for _, i := range e.query.Order {
		switch e.decision.Filtered[i] {
		case placement.FilterCapacity, placement.FilterQuota, placement.FilterBudget, placement.FilterUnavailable, placement.FilterClosed:
			if e.cloud.Has(i) {
				return true
			}
			if e.query.MayWait {
				return false
			}
		}
	}
	return false
}

// listOf is where t waits.
func (e *Engine) listOf(t *tenant) *[]*tenant {
	if t.offline {
		return &e.idle.waiting
	}
	return &e.waiting
}

// likeJob is what sets jobs of a namespace apart that wait for idle capacity: when one
// does not fit, those like it do not either.
type likeJob struct {
	need      spillway.Resources
	allowed   spillway.PoolSet
	placeless bool
}

func (e *Engine) likeJob(r *record) likeJob {
	return likeJob{r.job.Need, e.allowed(r.d), r.job.placeless()}
}

// unless is l, or like no other if it may run in one of the pools.
func (l likeJob) unless(pools spillway.PoolSet) likeJob {
	if l.allowed&pools != 0 {
		return likeJob{}
	}
	return l
}
