package keepalive

import (
	"math"
	"math/bits"
	"time"

	"github.com/spillway-dev/spillway"
)

const (
	// priorWeight is how many idle times the prior counts for.
	priorWeight = 2
	// startCost is what a start ahead of calls costs, in minutes of idle time.
	startCost = 1
)

// classCount is how many classes of places a function has: the first place, the
// second and third, the four after them and so on, the last without end. Places of a
// class are alike; high ones are needed at peaks only.
const classCount = 14

func classOf(rank int) int { return min(bits.Len(uint(max(1, rank))), classCount) - 1 }

// Forecast keeps an instance in every minute in which the chance of a call is worth
// it: in which it spares at least one cold start per Worth of idle time. The chance
// that a place of some age is needed within a minute is found from the idle times
// of its class that reached that age. Before any are known it falls with the age such
// that instances are kept for a fixed window.
type Forecast struct {
	worth   float64       // in minutes
	keep    time.Duration // while nothing is known
	classes [classCount]*outlook
}

// minutes is a set of minutes of age.
type minutes [(binCount + 63) / 64]uint64

func (m *minutes) set(b int)      { m[b/64] |= 1 << (b % 64) }
func (m *minutes) has(b int) bool { return m[b/64]&(1<<(b%64)) != 0 }

// outlook is what is known of one class of places.
type outlook struct {
	seen  histogram
	tail  uint32 // idle times of a minute or more
	fresh uint32 // of those, since warm was worked out
	warm  minutes
}

// NewForecast makes the policy of one function. window is how long instances are
// kept while the idle times say nothing.
func NewForecast(p spillway.KeepAlivePolicy, window time.Duration) *Forecast {
	return &Forecast{worth: p.Worth.Minutes(), keep: window}
}

// Taken learns that the busy-th place was needed and had been idle for so long;
// negative: it is not known how long.
func (k *Forecast) Taken(_ spillway.Instant, busy int, idle time.Duration) {
	if idle < 0 {
		return
	}
	o := k.classes[classOf(busy)]
	if o == nil {
		o = new(outlook)
		k.classes[classOf(busy)] = o
		k.work(o)
	}
	o.seen.add(idle)
	if idle < binWidth {
		return // says nothing about later minutes, and the first is kept anyway
	}
	o.tail++
	if o.fresh++; o.fresh > o.tail/16 {
		o.fresh = 0
		k.work(o)
	}
}

// work finds the minutes in which an instance should be there: those of least cost,
// in minutes of idle time. A minute with an instance costs one for each idle time
// that reaches it, one without costs worth for each that ends in it, and a start
// startCost for each that it is made for.
func (k *Forecast) work(o *outlook) {
	var onBefore, offBefore minutes // the better state before, being with or without
	left := float64(o.seen.inside) + float64(o.seen.beyond)
	on, off := 0.0, math.Inf(1) // cost up to here, ending with or without
	for b, n := range o.seen.bins {
		reached := left + priorWeight
		hits := float64(n) + priorWeight*k.keep.Minutes()/(k.worth*float64(b+1))
		fromOn, fromOff := min(on, off+startCost*reached), min(on, off)
		if fromOn == on {
			onBefore.set(b)
		}
		if fromOff == on {
			offBefore.set(b)
		}
		on, off = fromOn+reached, fromOff+hits*k.worth
		if b == 0 {
			off = math.Inf(1)
		}
		left -= float64(n)
	}
	o.warm = minutes{}
	for b, with := binCount-1, on < off; b >= 0; b-- {
		if with {
			o.warm.set(b)
			with = onBefore.has(b)
		} else {
			with = offBefore.has(b)
		}
	}
}

// Warm reports whether an instance should be there for the rank-th place at this age,
// and the age up to which that holds.
func (k *Forecast) Warm(_ spillway.Instant, rank int, idle time.Duration) (warm bool, until time.Duration) {
	o := k.classes[classOf(rank)]
	b := binOf(idle)
	switch {
	case o == nil && idle < k.keep:
		return true, k.keep
	case o == nil, b >= binCount:
		return false, never
	}
	warm = o.warm.has(b)
	for b++; b < binCount; b++ {
		if o.warm.has(b) != warm {
			return warm, time.Duration(b) * binWidth
		}
	}
	if warm {
		return true, binCount * binWidth
	}
	return false, never
}
