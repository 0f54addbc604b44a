package planner

import (
	"cmp"
	"math"
	"slices"

	"github.com/spillway-dev/spillway"
)

// Quantile is the rule P(D > K*) = c/p, a check of the enumeration. K* is where
// another node costs as much as the bursts it would take over; with demand of one
// composition that is the quantile of D, the demand in nodes, at 1 − c/p.
type Quantile struct {
	Ratio  float64 // c/p: a node-hour owned by the average price of one burst
	Level  float64 // K* in nodes
	Exceed float64 // the share of steps with D > K*
	Agrees bool    // whether K* rounded down or up, within the type's bounds, costs what the optimum costs
}

// BreakEven says what a node of a type must do to pay. Both are of the average
// demand at the first tier's price, without packages.
type BreakEven struct {
	Type        string
	Utilisation float64 // c/p; above 1 the type never pays; MaxFloat64 if bursts are free or it serves none of the demand
	DailyCalls  int64   // whose bursts cost as much as the node; MaxInt64 if bursts are free
	FullCalls   int64   // that a full node serves in a day
}

// nodeDemand returns the demand of s in nodes of a type.
func (m *model) nodeDemand(s *Step, n *NodeType) float64 {
	demand := float64(s.MiBMillis) / float64(n.MiB*m.Series.StepMillis)
	if s.MilliCPUMillis > 0 {
		demand = max(demand, float64(s.MilliCPUMillis)/float64(n.MilliCPU*m.Series.StepMillis))
	}
	return demand
}

// listPrice returns what a step costs burst, in Nano, without packages and free
// calls, at the first tier.
func (m *model) listPrice(s *Step) float64 {
	return float64(s.BilledMiBMillis)*float64(m.Burst.Tiers[0].PerGiBSecond)/femtoPerGiBSecond +
		float64(s.Calls)*float64(m.Burst.PerRequest+m.Burst.PenaltyPerCall)/1_000_000
}

func (m *model) quantile(best spillway.Nano) (*Quantile, error) {
	b := &m.Burst
	if len(m.Nodes) != 1 || m.Nodes[0].Owned > 0 || len(b.Tiers) > 1 || len(b.Packages) > 0 || b.FreeCalls > 0 {
		return nil, nil
	}
	levels, demand, price := m.levels()
	if demand == 0 || price == 0 || math.IsInf(demand, 1) {
		return nil, nil
	}
	perStep := float64(m.Nodes[0].Hourly) * float64(m.Series.StepMillis) / hourMillis
	q := &Quantile{Ratio: perStep * demand / price}
	q.Level = marginalLevel(levels, perStep*float64(len(levels)))
	exceed, _ := slices.BinarySearchFunc(levels, q.Level, func(l level, k float64) int {
		if l.demand > k {
			return -1
		}
		return 1
	})
	q.Exceed = float64(exceed) / float64(len(levels))
	for _, count := range [2]float64{math.Floor(q.Level), math.Ceil(q.Level)} {
		cost, _, err := m.cheapest([]int64{min(max(int64(count), m.Nodes[0].Min), m.most[0])})
		if err != nil {
			return nil, err
		}
		q.Agrees = q.Agrees || float64(cost.Total-best) <= m.slack()
	}
	return q, nil
}

// level is the demand of a step in nodes and the price of bursting all of it.
type level struct{ demand, price float64 }

// levels returns those of all steps, descending, and their sums.
func (m *model) levels() (levels []level, demand, price float64) {
	levels = make([]level, len(m.Series.Steps))
	for i := range m.Series.Steps {
		s := &m.Series.Steps[i]
		levels[i] = level{m.nodeDemand(s, &m.Nodes[0]), m.listPrice(s)}
		demand += levels[i].demand
		price += levels[i].price
	}
	slices.SortFunc(levels, func(a, b level) int { return cmp.Compare(b.demand, a.demand) })
	return levels, demand, price
}

// marginalLevel returns the demand from which on down the bursts above it cost more
// per node than owning one for all the time; zero if none do.
func marginalLevel(levels []level, owned float64) float64 {
	saved := 0.0
	for _, l := range levels {
		if l.demand == 0 {
			return 0
		}
		if saved += l.price / l.demand; saved > owned {
			return l.demand
		}
	}
	return 0
}

// breakEven compares each type with the bursts it would replace.
func (m *model) breakEven() ([]BreakEven, error) {
	all, err := m.terms[0][0].burst.listed(m.Series.Steps)
	if err != nil {
		return nil, err
	}
	var calls int64
	for i := range m.Series.Steps {
		calls += m.Series.Steps[i].Calls
	}
	out := make([]BreakEven, len(m.Nodes))
	for k := range m.Nodes {
		n := &m.Nodes[k]
		var demand float64
		for i := range m.Series.Steps {
			demand += m.nodeDemand(&m.Series.Steps[i], n)
		}
		out[k] = BreakEven{Type: n.Name, DailyCalls: math.MaxInt64}
		out[k].compare(n, calls, int64(all), demand*float64(m.Series.StepMillis)/hourMillis)
	}
	return out, nil
}

// compare fills in b from all calls, what they cost burst, and their node-hours.
func (b *BreakEven) compare(n *NodeType, calls, all int64, nodeHours float64) {
	if nodeHours > 0 && !math.IsInf(nodeHours, 1) {
		b.FullCalls = int64(min(float64(calls)/nodeHours*24, math.MaxInt64/2))
	}
	if nodeHours == 0 {
		return
	}
	b.Utilisation = math.MaxFloat64
	if perDay, err := product(int64(n.Hourly), 24); err == nil && all > 0 {
		b.Utilisation = min(float64(n.Hourly)*nodeHours/float64(all), math.MaxFloat64)
		b.DailyCalls = ceilMulDivCapped(calls, perDay, uint64(all))
	}
}

// listed returns what all of steps cost burst at the first tier, without packages.
func (b *Burst) listed(steps []Step) (spillway.Nano, error) {
	t := terms{burst: b, tiers: []Tier{{PerGiBSecond: b.Tiers[0].PerGiBSecond}}}
	var u Usage
	for i := range steps {
		u.MicroCalls += steps[i].Calls * micro
		u.MiBMillis += steps[i].BilledMiBMillis
	}
	c, err := t.bill(u)
	return c.Total, err
}

// ceilMulDivCapped is ceilMulDiv with MaxInt64 for what does not fit.
func ceilMulDivCapped(a, b int64, divisor uint64) int64 {
	n, err := ceilMulDiv(a, b, divisor)
	if err != nil {
		return math.MaxInt64
	}
	return n
}
