package planner

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Interval is one call of a team, in microseconds.
type Interval struct{ Start, End int64 }

// Level is for how long in all a team had so many calls at once.
type Level struct{ Busy, Micros int64 }

// Levels returns how long each concurrency lasted, ascending, from the first start
// to the last end. Calls that end as others begin do not overlap them.
func Levels(calls []Interval) ([]Level, error) {
	type edge struct{ at, by int64 }
	var edges []edge
	for i, c := range calls {
		if c.End < c.Start || c.Start < 0 {
			return nil, &InputError{fmt.Sprintf("calls[%d]", i), fmt.Sprintf("from %d to %d: allowed 0 ≤ start ≤ end", c.Start, c.End)}
		}
		edges = append(edges, edge{c.Start, 1}, edge{c.End, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	lasted := map[int64]int64{}
	var busy int64
	for i, e := range edges {
		if i > 0 && e.at > edges[i-1].at {
			lasted[busy] += e.at - edges[i-1].at
		}
		busy += e.by
	}
	levels := make([]Level, 0, len(lasted))
	for b, t := range lasted {
		levels = append(levels, Level{b, t})
	}
	slices.SortFunc(levels, func(a, b Level) int { return cmp.Compare(a.Busy, b.Busy) })
	return levels, nil
}

// FluidQuota returns the smallest quota beyond which at most a share of busy time
// lies: an estimate of the quota that refuses that share of calls when none wait.
// It errs to the high side, as time that is refused makes room for later calls.
func FluidQuota(levels []Level, refusedShare float64) int64 {
	sorted := slices.Clone(levels)
	slices.SortFunc(sorted, func(a, b Level) int { return cmp.Compare(b.Busy, a.Busy) })
	var busy float64
	for _, l := range sorted {
		busy += float64(l.Busy) * float64(l.Micros)
	}
	allowed := busy * refusedShare
	var above, over float64 // time above the quota, and busy time beyond it
	for i, l := range sorted {
		next := int64(0)
		if above += float64(l.Micros); i+1 < len(sorted) {
			next = sorted[i+1].Busy
		}
		if step := float64(l.Busy-next) * above; over+step > allowed {
			return l.Busy - int64((allowed-over)/above)
		} else {
			over += step
		}
	}
	return 0
}

// Load describes calls that come at random.
type Load struct {
	PerSecond     float64 // calls
	ServiceMicros float64 // mean
	ServiceSCV    float64 // variance of service times over their mean squared; 1: exponential
	ArrivalSCV    float64 // the same of the times between calls; 1: Poisson
}

func (l Load) offered() float64 { return l.PerSecond * l.ServiceMicros / 1e6 }

// maxEstimate bounds the recursions over quotas.
const maxEstimate = 10_000_000

// BlockingQuota returns the smallest quota that refuses at most a share of Poisson
// calls when none wait (Erlang B; it holds for any distribution of service times).
func BlockingQuota(l Load, refusedShare float64) (int64, error) {
	a := l.offered()
	blocked := 1.0
	for n := range int64(maxEstimate) {
		if n > 0 {
			blocked = a * blocked / (float64(n) + a*blocked)
		}
		if blocked <= refusedShare || a == 0 {
			return n, nil
		}
	}
	return 0, l.outOfRange("a refused share", refusedShare)
}

// WaitQuota returns the smallest quota with an estimated 95th percentile of waits of
// at most p95Micros when all calls wait: the Allen-Cunneen approximation of G/G/c,
// with an exponential tail.
func WaitQuota(l Load, p95Micros int64) (int64, error) {
	a := l.offered()
	if a == 0 {
		return 0, nil
	}
	blocked := 1.0
	for n := int64(1); n < maxEstimate; n++ {
		blocked = a * blocked / (float64(n) + a*blocked)
		if free := float64(n) - a; free > 0 && l.p95Wait(blocked, float64(n)) <= float64(p95Micros) {
			return n, nil
		}
	}
	return 0, l.outOfRange("a P95 wait in µs", float64(p95Micros))
}

// p95Wait returns the estimate in microseconds for n > offered, with the share that
// n would refuse without waiting.
func (l Load) p95Wait(blocked, n float64) float64 {
	a := l.offered()
	waits := blocked / (1 - a/n*(1-blocked)) // Erlang C
	if waits <= 0.05 {
		return 0
	}
	return l.ServiceMicros / (n - a) * (l.ServiceSCV + l.ArrivalSCV) / 2 * math.Log(waits/0.05)
}

func (l Load) outOfRange(what string, aim float64) error {
	return &InputError{"load", fmt.Sprintf("no quota below %d keeps %s of %v for %+v", maxEstimate, what, aim, l)}
}

// LoadOf measures the load of calls in order of start.
func LoadOf(calls []Interval) (Load, error) {
	if len(calls) < 2 {
		return Load{}, &InputError{"calls", fmt.Sprintf("%d: a load is measured from two or more", len(calls))}
	}
	var service, gap moments
	for i, c := range calls {
		service.add(float64(c.End - c.Start))
		if i > 0 {
			if c.Start < calls[i-1].Start {
				return Load{}, &InputError{fmt.Sprintf("calls[%d]", i), "begins before the one in front of it"}
			}
			gap.add(float64(c.Start - calls[i-1].Start))
		}
	}
	if gap.mean == 0 {
		return Load{}, &InputError{"calls", "all begin at once: there is no rate"}
	}
	return Load{PerSecond: 1e6 / gap.mean, ServiceMicros: service.mean, ServiceSCV: service.scv(), ArrivalSCV: gap.scv()}, nil
}

// moments are Welford's running mean and squared deviation.
type moments struct{ n, mean, squared float64 }

func (m *moments) add(x float64) {
	m.n++
	off := x - m.mean
	m.mean += off / m.n
	m.squared += off * (x - m.mean)
}

func (m *moments) scv() float64 {
	if m.mean == 0 {
		return 0
	}
	return m.squared / m.n / (m.mean * m.mean)
}
