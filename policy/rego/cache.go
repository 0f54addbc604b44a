package rego

import (
	"sync"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
)

// cacheHalf is how many verdicts each half of a cache holds at most.
const cacheHalf = 8192

// cached is a verdict and the instant from which it no longer counts.
type cached struct {
	verdict *policy.Verdict
	until   spillway.Instant
}

// cache keeps the verdicts used last, at most two halves of them. What is used
// while it is in the old half moves to the young one; when that is full it becomes
// the old one and the previous old half is dropped. Readers share a lock and
// write nothing.
type cache struct {
	mu         sync.RWMutex
	young, old map[policy.Input]cached
	half       int
}

func newCache(half int) *cache {
	return &cache{young: map[policy.Input]cached{}, half: half}
}

// find returns the verdict of in that counts at now, or nil.
func (c *cache) find(in *policy.Input, now spillway.Instant) *policy.Verdict {
	c.mu.RLock()
	hit, young := c.young[*in]
	ok := young
	if !young {
		hit, ok = c.old[*in]
	}
	c.mu.RUnlock()
	if !ok || now >= hit.until {
		return nil
	}
	if !young {
		c.keep(*in, hit)
	}
	return hit.verdict
}

func (c *cache) keep(in policy.Input, v cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.half {
		c.young, c.old = make(map[policy.Input]cached, c.half), c.young
	}
	c.young[in] = v
}

func (c *cache) size() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.young) + len(c.old)
}
