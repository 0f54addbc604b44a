package simulator

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets of a 32nd of their size, so a quantile is
// up to 3.2 % above the true one. Durations below 32 µs are exact to 1 µs; those
// above 2^40 µs, two weeks, count as that.
type Histogram struct {
	counts []uint64 // grown to the highest bucket used
	total  uint64
	sum    time.Duration // exact, saturating
	max    time.Duration
}

const (
	subBits   = 5
	maxMicros = 1 << 40
)

func bucketOf(micros uint64) int {
	if micros < 1<<subBits {
		return int(micros)
	}
	exp := bits.Len64(micros) - subBits - 1
	return exp<<subBits + int(micros>>exp)
}

// ceiling is the largest duration of a bucket, in microseconds.
func ceiling(bucket int) uint64 {
	if bucket < 1<<(subBits+1) {
		return uint64(bucket)
	}
	exp := bucket>>subBits - 1
	return (uint64(bucket&(1<<subBits-1)|1<<subBits)+1)<<exp - 1
}

// Add counts d, which is not negative.
func (h *Histogram) Add(d time.Duration) {
	h.total++
	h.max = max(h.max, d)
	if h.sum += d; h.sum < 0 {
		h.sum = 1<<63 - 1
	}
	i := bucketOf(uint64(min(max(d.Microseconds(), 0), maxMicros)))
	for i >= len(h.counts) {
		h.counts = append(h.counts, 0)
	}
	h.counts[i]++
}

// Merge counts the durations of o, too.
func (h *Histogram) Merge(o *Histogram) {
	h.total += o.total
	h.max = max(h.max, o.max)
	if h.sum += o.sum; h.sum < 0 {
		h.sum = 1<<63 - 1
	}
	for len(h.counts) < len(o.counts) {
		h.counts = append(h.counts, 0)
	}
	for i, n := range o.counts {
		h.counts[i] += n
	}
}

// Count returns how many durations were counted.
func (h *Histogram) Count() int64 { return int64(h.total) }

// Max returns the longest duration.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean returns the mean duration, zero of none.
func (h *Histogram) Mean() time.Duration {
	if h.total == 0 {
		return 0
	}
	return h.sum / time.Duration(h.total)
}

// Quantile returns the smallest duration, rounded up to its bucket, that at least a
// share q in [0, 1] of all do not exceed; zero if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	need := max(uint64(q*float64(h.total)+0.999999), 1)
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; seen >= need {
			return min(time.Duration(ceiling(i))*time.Microsecond, h.max)
		}
	}
	return h.max
}

// Points returns the cumulative distribution: for each bucket in use its ceiling and
// the share of durations up to it.
func (h *Histogram) Points() (at []time.Duration, share []float64) {
	seen := uint64(0)
	for i, n := range h.counts {
		if n == 0 {
			continue
		}
		seen += n
		at = append(at, min(time.Duration(ceiling(i))*time.Microsecond, h.max))
		share = append(share, float64(seen)/float64(h.total))
	}
	return at, share
}
