package server

import (
	"time"

	"github.com/spillway-dev/spillway"
)

// maxDrift is how far the wall clock may run ahead before it is followed.
const maxDrift = time.Second

// clock never goes back: it counts from one reading of the wall clock on the
// monotonic clock, and follows the wall clock when that jumps ahead. The Server's
// lock guards it.
type clock struct {
	start time.Time
	base  spillway.Instant
}

func newClock() clock {
	now := time.Now()
	return clock{start: now, base: spillway.InstantOf(now)}
}

func (c *clock) now() spillway.Instant {
	t := time.Now()
	at := c.base.Add(t.Sub(c.start))
	if wall := spillway.InstantOf(t); wall.Sub(at) > maxDrift {
		c.start, c.base = t, wall
		return wall
	}
	return at
}
