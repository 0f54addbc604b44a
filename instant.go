package spillway

import "time"

// Instant is a point in time in nanoseconds since the Unix epoch, UTC. Decision
// code takes Instants so that it holds no clock and allocates nothing.
type Instant int64

// Never is later than every instant a decision can meet.
const Never Instant = 1<<63 - 1

// InstantOf converts t; the monotonic reading is dropped.
func InstantOf(t time.Time) Instant { return Instant(t.UnixNano()) }

// Time returns i as a time in UTC.
func (i Instant) Time() time.Time { return time.Unix(0, int64(i)).UTC() }

// Add returns i+d, saturating at Never.
func (i Instant) Add(d time.Duration) Instant {
	if d > 0 && i > Never-Instant(d) {
		return Never
	}
	return i + Instant(d)
}

// Sub returns i-o.
func (i Instant) Sub(o Instant) time.Duration { return time.Duration(i - o) }
