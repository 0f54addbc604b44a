package planner

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

const (
	maxExact = 1024 // candidates within rounding of the best that are evaluated
	maxCurve = 256  // points of a curve
)

// Point is one point of the cost curve: the cheapest choice with so much memory.
type Point struct {
	Choice   Choice
	OwnedMiB int64
	Cost     Cost
}

// Result is the answer of Plan. Costs are exact.
type Result struct {
	Best Point

	AllBurst  Point  // nothing owned, the best packages
	PeakOwned *Point // the cheapest that bursts nothing; nil if the bounds of counts do not allow it

	// Curve has up to 256 points by owned memory, ascending, Best among them. Choices
	// that cost more for no more capacity are not on it.
	Curve []Point

	// Candidates is how many ways to own nodes were left after dropping dominated
	// ones, and Close how many of them lay within rounding of the best, about a
	// billionth. Of more than 1,024 only those with the lowest node cost are evaluated.
	Candidates, Close int

	Quantile  *Quantile // nil unless there is one type at one linear price
	BreakEven []BreakEven
}

// Plan enumerates every count of nodes within bounds with every way to hold
// packages and returns the cheapest for the series: of equals, the one with the
// lowest node cost, then with the most memory. It returns a *TooLargeError instead
// of computing for hours (over a million count vectors), an *InputError for bad
// input, ErrOverflow for money beyond 64 bits, and the cause of ctx once that ended.
func Plan(ctx context.Context, in Input) (Result, error) {
	m, err := in.planned()
	if err != nil {
		return Result{}, err
	}
	candidates, err := m.candidates()
	if err != nil {
		return Result{}, err
	}
	var r Result
	r.Candidates = len(candidates)
	all, err := m.screen(ctx, candidates)
	if err != nil {
		return r, err
	}
	if r.Best, r.Close, err = m.best(ctx, all); err != nil {
		return r, err
	}
	if r.AllBurst, err = m.point(make([]int64, len(in.Nodes))); err != nil {
		return r, err
	}
	if r.PeakOwned, err = m.peakOwned(candidates); err != nil {
		return r, err
	}
	if r.Curve, err = m.curve(ctx, all, r.Best); err != nil {
		return r, err
	}
	if r.Quantile, err = m.quantile(r.Best.Cost.Total); err != nil {
		return r, err
	}
	r.BreakEven, err = m.breakEven()
	return r, err
}

// ended returns why a plan is not wanted any more, or nil.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("planning: %w", err)
	}
	return nil
}

// planned returns the model with all ways to hold packages.
func (in Input) planned() (*model, error) {
	m, err := in.compile()
	if err != nil {
		return nil, err
	}
	sets, err := in.Burst.sets()
	if err != nil {
		return nil, err
	}
	return m, m.withSets(sets)
}

// point evaluates counts exactly.
func (m *model) point(counts []int64) (Point, error) {
	cost, set, err := m.cheapest(counts)
	p := Point{Choice: Choice{Nodes: counts, Packages: m.sets[set]}, Cost: cost}
	for i, n := range m.Nodes {
		p.OwnedMiB += counts[i] * n.MiB
	}
	return p, err
}

// best evaluates exactly whatever screening cannot tell from the best. Candidates
// are in order of node cost.
func (m *model) best(ctx context.Context, all []screened) (best Point, closeBy int, err error) {
	lowest := math.Inf(1)
	for _, s := range all {
		lowest = min(lowest, s.near)
	}
	limit := lowest + 2*m.slack() + 2e-12*lowest
	var near []screened
	for _, s := range all {
		if s.near <= limit {
			near = append(near, s)
		}
	}
	closeBy = len(near)
	near = near[:min(len(near), maxExact)]
	for i, s := range near {
		if err := ended(ctx); err != nil {
			return best, closeBy, err
		}
		p, err := m.point(m.counts(s.index))
		if err != nil {
			return p, closeBy, err
		}
		if i == 0 || p.Cost.Total < best.Cost.Total {
			best = p
		}
	}
	return best, closeBy, nil
}

// peakOwned returns the cheapest candidate that overflows in no step.
func (m *model) peakOwned(candidates []candidate) (*Point, error) {
	mib, cpu := m.Series.peak()
	for _, c := range candidates { // ascending by cost
		if c.mib >= mib && c.cpu >= cpu {
			p, err := m.point(m.counts(c.index))
			return &p, err
		}
	}
	return nil, nil
}

// curve returns the cheapest choice by owned memory.
func (m *model) curve(ctx context.Context, all []screened, best Point) ([]Point, error) {
	type spot struct {
		screened
		mib int64
	}
	spots := make([]spot, len(all))
	for i, s := range all {
		spots[i].screened = s
		for k, n := range m.counts(s.index) {
			spots[i].mib += n * m.Nodes[k].MiB
		}
	}
	slices.SortStableFunc(spots, func(a, b spot) int { return cmp.Or(cmp.Compare(a.mib, b.mib), cmp.Compare(a.near, b.near)) })
	spots = slices.CompactFunc(spots, func(a, b spot) bool { return a.mib == b.mib })
	points := []Point{best}
	for i := range min(len(spots), maxCurve-1) {
		at := i
		if len(spots) >= maxCurve {
			at = i * (len(spots) - 1) / (maxCurve - 2)
		}
		if err := ended(ctx); err != nil {
			return nil, err
		}
		if spots[at].mib == best.OwnedMiB {
			continue
		}
		p, err := m.point(m.counts(spots[at].index))
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	slices.SortFunc(points, func(a, b Point) int { return cmp.Compare(a.OwnedMiB, b.OwnedMiB) })
	return points, nil
}
