package planner

import (
	"fmt"
	"slices"

	"github.com/spillway-dev/spillway"
)

// Input is a question to the planner. Node types are told apart by position.
type Input struct {
	Series Series
	Nodes  []NodeType
	Burst  Burst
}

// Choice is a plan: nodes by type and package copies, by position in the Input.
type Choice struct {
	Nodes    []int64
	Packages []int64 // empty: none
}

// Cost is what a Choice costs over a series. Total is the sum of the parts but
// Sunk, which no choice avoids.
type Cost struct {
	Nodes    spillway.Nano
	Fees     spillway.Nano // of packages
	Memory   spillway.Nano // burst memory-time beyond packages
	Requests spillway.Nano // burst calls beyond packages
	Penalty  spillway.Nano // not money that is paid
	Total    spillway.Nano
	Sunk     spillway.Nano

	Overflow      Usage
	OverflowSteps int // steps in which some demand was burst
}

// Burst returns the money paid to the cloud.
func (c Cost) Burst() spillway.Nano { return c.Fees + c.Memory + c.Requests }

func (c *Cost) total() error {
	n, err := sum(int64(c.Nodes), int64(c.Fees), int64(c.Memory), int64(c.Requests), int64(c.Penalty))
	if err != nil {
		return fmt.Errorf("total cost: %w", err)
	}
	c.Total = spillway.Nano(n)
	return nil
}

// model is a validated Input.
type model struct {
	Input
	most    []int64  // nodes by type that can serve anything
	windows [][2]int // first step and end of each billing month
	sets    [][]int64
	terms   [][]terms // by set and window
}

func (in Input) compile() (*model, error) {
	if err := in.Series.Validate(); err != nil {
		return nil, err
	}
	if err := in.Burst.validate(); err != nil {
		return nil, err
	}
	for i := range in.Nodes {
		n, path := &in.Nodes[i], fmt.Sprintf("nodes[%d]", i)
		if err := n.validate(path); err != nil {
			return nil, err
		}
		_, errMiB := product(n.MiB, in.Series.StepMillis)
		if _, err := product(n.MilliCPU, in.Series.StepMillis); err != nil || errMiB != nil {
			return nil, &InputError{path, "capacity of a step overflows 64 bits"}
		}
	}
	m := &model{Input: in}
	peakMiB, peakCPU := in.Series.peak()
	for i := range in.Nodes {
		m.most = append(m.most, in.Nodes[i].most(peakMiB, peakCPU, in.Series.StepMillis))
	}
	perMonth := int(MonthMillis / in.Series.StepMillis)
	for from := 0; from < len(in.Series.Steps); from += perMonth {
		m.windows = append(m.windows, [2]int{from, min(from+perMonth, len(in.Series.Steps))})
	}
	return m, nil
}

// withSets adds the terms of the given ways to hold packages.
func (m *model) withSets(sets [][]int64) error {
	m.sets, m.terms = sets, nil
	for _, set := range sets {
		var row []terms
		for _, w := range m.windows {
			t, err := m.Burst.terms(set, int64(w[1]-w[0])*m.Series.StepMillis)
			if err != nil {
				return err
			}
			row = append(row, t)
		}
		m.terms = append(m.terms, row)
	}
	return nil
}

// capacity returns what counts offer in a step.
func (m *model) capacity(counts []int64) (mib, cpu int64, err error) {
	for i, n := range m.Nodes {
		a, err := product(counts[i], n.MiB*m.Series.StepMillis)
		if err == nil {
			mib, err = sum(mib, a)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("memory of %d nodes of type %q: %w", counts[i], n.Name, err)
		}
		if a, err = product(counts[i], n.MilliCPU*m.Series.StepMillis); err == nil {
			cpu, err = sum(cpu, a)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("CPU of %d nodes of type %q: %w", counts[i], n.Name, err)
		}
	}
	return mib, cpu, nil
}

const hourMillis = 60 * 60 * 1000

// nodeCost returns what counts cost over the series, and what is sunk.
func (m *model) nodeCost(counts []int64) (cost, sunk spillway.Nano, err error) {
	var perHour, sunkHour int64
	for i := range m.Nodes {
		n := &m.Nodes[i]
		hourly, err := n.hourly(counts[i])
		if err == nil {
			perHour, err = sum(perHour, hourly)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("hourly cost of %d nodes of type %q: %w", counts[i], n.Name, err)
		}
		if hourly, err = product(n.Owned, int64(n.Hourly-n.Avoidable)); err == nil {
			sunkHour, err = sum(sunkHour, hourly)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("sunk cost of type %q: %w", n.Name, err)
		}
	}
	a, err := ceilMulDiv(perHour, m.Series.DurationMillis(), hourMillis)
	if err != nil {
		return 0, 0, fmt.Errorf("cost of the nodes: %w", err)
	}
	b, err := ceilMulDiv(sunkHour, m.Series.DurationMillis(), hourMillis)
	return spillway.Nano(a), spillway.Nano(b), err
}

// spill returns the overflow by billing month beyond a capacity, and in how many
// steps there was any.
func (m *model) spill(mib, cpu int64) (months []Usage, steps int) {
	months = make([]Usage, len(m.windows))
	for w, window := range m.windows {
		var u Usage
		for i := window[0]; i < window[1]; i++ {
			step := &m.Series.Steps[i]
			if step.MiBMillis <= mib && step.MilliCPUMillis <= cpu {
				continue
			}
			over := step.overflow(mib, cpu)
			u.MicroCalls += over.MicroCalls // no overflow: Validate summed all demand
			u.MiBMillis += over.MiBMillis
			steps++
		}
		months[w] = u
	}
	return months, steps
}

// bill adds to c what months of overflow cost with a set of packages.
func (m *model) bill(c Cost, set int, months []Usage) (Cost, error) {
	for w, u := range months {
		part, err := m.terms[set][w].bill(u)
		if err != nil {
			return c, fmt.Errorf("billing month %d: %w", w+1, err)
		}
		for _, add := range [4][2]*spillway.Nano{{&c.Fees, &part.Fees}, {&c.Memory, &part.Memory}, {&c.Requests, &part.Requests}, {&c.Penalty, &part.Penalty}} {
			if *add[0], err = spillway.AddNano(*add[0], *add[1]); err != nil {
				return c, fmt.Errorf("billing month %d: %w", w+1, err)
			}
		}
		c.Overflow.MicroCalls += u.MicroCalls
		c.Overflow.MiBMillis += u.MiBMillis
	}
	return c, c.total()
}

// owned begins a Cost: nodes, overflow by month, and the steps with overflow.
func (m *model) owned(counts []int64) (Cost, []Usage, error) {
	var c Cost
	mib, cpu, err := m.capacity(counts)
	if err != nil {
		return c, nil, err
	}
	if c.Nodes, c.Sunk, err = m.nodeCost(counts); err != nil {
		return c, nil, err
	}
	months, steps := m.spill(mib, cpu)
	c.OverflowSteps = steps
	return c, months, nil
}

// cheapest returns the least total of counts over the ways to hold packages; of
// equals, the first way.
func (m *model) cheapest(counts []int64) (best Cost, set int, err error) {
	base, months, err := m.owned(counts)
	if err != nil {
		return base, 0, err
	}
	for i := range m.sets {
		c, err := m.bill(base, i, months)
		if err != nil {
			return c, i, err
		}
		if i == 0 || c.Total < best.Total {
			best, set = c, i
		}
	}
	return best, set, nil
}

// Evaluate returns the exact cost of a choice, which may come from another series.
// Count bounds of node types do not hold here.
func Evaluate(in Input, choice Choice) (Cost, error) {
	m, err := in.compile()
	if err != nil {
		return Cost{}, err
	}
	set, err := choice.check(&in)
	if err != nil {
		return Cost{}, err
	}
	if err := m.withSets([][]int64{set}); err != nil {
		return Cost{}, err
	}
	c, _, err := m.cheapest(choice.Nodes)
	return c, err
}

func (c Choice) equal(d Choice) bool {
	return slices.Equal(c.Nodes, d.Nodes) && slices.Equal(c.Packages, d.Packages)
}

// check returns the packages of c in full.
func (c Choice) check(in *Input) ([]int64, error) {
	if len(c.Nodes) != len(in.Nodes) || len(c.Packages) != 0 && len(c.Packages) != len(in.Burst.Packages) {
		return nil, &InputError{"choice", fmt.Sprintf("%d node types and %d packages for an input of %d and %d", len(c.Nodes), len(c.Packages), len(in.Nodes), len(in.Burst.Packages))}
	}
	set := make([]int64, len(in.Burst.Packages))
	copy(set, c.Packages)
	for i, n := range c.Nodes {
		if n < 0 {
			return nil, &InputError{fmt.Sprintf("choice.nodes[%d]", i), "a negative count"}
		}
	}
	var copies int64
	for i, n := range set {
		if n < 0 || n > max(in.Burst.Packages[i].Most, 1) {
			return nil, &InputError{fmt.Sprintf("choice.packages[%d]", i), fmt.Sprintf("%d copies of %q: at most %d", n, in.Burst.Packages[i].Name, max(in.Burst.Packages[i].Most, 1))}
		}
		copies += n
	}
	if copies > 1 && !in.Burst.Stack {
		return nil, &InputError{"choice.packages", fmt.Sprintf("%d at once: these packages do not stack", copies)}
	}
	return set, nil
}
