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
	inFlight       int64
	requests       sliding
	throttledUntil spillway.Instant
	ramps          map[int]*ramp // by function index
}

// ramp mirrors the growth of one function's environments.
type ramp struct {
	inFlight           int64
	step               int64
	current, previous  int64 // peaks of inFlight in this and the last step
	newEnvironmentsFor sliding
}

func newCloudState() *cloudState {
	return &cloudState{requests: sliding{step: 100 * time.Millisecond}, ramps: map[int]*ramp{}}
}

func (c *cloudState) ramp(fn int) *ramp {
	r := c.ramps[fn]
	if r == nil {
		r = &ramp{newEnvironmentsFor: sliding{step: time.Second}}
		c.ramps[fn] = r
	}
	return r
}

// grows reports whether one more call needs an environment that is not known to
// exist.
func (r *ramp) grows(now spillway.Instant) bool {
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

// probe reports what the provider's limits would say of one more call.
func (c *cloudState) probe(now spillway.Instant, p *spillway.Pool, fn int) placement.Fit {
	full := func(kind spillway.LimitKind, used, limit int64) placement.Fit {
		return placement.Fit{Filter: placement.FilterCapacity, Limit: spillway.Limit{
			Kind: kind, Name: p.Name, Class: spillway.ClassCloud, Dim: spillway.DimSlots, Used: used, Need: 1, Max: limit}}
	}
	if now < c.throttledUntil {
		return full(spillway.LimitThrottled, 0, 0)
	}
	l := p.Limits
	if l.Concurrency > 0 && c.inFlight >= l.Concurrency {
		return full(spillway.LimitConcurrency, c.inFlight, l.Concurrency)
	}
	if l.RequestsPerSecond > 0 {
		if n := c.requests.sum(now); n >= l.RequestsPerSecond {
			return full(spillway.LimitRequestRate, n, l.RequestsPerSecond)
		}
	}
	if l.RampPer10s > 0 {
		if r := c.ramp(fn); r.grows(now) {
			if n := r.newEnvironmentsFor.sum(now); n >= l.RampPer10s {
				return full(spillway.LimitRamp, n, l.RampPer10s)
			}
		}
	}
	return placement.Fit{}
}

func (c *cloudState) start(now spillway.Instant, fn int) {
	r := c.ramp(fn)
	if r.grows(now) {
		r.newEnvironmentsFor.add(now)
	}
	c.requests.add(now)
	c.inFlight++
	r.inFlight++
	r.current = max(r.current, r.inFlight)
}

func (c *cloudState) end(fn int) {
	c.inFlight--
	c.ramp(fn).inFlight--
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
