package planner

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// screened is about what a candidate costs, in Nano, with the best package set.
type screened struct {
	candidate
	near float64
}

// screen prices all candidates in floating point: it decides which of them are
// worth an exact evaluation, never what is best.
func (m *model) screen(ctx context.Context, candidates []candidate) ([]screened, error) {
	calls, billed := make([][]float64, len(m.windows)), make([][]float64, len(m.windows))
	for w, window := range m.windows {
		if err := ended(ctx); err != nil {
			return nil, err
		}
		calls[w], billed[w] = spills(m.Series.Steps[window[0]:window[1]], candidates)
	}
	out := make([]screened, len(candidates))
	for i, c := range candidates {
		if err := ended(ctx); err != nil {
			return nil, err
		}
		best := math.Inf(1)
		for set := range m.sets {
			cost := 0.0
			for w := range m.windows {
				cost += m.terms[set][w].near(calls[w][i], billed[w][i])
			}
			best = min(best, cost)
		}
		out[i] = screened{c, float64(c.cost) + best}
	}
	return out, nil
}

// slack bounds by how much screen may be wrong against the exact cost: rounding of
// floats, and of overflow by step and money by month.
func (m *model) slack() float64 {
	var dearest float64
	for _, tier := range m.Burst.Tiers {
		dearest = max(dearest, float64(tier.PerGiBSecond))
	}
	perStep := dearest/femtoPerGiBSecond + float64(m.Burst.PerRequest+m.Burst.PenaltyPerCall)/femtoPerCall
	all, _ := m.spill(0, 0)
	var scale float64
	for set := range m.sets {
		for w, u := range all {
			scale = max(scale, m.terms[set][w].near(float64(u.MicroCalls), float64(u.MiBMillis)))
		}
	}
	return 1e-9*scale*float64(len(m.windows)) + perStep*float64(len(m.Series.Steps)) + 4*float64(len(m.windows)+1)
}

// spills returns, by candidate, about how many millionths of calls and billed
// MiB-milliseconds of steps overflow.
//
// A step whose memory decides overflows B·(1 − M/m) = B − M·(B/m), so sums of B and
// B/m over the steps with m > M are all that is needed; and memory decides for
// steps with m/cpu ≥ M/CPU. Sweeping that ratio with sums by rank answers every
// candidate in logarithmic time; the CPU side mirrors it.
func spills(steps []Step, candidates []candidate) (calls, billed []float64) {
	calls, billed = make([]float64, len(candidates)), make([]float64, len(candidates))
	stepRatio, candidateRatio := make([]float64, len(steps)), make([]float64, len(candidates))
	for i, s := range steps {
		stepRatio[i] = ratio(s.MiBMillis, s.MilliCPUMillis)
	}
	for i, c := range candidates {
		candidateRatio[i] = ratio(c.mib, c.cpu)
	}
	byStep, byCandidate := order(stepRatio), order(candidateRatio)

	memory := newRanked(steps, func(s *Step) int64 { return s.MiBMillis })
	next := len(byStep)
	for k := len(byCandidate) - 1; k >= 0; k-- {
		c := byCandidate[k]
		for next > 0 && stepRatio[byStep[next-1]] >= candidateRatio[c] {
			next--
			memory.insert(byStep[next])
		}
		memory.spill(candidates[c].mib, &calls[c], &billed[c])
	}
	cpu := newRanked(steps, func(s *Step) int64 { return s.MilliCPUMillis })
	next = 0
	for _, c := range byCandidate {
		for next < len(byStep) && stepRatio[byStep[next]] < candidateRatio[c] {
			cpu.insert(byStep[next])
			next++
		}
		cpu.spill(candidates[c].cpu, &calls[c], &billed[c])
	}
	return calls, billed
}

// ratio returns memory per CPU, infinite without CPU.
func ratio(mib, cpu int64) float64 {
	if cpu == 0 {
		return math.Inf(1)
	}
	return float64(mib) / float64(cpu)
}

// order returns the positions of values, ascending by value.
func order(values []float64) []int {
	at := make([]int, len(values))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int { return cmp.Or(cmp.Compare(values[a], values[b]), cmp.Compare(a, b)) })
	return at
}

// ranked is a Fenwick tree of steps by one resource, largest first, with the sums
// that spills needs.
type ranked struct {
	steps  []Step
	demand func(*Step) int64
	sorted []int64 // demands, descending
	rank   []int   // by step, from 1
	tree   [][4]float64
}

func newRanked(steps []Step, demand func(*Step) int64) *ranked {
	r := &ranked{steps: steps, demand: demand, rank: make([]int, len(steps)), tree: make([][4]float64, len(steps)+1)}
	at := make([]int, len(steps))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int {
		return cmp.Or(cmp.Compare(demand(&steps[b]), demand(&steps[a])), cmp.Compare(a, b))
	})
	for place, i := range at {
		r.rank[i] = place + 1
		r.sorted = append(r.sorted, demand(&steps[i]))
	}
	return r
}

func (r *ranked) insert(i int) {
	s := &r.steps[i]
	whole := float64(r.demand(s))
	if whole == 0 {
		return
	}
	calls, billed := float64(s.Calls)*micro, float64(s.BilledMiBMillis)
	for k := r.rank[i]; k < len(r.tree); k += k & -k {
		t := &r.tree[k]
		t[0] += calls
		t[1] += calls / whole
		t[2] += billed
		t[3] += billed / whole
	}
}

// spill adds the overflow of the inserted steps beyond a capacity.
func (r *ranked) spill(capacity int64, calls, billed *float64) {
	above, _ := slices.BinarySearchFunc(r.sorted, capacity, func(d, c int64) int {
		if d > c {
			return -1
		}
		return 1
	})
	var sum [4]float64
	for k := above; k > 0; k &= k - 1 {
		for i, v := range r.tree[k] {
			sum[i] += v
		}
	}
	*calls += max(0, sum[0]-float64(capacity)*sum[1])
	*billed += max(0, sum[2]-float64(capacity)*sum[3])
}
