package keepalive

import (
	"time"

	"github.com/spillway-dev/spillway"
)

// priorWeight is how many idle times the prior counts for.
const priorWeight = 2

// Forecast keeps an instance in every minute in which the chance of a call is worth
// it: in which it spares at least one cold start per Worth of idle time. The chance
// that a place of some age is needed within a minute is found from the idle times
// that reached that age. Before any are known it falls with the age such that
// instances are kept for a fixed window.
type Forecast struct {
	worth  float64 // in minutes
	window float64 // in minutes
	seen   *histogram
	tail   uint32 // idle times of a minute or more
	fresh  uint32 // of those, since warm was worked out
	warm   [(binCount + 63) / 64]uint64
}

// NewForecast makes the policy of one function. window is how long instances are
// kept while the idle times say nothing.
func NewForecast(p spillway.KeepAlivePolicy, window time.Duration) *Forecast {
	k := &Forecast{worth: p.Worth.Minutes(), window: window.Minutes()}
	k.work()
	return k
}

// Taken learns that a place was needed that had been idle for so long; negative: it
// is not known how long.
func (k *Forecast) Taken(_ spillway.Instant, _ int, idle time.Duration) {
	if idle < 0 {
		return
	}
	if k.seen == nil {
		k.seen = new(histogram)
	}
	k.seen.add(idle)
	if idle < binWidth {
		return // says nothing about later minutes, and the first is kept anyway
	}
	k.tail++
	if k.fresh++; k.fresh > k.tail/16 {
		k.fresh = 0
		k.work()
	}
}

// work finds the minutes in which an instance should be there.
func (k *Forecast) work() {
	k.warm = [len(k.warm)]uint64{}
	var left float64 // idle times that reached the bin
	if k.seen != nil {
		left = float64(k.seen.inside + k.seen.beyond)
	}
	for b := range binCount {
		hits := k.window / (k.worth * float64(b+1)) * priorWeight
		reached := left + priorWeight
		if k.seen != nil {
			hits += float64(k.seen.bins[b])
			left -= float64(k.seen.bins[b])
		}
		if b == 0 || hits*k.worth >= reached {
			k.warm[b/64] |= 1 << (b % 64)
		}
	}
}

// Warm reports whether an instance should be there for a place of this age, and the
// age up to which that holds.
func (k *Forecast) Warm(_ spillway.Instant, _ int, idle time.Duration) (warm bool, until time.Duration) {
	b := binOf(idle)
	if b >= binCount {
		return false, never
	}
	warm = k.at(b)
	for b++; b < binCount; b++ {
		if k.at(b) != warm {
			return warm, time.Duration(b) * binWidth
		}
	}
	if warm {
		return true, binCount * binWidth
	}
	return false, never
}

func (k *Forecast) at(b int) bool { return k.warm[b/64]&(1<<(b%64)) != 0 }
