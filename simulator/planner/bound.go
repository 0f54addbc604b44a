package planner

import (
	"context"
	"math"

	"github.com/spillway-dev/spillway"
)

// Lower is a cost that no choice can beat.
type Lower struct {
	Total    spillway.Nano
	Nodes    []float64 // fractional counts at which it was found
	Packages []int64
}

// ratioOf returns cost / bound, finite.
func ratioOf(cost, bound spillway.Nano) float64 {
	switch {
	case bound > 0:
		return float64(cost) / float64(bound)
	case cost == 0:
		return 1
	}
	return math.MaxFloat64
}

const (
	maxCuts   = 400
	boundGap  = 1e-7  // relative, at which the search for the bound ends
	boundSafe = 1e-10 // relative, taken off for rounding of floats
	boundNano = 0.1   // absolute, in nano, added to boundGap

	// maxBound is of package sets × steps, each pair of which is gone through up to
	// maxCuts times, and seldom more than ten.
	maxBound = 1_000_000_000
)

// Bound returns the clairvoyant lower bound of a series: it knows all demand,
// owns fractions of nodes within the bounds of counts, fixed over the period, and
// pays for bursts along the lower convex hull of tiers. Package sets are all tried; for
// more than a billion pairs of them and steps it returns a *TooLargeError. It returns
// the cause of ctx once that ended.
//
// For one package set that is a linear program with a variable per step; it is
// solved over the node counts alone by cutting planes, whose master program bounds
// the optimum from below at any moment.
func Bound(ctx context.Context, in Input) (Lower, error) {
	m, err := in.planned()
	if err != nil {
		return Lower{}, err
	}
	if len(m.sets) > maxBound/len(m.Series.Steps) {
		return Lower{}, &TooLargeError{What: "combinations of packages and steps", Limit: maxBound, Advice: "lower most, leave out packages, or use longer steps"}
	}
	if _, _, err := m.cheapest(make([]int64, len(in.Nodes))); err != nil {
		return Lower{}, err
	}
	best := Lower{Total: spillway.MaxNano}
	for set := range m.sets {
		f := m.relax(set)
		low, at, err := f.minimum(ctx, float64(best.Total))
		if err != nil {
			return Lower{}, err
		}
		if total := spillway.Nano(math.Floor(max(0, low-boundSafe*math.Abs(low)-1))); total < best.Total {
			best = Lower{Total: total, Nodes: at, Packages: m.sets[set]}
		}
	}
	return best, nil
}

// relaxed is the convex cost of fractional nodes, with the package set and the
// demand of a model. It is scaled so that counts run from 0 to 1 within bounds.
type relaxed struct {
	m           *model
	lower, span []float64   // of counts
	mib, cpu    []float64   // by type: what its whole span offers in a step
	fees        float64     // of the packages
	hulls       [][]segment // by month: price of billed memory-time
	terms       []terms
}

// segment is a line from × slope + offset; a hull is the largest of its lines.
type segment struct{ slope, offset float64 }

func (m *model) relax(set int) *relaxed {
	f := &relaxed{m: m, terms: m.terms[set]}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		low, high := float64(n.Min), float64(m.most[i])
		f.lower, f.span = append(f.lower, low), append(f.span, high-low)
		f.mib = append(f.mib, float64(n.MiB*m.Series.StepMillis))
		f.cpu = append(f.cpu, float64(n.MilliCPU*m.Series.StepMillis))
	}
	all, _ := m.spill(0, 0)
	for w, u := range all {
		f.fees += float64(f.terms[w].fee)
		f.hulls = append(f.hulls, f.terms[w].hull(float64(u.MiBMillis)))
	}
	return f
}

// hull returns the lower convex hull of the price of billed memory-time in
// [0, most], of which free costs nothing.
func (t *terms) hull(most float64) []segment {
	points := [][2]float64{{0, 0}, {float64(t.free), 0}}
	for i, tier := range t.tiers {
		end := math.Inf(1)
		if i+1 < len(t.tiers) {
			end = float64(t.free) + float64(t.tiers[i+1].FromMiBMillis)
		}
		end = min(end, most)
		last := points[len(points)-1]
		if end > last[0] {
			price := float64(tier.PerGiBSecond) / femtoPerGiBSecond
			points = append(points, [2]float64{end, last[1] + (end-last[0])*price})
		}
	}
	var lower [][2]float64
	for _, p := range points {
		for len(lower) > 1 && slope(lower[len(lower)-2], lower[len(lower)-1]) >= slope(lower[len(lower)-2], p) {
			lower = lower[:len(lower)-1]
		}
		if len(lower) == 0 || p[0] > lower[len(lower)-1][0] {
			lower = append(lower, p)
		}
	}
	segments := []segment{{}}
	for i := 1; i < len(lower); i++ {
		s := slope(lower[i-1], lower[i])
		segments = append(segments, segment{s, lower[i-1][1] - s*lower[i-1][0]})
	}
	return segments
}

func slope(a, b [2]float64) float64 { return (b[1] - a[1]) / (b[0] - a[0]) }

// at returns the cost of counts and its subgradient, both by scaled count.
func (f *relaxed) at(z []float64) (cost float64, gradient []float64) {
	gradient = make([]float64, len(z))
	cost = f.fees
	var mib, cpu float64
	hours := float64(f.m.Series.DurationMillis()) / hourMillis
	for i := range z {
		n, count := &f.m.Nodes[i], f.lower[i]+z[i]*f.span[i]
		mib += count * f.mib[i]
		cpu += count * f.cpu[i]
		kept := min(count, float64(n.Owned))
		cost += hours * (kept*float64(n.Avoidable) + (count-kept)*float64(n.Hourly))
		price := float64(n.Hourly)
		if count < float64(n.Owned) {
			price = float64(n.Avoidable)
		}
		gradient[i] = hours * price * f.span[i]
	}
	for w, window := range f.m.windows {
		flow := spillFlow(f.m.Series.Steps[window[0]:window[1]], mib, cpu)
		perCall, perMiB := f.price(w, &flow, &cost)
		for i := range z {
			gradient[i] -= f.span[i] * (f.mib[i]*(perCall*flow.callsByMiB+perMiB*flow.billedByMiB) +
				f.cpu[i]*(perCall*flow.callsByCPU+perMiB*flow.billedByCPU))
		}
	}
	return cost, gradient
}

// price adds what the overflow of month w costs and returns its marginal prices.
func (f *relaxed) price(w int, flow *flow, cost *float64) (perCall, perMiB float64) {
	t := &f.terms[w]
	perCall = float64(t.burst.PenaltyPerCall) / 1_000_000
	*cost += perCall * flow.calls
	if billed := flow.calls - float64(t.freeMicro)/micro; billed > 0 {
		*cost += billed * float64(t.burst.PerRequest) / 1_000_000
		perCall += float64(t.burst.PerRequest) / 1_000_000
	}
	var most float64
	for _, s := range f.hulls[w] {
		if c := s.slope*flow.billed + s.offset; c >= most {
			most, perMiB = c, s.slope
		}
	}
	*cost += most
	return perCall, perMiB
}

// flow is the overflow of a month and by how much a unit of capacity lowers it.
type flow struct {
	calls, billed                                    float64
	callsByMiB, callsByCPU, billedByMiB, billedByCPU float64
}

func spillFlow(steps []Step, mib, cpu float64) flow {
	var f flow
	for i := range steps {
		s := &steps[i]
		m, c := float64(s.MiBMillis), float64(s.MilliCPUMillis)
		if m <= mib && c <= cpu {
			continue
		}
		calls, billed := float64(s.Calls), float64(s.BilledMiBMillis)
		if byMiB := m > mib && (c <= cpu || mib*c <= cpu*m); byMiB {
			f.calls += calls * (1 - mib/m)
			f.billed += billed * (1 - mib/m)
			f.callsByMiB += calls / m
			f.billedByMiB += billed / m
			continue
		}
		f.calls += calls * (1 - cpu/c)
		f.billed += billed * (1 - cpu/c)
		f.callsByCPU += calls / c
		f.billedByCPU += billed / c
	}
	return f
}
