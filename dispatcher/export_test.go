package dispatcher

import (
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
)

// CheckInstances counts what is kept of instances again, and reports what differs.
func (e *Engine) CheckInstances() error {
	for _, s := range e.onPrem {
		if s == nil {
			continue
		}
		var evictable spillway.Resources
		for _, fs := range s.functions {
			if err := fs.recounted(); err != nil {
				return fmt.Errorf("%s: %w", fs.fn.FunctionKey, err)
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
	for _, t := range e.waiting {
		for h := t.first; h != 0; h = e.record(h).next {
			d := *e.record(h).d
			r := *e.record(h)
			r.d = &d
			if e.decide(now, &r); e.decision.Pool >= 0 && !e.coming(e.decision.Pool, d.Call.Function) {
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
	return s != nil && s.functions[f.Index].idle == nil && s.functions[f.Index].room == nil && s.functions[f.Index].coming > 0
}
