package planner

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"
)

// cut is a line below a convex function: at(z) ≥ value + slope·z.
type cut struct {
	value float64
	slope []float64
}

// minimum returns a proven lower bound of f over its box and the best point seen.
func (f *relaxed) minimum() (low float64, counts []float64) {
	z := make([]float64, len(f.span))
	high, best := math.Inf(1), z
	var cuts []cut
	for range maxCuts {
		cost, slope := f.at(z)
		if cost < high {
			high, best = cost, z
		}
		c := cut{cost, slope}
		for i := range z {
			c.value -= slope[i] * z[i]
		}
		cuts = append(cuts, c)
		next, floor, err := master(cuts, high)
		if err != nil || high-floor <= boundGap*high {
			break
		}
		z = next
	}
	counts = make([]float64, len(best))
	for i := range best {
		counts[i] = f.lower[i] + best[i]*f.span[i]
	}
	return certified(cuts, high), counts
}

// master returns the point of the box at which the highest cut is lowest.
//
// Variables: z by type, the height θ, a slack by cut and one by type. The basis of
// θ in the highest cut at z = 0 and all other slacks is feasible: the first cut is
// taken there, so that height is a cost, never negative.
func master(cuts []cut, scale float64) (z []float64, floor float64, err error) {
	types, rows := len(cuts[0].slope), len(cuts)
	if types == 0 || scale <= 0 {
		return make([]float64, types), cuts[0].value, nil
	}
	a := mat.NewDense(rows+types, types+1+rows+types, nil)
	b, c := make([]float64, rows+types), make([]float64, types+1+rows+types)
	c[types] = 1
	highest := 0
	for i, cut := range cuts {
		for k, s := range cut.slope {
			a.Set(i, k, -s/scale)
		}
		a.Set(i, types, 1)
		a.Set(i, types+1+i, -1)
		b[i] = cut.value / scale
		if cut.value > cuts[highest].value {
			highest = i
		}
	}
	basis := []int{types}
	for i := range rows {
		if i != highest {
			basis = append(basis, types+1+i)
		}
	}
	for k := range types {
		a.Set(rows+k, k, 1)
		a.Set(rows+k, types+1+rows+k, 1)
		b[rows+k] = 1
		basis = append(basis, types+1+rows+k)
	}
	_, x, err := lp.Simplex(c, a, b, 0, basis)
	if err != nil {
		return nil, 0, err
	}
	z = slices.Clone(x[:types])
	for k := range z {
		z[k] = min(max(z[k], 0), 1)
	}
	return z, x[types] * scale, nil
}

// certified returns a lower bound that holds however the simplex rounded: any
// mixture of cuts is below the function, and its minimum over the box is at a
// corner. The mixture comes from the dual of the master.
func certified(cuts []cut, scale float64) float64 {
	low := math.Inf(-1)
	for i := range cuts {
		weights := make([]float64, len(cuts))
		weights[i] = 1
		low = max(low, mixture(cuts, weights))
	}
	if weights, err := dual(cuts, scale); err == nil {
		low = max(low, mixture(cuts, weights))
	}
	return max(0, low)
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

// dual returns the weights of the cuts: max Σ w·value − Σ μ subject to Σ w ≤ 1 and
// Σ w·slope + μ ≥ 0 for each type.
func dual(cuts []cut, scale float64) ([]float64, error) {
	types, n := len(cuts[0].slope), len(cuts)
	if types == 0 || scale <= 0 {
		return make([]float64, n), nil
	}
	a := mat.NewDense(types+1, n+types+1+types, nil)
	c, b := make([]float64, n+types+1+types), make([]float64, types+1)
	for i, cut := range cuts {
		c[i] = -cut.value / scale
		a.Set(0, i, 1)
		for k, s := range cut.slope {
			a.Set(1+k, i, -s/scale)
		}
	}
	a.Set(0, n+types, 1)
	b[0] = 1
	basis := []int{n + types}
	for k := range types {
		c[n+k] = 1
		a.Set(1+k, n+k, -1)
		a.Set(1+k, n+types+1+k, 1)
		basis = append(basis, n+types+1+k)
	}
	_, x, err := lp.Simplex(c, a, b, 0, basis)
	if err != nil {
		return nil, err
	}
	return x[:n], nil
}
