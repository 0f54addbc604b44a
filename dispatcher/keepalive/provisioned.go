package keepalive

import (
	"time"

	"github.com/spillway-dev/spillway"
)

// Provisioned keeps a share of the recent peak of busy instances started, and the
// others for a fixed window. The peak is that of the current and the last window of
// its own.
type Provisioned struct {
	share        int64 // percent
	keep, window time.Duration
	from         spillway.Instant // of the current window
	peak, before int64            // in it, and in the one before
}

// NewProvisioned makes the policy of one function. keep is how long instances above
// the share are kept.
func NewProvisioned(p spillway.KeepAlivePolicy, keep time.Duration) *Provisioned {
	return &Provisioned{share: p.SharePercent, window: p.Window, keep: keep}
}

// roll begins new windows that are due.
func (k *Provisioned) roll(now spillway.Instant) {
	switch age := now.Sub(k.from); {
	case age < k.window:
	case age < 2*k.window:
		k.before, k.peak = k.peak, 0
		k.from = k.from.Add(k.window)
	default:
		k.before, k.peak, k.from = 0, 0, now
	}
}

// Taken learns that so many instances are busy.
func (k *Provisioned) Taken(now spillway.Instant, busy int, _ time.Duration) {
	k.roll(now)
	k.peak = max(k.peak, int64(busy))
}

// Warm reports whether the instance of this rank, counted from 1 over all of the
// function, should be there, and the age of its place up to which that holds.
func (k *Provisioned) Warm(now spillway.Instant, rank int, idle time.Duration) (warm bool, until time.Duration) {
	k.roll(now)
	if floor := (k.share*max(k.peak, k.before) + 99) / 100; int64(rank) <= floor {
		return true, idle + k.from.Add(k.window).Sub(now)
	}
	if idle < k.keep {
		return true, k.keep
	}
	return false, never
}
