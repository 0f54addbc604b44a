package dispatcher

import (
	"fmt"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
)

// Timers is how many timers there are, also those that will do nothing.
func (e *Engine) Timers() int { return len(e.timers.heap) }

// CheckInstances counts what is kept of instances again, and reports what differs.
func (e *Engine) CheckInstances() error {
	for _, s := range e.onPrem {
		if s == nil {
			continue
		}
		var evictable spillway.Resources
		placed := map[*functionState]int{}
		for _, in := range s.live {
			if in.placed {
				placed[in.of]++
			}
		}
		calls, queued := e.loads(s)
		for _, fs := range s.functions {
			if fs.calls != calls[fs] || fs.queued != queued[fs] {
				return fmt.Errorf("%s has %d calls and %d that wait for room, counted %d and %d", fs.fn.FunctionKey, fs.calls, fs.queued, calls[fs], queued[fs])
			}
			if err := fs.recounted(); err != nil {
				return fmt.Errorf("%s: %w", fs.fn.FunctionKey, err)
			}
			if placed[fs] != fs.placed || fs.placed > fs.coming {
				return fmt.Errorf("%d of %d starts of %s have a place, counted %d", fs.placed, fs.coming, fs.fn.FunctionKey, placed[fs])
			}
			n := int64(spare(fs.idleCount, fs.total, fs.minWarm))
			r := fs.fn.Instance
			evictable = evictable.Add(spillway.Resources{Slots: n * r.Slots, MilliCPU: n * r.MilliCPU, MiB: n * r.MiB})
		}
		if evictable != s.evictable {
			return fmt.Errorf("evictable %v, counted %v", s.evictable, evictable)
		}
		for i, fs := range s.checks {
			if fs.slot != i+1 || i > 0 && s.checks.less(i, (i-1)/2) {
				return fmt.Errorf("check %d of %s is out of order", i, fs.fn.FunctionKey)
			}
		}
	}
	return nil
}

// loads counts the calls of each function on a pool, and those that wait for room there.
func (e *Engine) loads(s *onPremState) (calls, queued map[*functionState]int) {
	calls, queued = map[*functionState]int{}, map[*functionState]int{}
	for i := range e.calls {
		r := &e.calls[i]
		switch {
		case r.d == nil:
		case r.state == callRunning && e.onPrem[r.d.Pool] == s:
			calls[r.on.of]++
		case r.state == callActivating && e.onPrem[r.d.Pool] == s:
			calls[r.instances]++
		case r.state == callWaiting && r.lacking.Has(s.pool.Index) && s.scales():
			queued[s.functions[r.d.Call.Function.Index]]++
		}
	}
	return calls, queued
}

func (fs *functionState) recounted() error {
	n, last := 0, (*instance)(nil)
	for in := fs.idle; in != nil; in = in.below {
		if in.above != last || in.state != idle {
			return fmt.Errorf("idle instance %d is out of place", in.id)
		}
		last = in
		n++
	}
	if n != fs.idleCount || fs.bottom != last {
		return fmt.Errorf("%d idle, counted %d", fs.idleCount, n)
	}
	if fs.vacant.coming > fs.ahead() {
		return fmt.Errorf("%d places wait for %d instances, %d calls for %d", fs.vacant.coming, fs.ahead(), fs.activating.len(), fs.coming)
	}
	return nil
}

// CheckWaiting reports a call that waits though it has a place, where nothing will
// look at it soon.
func (e *Engine) CheckWaiting(now spillway.Instant) error {
	if e.Next() <= now.Add(scanEvery) || e.ending {
		return nil
	}
	for _, t := range slices.Concat(e.waiting, e.idle.waiting) {
		for h := t.first; h != 0; h = e.record(h).next {
			d := *e.record(h).d
			r := *e.record(h)
			r.d = &d
			if e.decide(now, &r); r.job != nil && e.decision.Pool >= 0 && e.cloud.Has(e.decision.Pool) && r.timerAt <= now.Add(cloudRetry) {
				continue // it tries again by itself
			}
			if e.decision.Pool >= 0 && !e.coming(e.decision.Pool, d.Call.Function) {
				return fmt.Errorf("call %s of %s waits for %s, has a place on %s and is looked at in %s", d.Call.ID, d.Call.Function, time.Duration(now-r.waitFrom),
					e.platform.Pools[e.decision.Pool].Name, time.Duration(e.Next()-now))
			}
		}
	}
	return nil
}

// coming reports that a call of f would wait for an instance that is coming anyway:
// who gets that is decided when it is there.
func (e *Engine) coming(pool int, f *spillway.Function) bool {
	s := e.onPrem[pool]
	return s != nil && f.Index >= 0 && s.functions[f.Index].idle == nil && s.functions[f.Index].room == nil && s.functions[f.Index].coming > 0
}

// CheckJobs counts what jobs hold again, and reports what differs.
func (e *Engine) CheckJobs() error {
	held, n := map[int]spillway.Resources{}, 0
	for uid, j := range e.jobs.open {
		r := e.record(j.at)
		if j.state == JobCloud {
			continue
		}
		if r == nil || r.job != j || (r.state == callRunning) != (j.state == JobAdmitted) {
			return fmt.Errorf("job %s is %s and its record is not", uid, j.state)
		}
		if j.state == JobAdmitted {
			held[j.d.Last().Pool] = held[j.d.Last().Pool].Add(j.Need)
		} else {
			n++
		}
	}
	for i, s := range e.onPrem {
		if s == nil || s.pool.Kind != spillway.PoolOffline {
			continue
		}
		if s.jobsHold != held[i] || s.used != held[i] || s.promised != held[i] {
			return fmt.Errorf("pool %s: jobs hold %v, counted %v, promised %v", s.pool.Name, held[i], s.jobsHold, s.promised)
		}
	}
	queued := 0
	for _, t := range e.idle.waiting {
		queued += t.jobs
		var before spillway.Instant
		for h := t.first; h != 0; h = e.record(h).next {
			if r := e.record(h); r.job == nil || r.d.Admitted < before {
				return fmt.Errorf("job %s is out of its place", r.d.Call.ID)
			} else {
				before = r.d.Admitted
			}
		}
	}
	if queued != n {
		return fmt.Errorf("%d jobs wait, %d are in queues", n, queued)
	}
	return nil
}
