package keepalive

import (
	"time"

	"github.com/spillway-dev/spillway"
)

const (
	// fewSamples is below what no histogram is believed.
	fewSamples = 5
	// leastSpread is the coefficient of variation below which idle times are too
	// even to say when the next call comes.
	leastSpread = 2
	// smoothing is the part of a smoothed idle time that the newest has.
	smoothing = 0.3
	// forecastMargin is the least margin on a smoothed idle time on either side.
	forecastMargin = 0.15
)

// Hybrid is the hybrid histogram policy: an instance is stopped at once if the head
// of the idle times allows it, started again shortly before that, and kept until
// their tail. While there are few idle times, or their bins are too even, it is kept
// for a fixed window. When most are longer than the histogram, the next is taken to
// be their exponentially smoothed mean, with a margin of 15 % or twice their smoothed
// deviation; the paper fits an ARIMA model there.
type Hybrid struct {
	head, tail, margin int64
	window             time.Duration
	seen               *histogram
	mean, deviation    float64 // of idle times, smoothed, in nanoseconds

	fresh      uint32 // idle times since start and end were worked out
	start, end time.Duration
}

// NewHybrid makes the policy of one function. window is how long instances are kept
// while the idle times say nothing.
func NewHybrid(p spillway.KeepAlivePolicy, window time.Duration) *Hybrid {
	return &Hybrid{head: p.HeadPercent, tail: p.TailPercent, margin: p.MarginPercent, window: window, end: window}
}

// Taken learns that a place was needed that had been idle for so long; negative: it
// is not known how long.
func (k *Hybrid) Taken(_ spillway.Instant, _ int, idle time.Duration) {
	if idle < 0 {
		return
	}
	if k.seen == nil {
		k.seen = new(histogram)
		k.mean = float64(idle)
	}
	k.seen.add(idle)
	k.smooth(float64(idle))
	if k.fresh++; k.fresh > (k.seen.inside+k.seen.beyond)/16 {
		k.fresh = 0
		k.start, k.end = k.work()
	}
}

func (k *Hybrid) smooth(idle float64) {
	miss := max(idle-k.mean, k.mean-idle)
	k.deviation += smoothing * (miss - k.deviation)
	k.mean += smoothing * (idle - k.mean)
}

// work finds the ages between which an instance should be there.
func (k *Hybrid) work() (start, end time.Duration) {
	h := k.seen
	switch {
	case h.inside+h.beyond < fewSamples:
		return 0, k.window
	case h.beyond > h.inside:
		margin := max(forecastMargin*k.mean, 2*k.deviation)
		return time.Duration(max(0, k.mean-margin)), time.Duration(k.mean + margin)
	case h.spread() < leastSpread:
		return 0, k.window
	}
	first, last := h.percentile(k.head), h.percentile(k.tail)+1
	start = time.Duration(first) * binWidth * time.Duration(100-k.margin) / 100
	end = time.Duration(last) * binWidth * time.Duration(100+k.margin) / 100
	return start, end
}

// Warm reports whether an instance should be there for a place of this age, and the
// age up to which that holds.
func (k *Hybrid) Warm(_ spillway.Instant, _ int, idle time.Duration) (warm bool, until time.Duration) {
	switch {
	case idle < k.start:
		return false, k.start
	case idle < k.end:
		return true, k.end
	}
	return false, never
}
