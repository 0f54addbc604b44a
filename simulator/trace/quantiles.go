package trace

import (
	"cmp"
	"encoding/json"
	"math/bits"
	"slices"
	"time"
)

// quantileCount is how many points a distribution has.
const quantileCount = 7

// QuantileFractions are the fractions at which Quantiles is known.
func QuantileFractions() [quantileCount]float64 {
	return [quantileCount]float64{0, 0.01, 0.25, 0.50, 0.75, 0.99, 1}
}

var quantilePercents = [quantileCount]int{0, 1, 25, 50, 75, 99, 100}

// Quantiles is a distribution of durations, linear between its points at
// QuantileFractions. The zero value is unknown.
type Quantiles struct {
	micros [quantileCount]float32
	known  bool
}

// NewQuantiles makes a distribution of points that do not decrease and are not
// negative; ok is false for others. Points are kept to 24 significant bits of
// microseconds.
func NewQuantiles(points [quantileCount]time.Duration) (q Quantiles, ok bool) {
	for i, p := range points {
		if p < 0 || i > 0 && p < points[i-1] {
			return Quantiles{}, false
		}
		q.micros[i] = float32(float64(p) / 1000)
	}
	q.known = true
	return q, true
}

// Known reports whether q is a distribution.
func (q Quantiles) Known() bool { return q.known }

// Points returns the durations at QuantileFractions.
func (q Quantiles) Points() (points [quantileCount]time.Duration) {
	for i := range points {
		points[i] = q.point(i)
	}
	return points
}

func (q *Quantiles) point(i int) time.Duration { return time.Duration(float64(q.micros[i]) * 1000) }

// At returns the duration at a fraction between 0 and 1.
func (q Quantiles) At(fraction float64) time.Duration {
	percent := min(max(fraction, 0), 1) * 100
	for i := 1; i < quantileCount; i++ {
		lo, hi := float64(quantilePercents[i-1]), float64(quantilePercents[i])
		if percent <= hi {
			a, b := q.point(i-1), q.point(i)
			return a + time.Duration(float64(b-a)*((percent-lo)/(hi-lo)))
		}
	}
	return q.point(quantileCount - 1)
}

// Mean returns the mean.
func (q Quantiles) Mean() time.Duration {
	var sum time.Duration // in hundredths, doubled
	for i := 1; i < quantileCount; i++ {
		sum += (q.point(i-1) + q.point(i)) * time.Duration(quantilePercents[i]-quantilePercents[i-1])
	}
	return sum / 200
}

// segments maps each hundredth to the point below it.
var segments = func() (s [128]uint8) {
	for i := range 100 {
		for p := 1; quantilePercents[p] <= i; p++ {
			s[i] = uint8(p)
		}
	}
	return s
}()

// draw returns the duration that 64 random bits stand for: the upper half
// chooses the segment, the lower the place in it.
func (q *Quantiles) draw(random uint64) time.Duration {
	s := segments[(random>>32)*100>>32&127] & 7
	if s > quantileCount-2 {
		s = quantileCount - 2
	}
	a := int64(float64(q.micros[s]) * 1000)
	b := int64(float64(q.micros[s+1]) * 1000)
	in, _ := bits.Mul64(uint64(b-a), random<<32)
	return time.Duration(a) + time.Duration(in)
}

// median returns the known distribution with the median of the medians, the
// first of equals.
func median(functions []Function) (Quantiles, bool) {
	var known []int32
	for i := range functions {
		if functions[i].Duration.known {
			known = append(known, int32(i))
		}
	}
	if len(known) == 0 {
		return Quantiles{}, false
	}
	slices.SortFunc(known, func(a, b int32) int {
		return cmp.Or(cmp.Compare(functions[a].Duration.micros[3], functions[b].Duration.micros[3]), cmp.Compare(a, b))
	})
	return functions[known[(len(known)-1)/2]].Duration, true
}

// unknownDuration is every call's duration in a trace that knows none: about the
// median of the functions' means of Azure 2019.
const unknownDuration = 600 * time.Millisecond

// defaultDuration returns what functions without durations of their own take.
func defaultDuration(functions []Function) Quantiles {
	if q, ok := median(functions); ok {
		return q
	}
	q := Quantiles{known: true}
	for i := range q.micros {
		q.micros[i] = float32(unknownDuration.Microseconds())
	}
	return q
}

// MarshalJSON writes the points at QuantileFractions in microseconds, or null if q
// is not known.
func (q Quantiles) MarshalJSON() ([]byte, error) {
	if !q.known {
		return []byte("null"), nil
	}
	return json.Marshal(q.micros)
}
