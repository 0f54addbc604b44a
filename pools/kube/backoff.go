package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

const (
	// firstRest is how long no pod is made for a function after a start that failed; it
	// doubles with each further one up to longestRest.
	firstRest   = time.Second
	longestRest = time.Minute
)

// resting is a function revision whose latest start failed for its own reasons.
type resting struct {
	function *spillway.Function
	failed   int // starts, one after the other
	until    time.Time
	trying   bool // one start finds out whether it is better now
	last     *pools.StartError
}

// revision names what rests.
type revision struct {
	spillway.FunctionKey
	revision string
}

func revisionOf(f *spillway.Function) revision { return revision{f.FunctionKey, f.Revision} }

// mayStart says why no pod is made for a function now: its latest starts failed, and the
// next is not due, or under way. It is the error of the latest; mu is held.
func (p *Pool) mayStart(f *spillway.Function, now time.Time) error {
	r := p.resting[revisionOf(f)]
	switch {
	case r == nil:
		return nil
	case !sameCode(r.function, f):
		delete(p.resting, revisionOf(f))
		return nil
	case r.trying:
		return r.again("until the start that is under way has ended")
	case now.Before(r.until):
		return r.again(fmt.Sprintf("for %s", r.until.Sub(now).Round(100*time.Millisecond)))
	}
	r.trying = true
	return nil
}

func (r *resting) again(when string) error {
	return &pools.StartError{Type: r.last.Type, Err: fmt.Errorf("%w (%d starts failed one after the other; none is tried %s)", r.last.Err, r.failed, when)}
}

// tried takes how a start ended that mayStart allowed; mu is held. Want of room, a quota
// and a start that nobody waits for say nothing of the function.
func (p *Pool) tried(f *spillway.Function, err error, now time.Time) {
	r := p.resting[revisionOf(f)]
	failure, own := errors.AsType[*pools.StartError](err)
	switch {
	case err == nil:
		delete(p.resting, revisionOf(f))
	case !own || errors.Is(err, pools.ErrNoRoom) || errors.Is(err, pools.ErrQuota) || errors.Is(err, context.Canceled):
		if r != nil {
			r.trying = false
		}
	default:
		if r == nil || !sameCode(r.function, f) {
			r = &resting{function: f}
			p.resting[revisionOf(f)] = r
		}
		if now.After(r.until) { // several that were begun together are one
			r.failed++
			r.until = now.Add(min(firstRest<<min(r.failed-1, 10), longestRest))
		}
		r.last, r.trying = failure, false
	}
}

// FailedStarts is, by function and revision, why the latest start failed, where none has
// succeeded since and it was tried in the last minutes.
func (p *Pool) FailedStarts() map[spillway.FunctionKey]map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[spillway.FunctionKey]map[string]string{}
	for of, r := range p.resting {
		if all[of.FunctionKey] == nil {
			all[of.FunctionKey] = map[string]string{}
		}
		all[of.FunctionKey][of.revision] = r.last.Error()
	}
	return all
}

// rested forgets functions that nobody has started for long; mu is held.
func (p *Pool) rested(now time.Time) {
	for of, r := range p.resting {
		if !r.trying && now.Sub(r.until) > 2*longestRest {
			delete(p.resting, of)
		}
	}
}

// sameCode reports whether what failed for one will for the other.
func sameCode(a, b *spillway.Function) bool {
	return a == b || a.Package.Digest == b.Package.Digest && a.Package.Path == b.Package.Path && a.Image == b.Image && a.Handler == b.Handler &&
		a.Contract == b.Contract && a.ServiceAccount == b.ServiceAccount && a.Instance == b.Instance && slices.Equal(a.Env, b.Env)
}
