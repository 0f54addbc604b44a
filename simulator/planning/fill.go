package planning

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/planner"
	"github.com/spillway-dev/spillway/simulator/report"
)

// Document puts findings into the form that is shown.
func (f *Findings) Document() (*Document, error) {
	a, run := f.Answer, &f.Case.Run
	doc := &Document{
		Version: f.Version, Platform: run.Platform.Revision, Currency: run.Platform.Currency, Seed: f.Seed,
		Trace: traceSheet{Path: f.Path, Format: string(f.Summary.Format), Start: f.Summary.Start, LengthMicros: f.Summary.Length.Microseconds(),
			Calls: f.Summary.Calls, Functions: f.Summary.Functions, Tenants: f.Summary.Tenants},
		Cloud:  cloudSheet{f.Case.Cloud.Name, perUnit(f.Case.Cloud.Rate.PerRequest), perUnit(f.Case.Cloud.Rate.PerGiBSecond), f.Terms},
		Demand: demandOf(f.Demand), Plan: pointOf(&a.Input, &a.Plan.Best), AllCloud: pointOf(&a.Input, &a.Plan.AllBurst),
		Bound: boundOf(&a.Bound), NoMonths: a.NoMonths, Months: monthsOf(a.Months), Quotas: f.quotas(), Notes: f.notes(),
	}
	f.fillPlan(doc)
	if f.Result == nil {
		return doc, nil
	}
	var err error
	doc.Simulated, err = simulatedOf(f.Result, &a.Plan.Best.Cost, a.Bound.Bound.Total)
	if s := doc.Simulated; err == nil && s != nil && s.Against != nil && *s.Against > dearer {
		doc.Notes = append(doc.Notes, fmt.Sprintf("The replay costs %.0f %% more than planned: calls do not fill nodes as a fluid does, and idle instances and cold starts take room. Plan with --utilisation below 1, or with larger nodes.", 100*(*s.Against-1)))
	}
	return doc, err
}

// dearer is how much of its plan a replay may cost before the plan says so.
const dearer = 1.1

func (f *Findings) fillPlan(doc *Document) {
	a := f.Answer
	for i := range f.Nodes {
		n, usable := &f.Nodes[i], &a.Input.Nodes[i]
		doc.NodeTypes = append(doc.NodeTypes, nodeSheet{Name: n.Name, MilliCPU: n.MilliCPU, MiB: n.MiB, UsableMiB: usable.MiB, UsableCPU: usable.MilliCPU,
			Hourly: amount(n.Hourly), Min: n.Min, Max: n.Max, Owned: n.Owned, Avoidable: amount(n.Avoidable)})
	}
	if a.Plan.PeakOwned != nil {
		peak := pointOf(&a.Input, a.Plan.PeakOwned)
		doc.PeakOwned = &peak
	}
	if q := a.Plan.Quantile; q != nil {
		doc.Quantile = &quantileSheet{q.Ratio, q.Level, q.Exceed, q.Agrees}
	}
	for _, b := range a.Plan.BreakEven {
		e := breakEvenSheet{Type: b.Type, Utilisation: bounded(b.Utilisation), FullCalls: b.FullCalls}
		if b.DailyCalls != math.MaxInt64 {
			e.DailyCalls = &b.DailyCalls
		}
		doc.BreakEven = append(doc.BreakEven, e)
	}
	for i := range a.Sensitivity {
		s := &a.Sensitivity[i]
		doc.Changes = append(doc.Changes, changeSheet{s.What, float64(s.Num) / float64(s.Den), pointOf(&a.Input, &s.Best), costOf(&s.Kept), amount(s.Regret), s.Moves})
	}
	for i := range a.Plan.Curve {
		doc.Curve = append(doc.Curve, pointOf(&a.Input, &a.Plan.Curve[i]))
	}
	if h := a.Halves; h != nil {
		doc.Halves = &halvesSheet{h.Days, pointOf(&a.Input, &h.Plan.Best), costOf(&h.Verdict.Cost), boundOf(&h.Verdict)}
	}
}

// Optimum is what to mark on a load-duration curve of memory: what the planned nodes
// have or, where CPU runs out first, the memory that is in use beyond as often as the
// plan bursts.
func (f *Findings) Optimum() *report.Optimum {
	best := &f.Answer.Plan.Best
	o := &report.Optimum{GiB: float64(best.OwnedMiB) / 1024, Label: "optimum: " + or(countsOf(pointOf(&f.Answer.Input, best).Nodes), "nothing owned")}
	var used []int64
	for _, s := range f.Demand.Series.Steps {
		used = append(used, s.MiBMillis)
	}
	slices.SortFunc(used, func(a, b int64) int { return cmp.Compare(b, a) })
	if n := best.Cost.OverflowSteps; n > 0 && n < len(used) {
		if level := float64(used[n]) / float64(f.Demand.Series.StepMillis) / 1024; level < o.GiB {
			o.GiB, o.Label = level, o.Label+", by CPU"
		}
	}
	return o
}

func demandOf(d *Demand) demandSheet {
	var mib, cpu float64 // times milliseconds
	for i := range d.Series.Steps {
		mib += float64(d.Series.Steps[i].MiBMillis)
		cpu += float64(d.Series.Steps[i].MilliCPUMillis)
	}
	out := demandSheet{StepMicros: d.Series.StepMillis * 1000, Steps: len(d.Series.Steps), Calls: d.Calls, Skipped: d.Skipped, CloudOnly: d.CloudOnly,
		Pinned: d.Pinned, Cut: d.Cut, MeanMiB: mib / float64(d.Series.DurationMillis()), MeanMilliCPU: cpu / float64(d.Series.DurationMillis()), PeakMiB: d.PeakBusy.MiB, PeakMilliCPU: d.PeakBusy.MilliCPU}
	if mib > 0 {
		out.PinnedMemory = min(d.PinnedMiB/1000/mib, 1)
	}
	return out
}

func pointOf(in *planner.Input, p *planner.Point) pointSheet {
	out := pointSheet{Nodes: []countSheet{}, OwnedMiB: p.OwnedMiB, costSheet: costOf(&p.Cost)}
	for i, n := range p.Choice.Nodes {
		out.Nodes = append(out.Nodes, countSheet{in.Nodes[i].Name, n})
	}
	for i, n := range p.Choice.Packages {
		if n > 0 {
			out.Packages = append(out.Packages, countSheet{in.Burst.Packages[i].Name, n})
		}
	}
	return out
}

func costOf(c *planner.Cost) costSheet {
	return costSheet{Total: amount(c.Total), NodeCost: amount(c.Nodes), Burst: amount(c.Burst()), Fees: amount(c.Fees), Memory: amount(c.Memory),
		Requests: amount(c.Requests), Penalty: amount(c.Penalty), Sunk: amount(c.Sunk),
		BurstCalls: c.Overflow.Calls(), BurstGiBs: float64(c.Overflow.MiBMillis) / 1_024_000, BurstSteps: c.OverflowSteps}
}

func boundOf(v *planner.Verdict) boundSheet {
	return boundSheet{amount(v.Bound.Total), bounded(v.Ratio), planner.Target, v.Missed, v.Bound.Nodes}
}

func monthsOf(m *Months) *monthsSheet {
	if m == nil {
		return nil
	}
	spend := func(month time.Time, s *planner.Spend) spendSheet {
		return spendSheet{month.Format("2006-01"), amount(s.ToDate), amount(s.P5), amount(s.P50), amount(s.P95), amount(s.Mean), s.RemainingDays}
	}
	out := &monthsSheet{HistoryDays: m.History, Next: spend(m.Next, &m.Spend), Draws: m.Spend.Draws}
	if m.Present != nil {
		present := spend(m.Month, m.Present)
		out.Present = &present
	}
	return out
}

func simulatedOf(r *simulator.Result, plan *planner.Cost, bound spillway.Nano) (*simulatedSheet, error) {
	s := &simulatedSheet{Calls: r.Calls, Placed: r.Placed, Refused: r.Refused, Skipped: r.Skipped, ColdStarts: r.ColdStarts.Count(), Warm: r.Warm,
		WaitP50: r.Waits.Quantile(0.5).Microseconds(), WaitP95: r.Waits.Quantile(0.95).Microseconds(),
		WaitP99: r.Waits.Quantile(0.99).Microseconds(), WaitMax: r.Waits.Max().Microseconds()}
	for i, p := range r.Platform.Pools {
		if p.Kind.Cloud() {
			s.Burst += r.Pools[i].Executed
		}
	}
	var costs [2]apd.Decimal
	for i, d := range [2]*apd.Decimal{&r.OwnedCost, &r.CloudCost} {
		if _, err := apd.BaseContext.WithPrecision(60).Quantize(&costs[i], d, -billing.Decimals); err != nil {
			return nil, fmt.Errorf("round the cost of the simulation: %w", err)
		}
	}
	parts, total, err := billing.Apportion(costs[:], 9)
	if err != nil {
		return nil, fmt.Errorf("sum the cost of the simulation: %w", err)
	}
	s.NodeCost, s.BurstCost, s.Total = parts[0].Text('f'), parts[1].Text('f'), total.Text('f')
	simulated, err := total.Float64()
	if err != nil {
		return nil, fmt.Errorf("compare the cost of the simulation: %w", err)
	}
	s.Against = bounded(simulated / (float64(plan.Nodes+plan.Burst()) / 1e9))
	s.Bound = bounded(simulated / (float64(bound) / 1e9))
	return s, nil
}

func (f *Findings) quotas() *quotasSheet {
	if f.Aim == nil {
		return nil
	}
	out := &quotasSheet{MaxRefused: f.Aim.RefusedShare, MaxWaitMicros: f.Aim.P95WaitMicros, Teams: []teamSheet{}, Others: len(largest(f.Demand.Teams)) - len(f.Quotas)}
	for i := range f.Quotas {
		q := &f.Quotas[i]
		t := teamSheet{Team: q.Team, Calls: q.Calls, Tried: q.Tried, FromMicros: q.From.Microseconds(), UntilMicros: q.Until.Microseconds(), Peak: q.Peak,
			Refused: q.Answer.RefusedShare, WaitMicros: q.Answer.P95WaitMicros, Monotone: q.Answer.Monotone, Fault: q.Fault, Trials: []trialSheet{}}
		if q.Fault == "" {
			t.Quota = &q.Answer.Quota
		}
		for _, x := range q.Answer.Trials {
			t.Trials = append(t.Trials, trialSheet{x.Quota, x.RefusedShare, x.P95WaitMicros, x.Meets})
		}
		out.Teams = append(out.Teams, t)
	}
	return out
}

// perUnit writes a unit price without the zeros at its end.
func perUnit(price spillway.Femto) string {
	text := new(big.Rat).SetFrac64(int64(price), 1e15).FloatString(15)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}
