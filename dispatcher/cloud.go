package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/placement"
)

// throttleBackoff is how long a pool is left alone after a throttle that named
// no time.
const throttleBackoff = time.Second

// environmentMemory is how long a provider is assumed to keep an idle
// environment; half of it is one step of the peak.
const environmentMemory = 60 * time.Second

// cloudState mirrors what the provider counts, so that we stop before it does.
type cloudState struct {
	inFlight, inFlightMiB int64
	requests              sliding
	growth                sliding // new environments of the account, in 6 s steps
	throttledUntil        spillway.Instant
	breaker               breaker
	functions             map[spillway.FunctionKey]*cloudFunction
	byIndex               []cloudSlot // the same, by function index; empty until asked for
}

// cloudSlot is what belongs to one revision of a function.
type cloudSlot struct {
	fn      *cloudFunction
	breaker *breaker
}

// cloudFunction mirrors one function at a provider: the growth of its
// environments, and whether its calls are refused.
type cloudFunction struct {
	inFlight           int64
	step               int64
	current, previous  int64 // peaks of inFlight in this and the last step
	newEnvironmentsFor sliding
	breakers           map[string]*breaker // by revision
}

// cloudUse is what one attempt holds of a cloud.
type cloudUse struct {
	pool               *cloudState
	fn                 *cloudFunction
	breaker            *breaker // of the revision
	burst              *burstState
	mib, worst         int64
	poolTrial, fnTrial bool
}

func newCloudState(functions int) *cloudState {
	return &cloudState{byIndex: make([]cloudSlot, functions), requests: sliding{step: 100 * time.Millisecond}, growth: sliding{step: 6 * time.Second},
		breaker: newBreaker(enoughFailures), functions: map[spillway.FunctionKey]*cloudFunction{}}
}

// function is the state of f, which is of the Engine's platform.
func (c *cloudState) function(f *spillway.Function) cloudSlot {
	if s := c.byIndex[f.Index]; s.fn != nil {
		return s
	}
	r := c.functions[f.FunctionKey]
	if r == nil {
		r = &cloudFunction{newEnvironmentsFor: sliding{step: time.Second}, breakers: map[string]*breaker{}}
		c.functions[f.FunctionKey] = r
	}
	if r.breakers[f.Revision] == nil {
		b := newBreaker(enoughRejects)
		r.breakers[f.Revision] = &b
	}
	c.byIndex[f.Index] = cloudSlot{r, r.breakers[f.Revision]}
	return c.byIndex[f.Index]
}

// reload forgets the functions that p does not have and that hold nothing.
func (c *cloudState) reload(p *spillway.Platform) {
	c.byIndex = make([]cloudSlot, len(p.Functions))
	for key, r := range c.functions {
		if r.inFlight == 0 && p.Function(key) == nil {
			delete(c.functions, key)
		}
	}
}

// grows reports whether one more call needs an environment that is not known to
// exist.
func (r *cloudFunction) grows(now spillway.Instant) bool {
	step := int64(now) / int64(environmentMemory/2)
	switch {
	case step == r.step:
	case step == r.step+1:
		r.previous, r.current, r.step = r.current, r.inFlight, step
	default:
		r.previous, r.current, r.step = r.inFlight, r.inFlight, step
	}
	return r.inFlight >= max(r.current, r.previous)
}

// fits reports whether the provider would take one more call.
func (c *cloudState) fits(now spillway.Instant, p *spillway.Pool, f *spillway.Function, fit *placement.Fit) bool {
	slot := c.function(f)
	fn := slot.fn
	switch {
	case c.breaker.blocks(now):
		*fit = placement.Fit{Filter: placement.FilterUnavailable, Limit: c.breaker.limit("pool " + p.Name)}
		return false
	case slot.breaker.blocks(now):
		*fit = placement.Fit{Filter: placement.FilterUnavailable, Limit: slot.breaker.limit(f.String() + " on " + p.Name)}
		return false
	case now < c.throttledUntil:
		return atLimit(fit, p, spillway.LimitThrottled, spillway.DimSlots, 0, 0, 0)
	}
	l, mib := &p.Limits, f.Bindings[p.Index].MiB
	if l.Concurrency > 0 && c.inFlight >= l.Concurrency {
		return atLimit(fit, p, spillway.LimitConcurrency, spillway.DimSlots, c.inFlight, 1, l.Concurrency)
	}
	if l.MemoryMiB > 0 && mib > l.MemoryMiB-c.inFlightMiB {
		return atLimit(fit, p, spillway.LimitConcurrency, spillway.DimMiB, c.inFlightMiB, mib, l.MemoryMiB)
	}
	if l.RequestsPerSecond > 0 {
		if n := c.requests.sum(now); n >= l.RequestsPerSecond {
			return atLimit(fit, p, spillway.LimitRequestRate, spillway.DimSlots, n, 1, l.RequestsPerSecond)
		}
	}
	if (l.RampPer10s > 0 || l.RampPerMinute > 0) && fn.grows(now) {
		return c.mayGrow(now, p, fn, fit)
	}
	return true
}

// mayGrow reports whether the provider would start one more environment.
func (c *cloudState) mayGrow(now spillway.Instant, p *spillway.Pool, fn *cloudFunction, fit *placement.Fit) bool {
	if limit := p.Limits.RampPer10s; limit > 0 {
		if n := fn.newEnvironmentsFor.sum(now); n >= limit {
			return atLimit(fit, p, spillway.LimitRamp, spillway.DimSlots, n, 1, limit)
		}
	}
	if limit := p.Limits.RampPerMinute; limit > 0 {
		if n := c.growth.sum(now); n >= limit {
			return atLimit(fit, p, spillway.LimitRampMinute, spillway.DimSlots, n, 1, limit)
		}
	}
	return true
}

// atLimit says which limit stands in the way, and returns false.
func atLimit(fit *placement.Fit, p *spillway.Pool, kind spillway.LimitKind, dim spillway.Dimension, used, need, limit int64) bool {
	*fit = placement.Fit{Filter: placement.FilterCapacity, Limit: spillway.Limit{
		Kind: kind, Name: p.Name, Class: spillway.ClassCloud, Dim: dim, Used: used, Need: need, Max: limit}}
	return false
}

// start counts one attempt in, and returns what ends it.
func (c *cloudState) start(now spillway.Instant, p *spillway.Pool, f *spillway.Function, burst *burstState) cloudUse {
	slot := c.function(f)
	fn := slot.fn
	u := cloudUse{pool: c, fn: fn, breaker: slot.breaker, burst: burst, mib: f.Bindings[p.Index].MiB, worst: burst.worst(f, p)}
	if fn.grows(now) {
		fn.newEnvironmentsFor.add(now)
		c.growth.add(now)
	}
	u.poolTrial, u.fnTrial = c.breaker.start(now), slot.breaker.start(now)
	c.requests.add(now)
	u.hold()
	fn.current = max(fn.current, fn.inFlight)
	burst.start(now, u.worst)
	return u
}

func (u *cloudUse) hold() {
	u.pool.inFlight++
	u.pool.inFlightMiB += u.mib
	u.fn.inFlight++
}

// judged tells the breakers how an attempt ended, as far as is known.
func (u *cloudUse) judged(now spillway.Instant, o *spillway.Outcome) {
	u.pool.breaker.end(now, poolEnd(o), u.poolTrial)
	u.breaker.end(now, functionEnd(o), u.fnTrial)
}

// end gives back what an attempt held. Without its usage it is taken to have used
// all that it could.
func (u *cloudUse) end(now spillway.Instant, usage *spillway.Usage) {
	u.pool.inFlight--
	u.pool.inFlightMiB -= u.mib
	u.fn.inFlight--
	u.burst.end(now, u.worst, u.mib, usage)
}

func (c *cloudState) throttled(now spillway.Instant, retryAfter time.Duration) {
	if retryAfter <= 0 {
		retryAfter = throttleBackoff
	}
	c.throttledUntil = max(c.throttledUntil, now.Add(retryAfter))
}

// retryAt is when a limit of the provider will next have eased by itself.
func (c *cloudState) retryAt(now spillway.Instant) spillway.Instant {
	return max(c.throttledUntil, now.Add(100*time.Millisecond))
}
