package trace

import (
	"math"
	"math/bits"
	"time"
)

// histogram counts durations in classes 1/8 of an octave wide, from 1 µs; exact
// at both ends.
type histogram struct {
	classes        []uint64
	count          uint64
	least, longest time.Duration
	sum            float64 // nanoseconds
}

const classBits = 3

func class(d time.Duration) int {
	v := uint64(max(d, 0)) >> 7 // about an eighth of a µs
	if v < 1<<classBits {
		return int(v)
	}
	shift := bits.Len64(v) - classBits - 1
	return (shift+1)<<classBits + int(v>>shift)&(1<<classBits-1)
}

// edge returns the least duration of a class.
func edge(class int) time.Duration {
	if class < 1<<classBits {
		return time.Duration(class) << 7
	}
	shift := class>>classBits - 1
	return time.Duration(1<<classBits|class&(1<<classBits-1)) << shift << 7
}

func (h *histogram) add(d time.Duration) {
	c := class(d)
	if c >= len(h.classes) {
		h.classes = append(h.classes, make([]uint64, c+1-len(h.classes))...)
	}
	h.classes[c]++
	if h.count == 0 || d < h.least {
		h.least = d
	}
	h.longest = max(h.longest, d)
	h.count++
	h.sum += float64(d)
}

// at returns the duration below which a fraction lies, to an eighth.
func (h *histogram) at(fraction float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	target := uint64(math.Ceil(fraction * float64(h.count)))
	if target == 0 {
		return h.least
	}
	seen := uint64(0)
	for c, n := range h.classes {
		if seen+n >= target {
			lo, hi := max(edge(c), h.least), min(edge(c+1), h.longest)
			return lo + time.Duration(float64(hi-lo)*(float64(target-seen)/float64(n)))
		}
		seen += n
	}
	return h.longest
}

func (h *histogram) quantiles() Quantiles {
	var points [quantileCount]time.Duration
	for i, fraction := range QuantileFractions() {
		points[i] = h.at(fraction)
		if i > 0 {
			points[i] = max(points[i], points[i-1])
		}
	}
	q, _ := NewQuantiles(points)
	return q
}

// durations collects, per function, what a format with a row per call says, for the calls
// whose row does not.
type durations struct {
	of      []histogram
	missing []bool
	any     bool
}

func (d *durations) add(r row) {
	for int(r.function) >= len(d.of) {
		d.of, d.missing = append(d.of, histogram{}), append(d.missing, false)
	}
	if r.duration < 0 {
		d.missing[r.function], d.any = true, true
		return
	}
	d.of[r.function].add(r.duration)
}

// fill sets the distributions of functions whose calls do not all have a duration; if
// there are none, calls carry theirs and no function needs one.
func (d *durations) fill(functions []Function) {
	for i := range d.of {
		if d.any && d.of[i].count > 0 {
			functions[i].Duration = d.of[i].quantiles()
		}
	}
}
