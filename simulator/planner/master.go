package planner

import "math"

const (
	maxPivots = 20_000
	pivotZero = 1e-11
)

// tableau solves the master program, where the highest of the cuts is lowest over
// the box, in its dual form:
//
//	max Σ w·value − Σ μ   with   Σ w ≤ 1   and   −Σ w·slope − μ ≤ 0 for each type
//
// which has few rows and a basis to begin with; the point is in the reduced costs
// of the slacks. Nearly all right sides are zero, on which gonum's simplex cycles
// forever, so pivots follow Bland's rule and are counted.
type tableau struct {
	types, cuts int
	rows        [][]float64 // the last column is the right side
	reduced     []float64   // of the objective
	basis       []int       // by row
}

func newMaster(cuts []cut, scale float64) *tableau {
	t := &tableau{types: len(cuts[0].slope), cuts: len(cuts)}
	columns := t.cuts + 2*t.types + 2
	t.reduced = make([]float64, columns)
	t.rows = make([][]float64, t.types+1)
	t.basis = make([]int, t.types+1)
	for r := range t.rows {
		t.rows[r] = make([]float64, columns)
		t.rows[r][t.slack(r)] = 1
		t.basis[r] = t.slack(r)
	}
	t.rows[0][columns-1] = 1
	for i, c := range cuts {
		t.reduced[i] = c.value / scale
		t.rows[0][i] = 1
		for k, s := range c.slope {
			t.rows[1+k][i] = -s / scale
		}
	}
	for k := range t.types {
		t.reduced[t.cuts+k] = -1
		t.rows[1+k][t.cuts+k] = -1
	}
	return t
}

// slack returns the column of the slack of a row.
func (t *tableau) slack(row int) int { return t.cuts + t.types + row }

// solve reports whether it reached an optimum.
func (t *tableau) solve() bool {
	for range maxPivots {
		column := t.entering()
		if column < 0 {
			return true
		}
		row := t.leaving(column)
		if row < 0 {
			return false
		}
		t.pivot(row, column)
	}
	return false
}

func (t *tableau) entering() int {
	for j := range len(t.reduced) - 1 {
		if t.reduced[j] > pivotZero {
			return j
		}
	}
	return -1
}

func (t *tableau) leaving(column int) int {
	best, ratio := -1, math.Inf(1)
	for r, row := range t.rows {
		if row[column] <= pivotZero {
			continue
		}
		q := max(0, row[len(row)-1]) / row[column]
		if q < ratio || q == ratio && t.basis[r] < t.basis[best] {
			best, ratio = r, q
		}
	}
	return best
}

func (t *tableau) pivot(row, column int) {
	pivot := t.rows[row]
	by := pivot[column]
	for j := range pivot {
		pivot[j] /= by
	}
	for r := range t.rows {
		if r != row {
			subtract(t.rows[r], pivot, column)
		}
	}
	subtract(t.reduced, pivot, column)
	t.basis[row] = column
}

// subtract clears the column of row with the pivot row.
func subtract(row, pivot []float64, column int) {
	by := row[column]
	if by == 0 {
		return
	}
	for j := range row {
		row[j] -= by * pivot[j]
	}
	row[column] = 0
}

// weights returns those of the cuts.
func (t *tableau) weights() []float64 {
	w := make([]float64, t.cuts)
	for r, j := range t.basis {
		if j < t.cuts {
			w[j] = t.rows[r][len(t.rows[r])-1]
		}
	}
	return w
}

// point returns where in the box the highest cut is lowest.
func (t *tableau) point() []float64 {
	z := make([]float64, t.types)
	for k := range z {
		z[k] = min(max(0, -t.reduced[t.slack(1+k)]), 1)
	}
	return z
}
