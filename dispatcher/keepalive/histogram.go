package keepalive

import (
	"math"
	"time"
)

const (
	binWidth = time.Minute
	binCount = 240 // four hours

	// mostSamples is where all counts are halved.
	mostSamples = math.MaxUint32 / 2
)

// histogram counts idle times by the minute, up to four hours.
type histogram struct {
	bins   [binCount]uint32
	inside uint32 // sum of bins
	beyond uint32 // longer idle times
}

// binOf is the bin of an idle time; binCount or more is beyond.
func binOf(idle time.Duration) int { return int(max(0, idle) / binWidth) }

func (h *histogram) add(idle time.Duration) {
	if h.inside >= mostSamples || h.beyond >= mostSamples {
		h.halve()
	}
	if b := binOf(idle); b < binCount {
		h.bins[b]++
		h.inside++
	} else {
		h.beyond++
	}
}

// halve forgets half of what was seen.
func (h *histogram) halve() {
	h.inside, h.beyond = 0, h.beyond/2
	for b := range h.bins {
		h.bins[b] /= 2
		h.inside += h.bins[b]
	}
}

// percentile is the first bin at which percent of the idle times inside have been
// counted. inside must not be zero.
func (h *histogram) percentile(percent int64) int {
	need, sum := uint64(percent)*uint64(h.inside), uint64(0)
	for b, n := range h.bins {
		if sum += 100 * uint64(n); sum >= need && sum > 0 {
			return b
		}
	}
	return binCount - 1
}

// spread is the coefficient of variation of the bins: 0 when all are equal, about
// 15.5 when all idle times are in one.
func (h *histogram) spread() float64 {
	if h.inside == 0 {
		return 0
	}
	mean, squares := float64(h.inside)/binCount, 0.0
	for _, n := range h.bins {
		squares += (float64(n) - mean) * (float64(n) - mean)
	}
	return math.Sqrt(squares/binCount) / mean
}
