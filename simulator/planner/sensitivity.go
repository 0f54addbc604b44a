package planner

import (
	"context"
	"fmt"

	"github.com/spillway-dev/spillway"
)

// Change is one assumption that turned out otherwise, by Num/Den.
type Change struct {
	What     string // demand, burst price or node price
	Num, Den int64

	Best   Point         // what would then be best
	Kept   Cost          // what the choice made before costs then
	Regret spillway.Nano // Kept.Total − Best.Cost.Total; may be negative for a choice outside the bounds of counts
	Moves  bool          // whether Best is another choice
}

// Sensitivity plans again with demand, burst prices (with package fees) and node
// prices 20 % lower and higher, each alone, and says what keeping choice would cost.
func Sensitivity(ctx context.Context, in Input, choice Choice) ([]Change, error) {
	set, err := choice.check(&in)
	if err != nil {
		return nil, err
	}
	choice.Packages = set
	var out []Change
	for _, what := range [3]struct {
		name  string
		apply func(Input, int64, int64) (Input, error)
	}{{"demand", scaleDemand}, {"burst price", scaleBurst}, {"node price", scaleNodes}} {
		for _, num := range [2]int64{4, 6} {
			c := Change{What: what.name, Num: num, Den: 5}
			other, err := what.apply(in, c.Num, c.Den)
			if err == nil {
				err = c.compare(ctx, other, choice)
			}
			if err != nil {
				return nil, fmt.Errorf("%s times %d/%d: %w", c.What, c.Num, c.Den, err)
			}
			out = append(out, c)
		}
	}
	return out, nil
}

func (c *Change) compare(ctx context.Context, in Input, choice Choice) error {
	var err error
	if c.Best, err = in.optimum(ctx); err != nil {
		return err
	}
	if c.Kept, err = Evaluate(in, choice); err != nil {
		return err
	}
	c.Regret = c.Kept.Total - c.Best.Cost.Total
	c.Moves = !c.Best.Choice.equal(choice)
	return nil
}

// optimum returns the best point alone.
func (in Input) optimum(ctx context.Context) (Point, error) {
	m, err := in.planned()
	if err != nil {
		return Point{}, err
	}
	candidates, err := m.candidates()
	if err != nil {
		return Point{}, err
	}
	all, err := m.screen(ctx, candidates)
	if err != nil {
		return Point{}, err
	}
	best, _, err := m.best(ctx, all)
	return best, err
}

func scaleDemand(in Input, num, den int64) (Input, error) {
	var err error
	in.Series, err = in.Series.Scale(num, den)
	return in, err
}

func scaleBurst(in Input, num, den int64) (Input, error) {
	b := &in.Burst
	b.Tiers, b.Packages = append([]Tier(nil), b.Tiers...), append([]Package(nil), b.Packages...)
	err := scalePrice(&b.PerRequest, num, den)
	for i := range b.Tiers {
		if err == nil {
			err = scalePrice(&b.Tiers[i].PerGiBSecond, num, den)
		}
	}
	for i := range b.Packages {
		if err == nil {
			err = scalePrice(&b.Packages[i].Fee, num, den)
		}
	}
	return in, err
}

func scaleNodes(in Input, num, den int64) (Input, error) {
	in.Nodes = append([]NodeType(nil), in.Nodes...)
	for i := range in.Nodes {
		if err := scalePrice(&in.Nodes[i].Hourly, num, den); err != nil {
			return in, err
		}
		if err := scalePrice(&in.Nodes[i].Avoidable, num, den); err != nil {
			return in, err
		}
	}
	return in, nil
}

func scalePrice[P ~int64](p *P, num, den int64) error {
	n, err := scaled(int64(*p), num, den)
	*p = P(n)
	return err
}

// Target is the ratio of a plan's cost to the bound that planning aims at.
const Target = 1.15

// Verdict judges a choice on demand it was not fitted on.
type Verdict struct {
	Cost   Cost
	Bound  Lower
	Ratio  float64 // Cost.Total / Bound.Total; 1 if both are zero, MaxFloat64 if only the bound is
	Missed bool    // Ratio > Target

	// Hindsight is what Plan says of the judged demand itself. Cost over it is the
	// price of not knowing the future; it over Bound is that of whole nodes, packages
	// and tiers, which no plan escapes: with demand of less than a node it is large.
	Hindsight      Point
	HindsightRatio float64 // Cost.Total / Hindsight.Cost.Total, as Ratio
}

// Judge evaluates a choice on in, and compares it with the clairvoyant bound of in
// and with the best plan in hindsight.
func Judge(ctx context.Context, in Input, choice Choice) (Verdict, error) {
	cost, err := Evaluate(in, choice)
	if err != nil {
		return Verdict{}, err
	}
	low, err := Bound(ctx, in)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Cost: cost, Bound: low, Ratio: ratioOf(cost.Total, low.Total)}
	v.Missed = v.Ratio > Target
	if v.Hindsight, err = in.optimum(ctx); err != nil {
		return v, err
	}
	v.HindsightRatio = ratioOf(cost.Total, v.Hindsight.Cost.Total)
	return v, nil
}

// FitAndJudge plans on the first half of the series and judges that plan on the
// second.
func FitAndJudge(ctx context.Context, in Input) (Result, Verdict, error) {
	fit, judged := in, in
	var err error
	if fit.Series, judged.Series, err = in.Series.Halves(); err != nil {
		return Result{}, Verdict{}, err
	}
	r, err := Plan(ctx, fit)
	if err != nil {
		return r, Verdict{}, fmt.Errorf("planning on the first half: %w", err)
	}
	v, err := Judge(ctx, judged, r.Best.Choice)
	if err != nil {
		return r, v, fmt.Errorf("judging on the second half: %w", err)
	}
	return r, v, nil
}
