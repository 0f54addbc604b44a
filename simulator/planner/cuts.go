package planner

import (
	"context"
	"math"
)

// cut is a line below a convex function: at(z) ≥ value + slope·z.
type cut struct {
	value float64
	slope []float64
}

// minimum returns a proven lower bound of f over its box and the best point seen. It
// stops early where the bound is enough, well above which nobody needs it.
func (f *relaxed) minimum(ctx context.Context, enough float64) (low float64, counts []float64, err error) {
	z := make([]float64, len(f.span))
	high, best := math.Inf(1), z
	var cuts []cut
	for range maxCuts {
		if err := ended(ctx); err != nil {
			return 0, nil, err
		}
		cost, slope := f.at(z)
		if cost < high {
			high, best = cost, z
		}
		c := cut{cost, slope}
		for i := range z {
			c.value -= slope[i] * z[i]
		}
		cuts = append(cuts, c)
		low = max(low, certified(cuts, nil))
		if high-low <= boundGap*high+boundNano || low > enough*(1+boundGap)+2 {
			break
		}
		t := newMaster(cuts, high)
		if !t.solve() {
			break
		}
		low = max(low, certified(cuts, t.weights()))
		if high-low <= boundGap*high+boundNano || low > enough*(1+boundGap)+2 {
			break
		}
		z = t.point()
	}
	counts = make([]float64, len(best))
	for i := range best {
		counts[i] = f.lower[i] + best[i]*f.span[i]
	}
	return low, counts, nil
}

// certified returns a lower bound that holds however the master program rounded:
// any mixture of cuts is below the function, and its minimum over the box is at a
// corner. Without weights it takes the last cut alone.
func certified(cuts []cut, weights []float64) float64 {
	if weights == nil {
		weights = make([]float64, len(cuts))
		weights[len(cuts)-1] = 1
	}
	return max(0, mixture(cuts, weights))
}

func mixture(cuts []cut, weights []float64) float64 {
	var all, value float64
	slope := make([]float64, len(cuts[0].slope))
	for i, c := range cuts {
		w := max(0, weights[i])
		all += w
		value += w * c.value
		for k, s := range c.slope {
			slope[k] += w * s
		}
	}
	if all == 0 {
		return math.Inf(-1)
	}
	for _, s := range slope {
		value += min(0, s)
	}
	return value / all
}
