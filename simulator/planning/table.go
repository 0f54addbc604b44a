package planning

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/spillway-dev/spillway/simulator/planner"
)

// table is a plan for people.
type table struct {
	sink
	doc  *Document
	size int // decimals of amounts
}

// sink takes what there is to say.
type sink interface {
	section(head string)
	text(words string)    // a paragraph
	rows(rows [][]string) // a table; the first row is its head
	gap()
}

func newTable(s sink, doc *Document) *table {
	t := &table{sink: s, doc: doc, size: 2}
	switch largest := max(doc.AllCloud.Total, doc.Plan.Total); {
	case largest < 1e9:
		t.size = 6
	case largest < 100e9:
		t.size = 4
	}
	return t
}

// findings say what the plan costs, why it is good and what it needs.
func (t *table) findings() {
	t.costs()
	t.reasons()
	t.changes()
	t.halves()
	t.months()
	t.simulated()
	t.quotas()
}

// question says what was planned for.
func (t *table) question() {
	d := t.doc
	t.text(fmt.Sprintf("Plan for %s: %s calls of %s in %s, in steps of %s.", d.Trace.Path, thousands(strconv.FormatInt(d.Demand.Calls, 10)),
		counted(d.Trace.Functions, "function"), lasting(micros(d.Demand.StepMicros*int64(d.Demand.Steps))), lasting(micros(d.Demand.StepMicros))))
	for _, n := range d.NodeTypes {
		used := ""
		if n.UsableMiB < n.MiB {
			used = fmt.Sprintf(", planned to be filled up to %s", percentage(float64(n.UsableMiB), float64(n.MiB)))
		}
		t.text(fmt.Sprintf("Node %s: CPU %s, %s GiB, %s %s an hour%s.", n.Name, number(float64(n.MilliCPU)/1000), number(float64(n.MiB)/1024), number(float64(n.Hourly)/1e9), d.Currency, used))
	}
	t.text(fmt.Sprintf("Bursts to %s: %s %s a GiB-second and %s a call%s.", d.Cloud.Name, d.Cloud.PerGiBSecond, d.Currency, d.Cloud.PerRequest, prefixed(", and the terms of ", d.Cloud.Terms)))
}

// Sentence says what to own.
func (d *Document) Sentence() string {
	own := "Own nothing"
	if c := countsOf(d.Plan.Nodes); c != "" {
		own = "Own " + c
	}
	if c := countsOf(d.Plan.Packages); c != "" {
		own += ", prepay " + c
	}
	return fmt.Sprintf("%s, and burst %s of the calls (%s) to %s.", own, percentage(float64(d.Plan.BurstCalls), float64(d.Demand.Calls)),
		thousands(strconv.FormatInt(d.Plan.BurstCalls, 10)), d.Cloud.Name)
}

// countsOf writes what there is of each, "" of nothing.
func countsOf(all []countSheet) string {
	var parts []string
	for _, c := range all {
		if c.Count > 0 {
			parts = append(parts, fmt.Sprintf("%d × %s", c.Count, c.Name))
		}
	}
	return strings.Join(parts, ", ")
}

func (t *table) costs() {
	d := t.doc
	perMonth := float64(planner.MonthMillis) * 1000 / (float64(d.Demand.StepMicros) * float64(d.Demand.Steps))
	row := func(name string, cost amount, against bool) []string {
		r := []string{name, t.money(cost), t.money(amount(math.Min(math.Round(float64(cost)*perMonth), math.MaxInt64/2))), ""}
		if against && d.Plan.Total > 0 {
			r[3] = strings.Replace(fmt.Sprintf("%+.1f %%", 100*(float64(cost)/float64(d.Plan.Total)-1)), "-0.0", "+0.0", 1)
		}
		return r
	}
	rows := [][]string{{"Cost in " + d.Currency, "of the trace", "of a month", "against the plan"}, row("this plan", d.Plan.Total, false), row("  nodes", d.Plan.NodeCost, false)}
	if d.Plan.Fees > 0 {
		rows = append(rows, row("  prepaid packages", d.Plan.Fees, false))
	}
	rows = append(rows, row("  bursts", d.Plan.Memory+d.Plan.Requests, false))
	if d.Plan.Penalty > 0 {
		rows = append(rows, row("  penalty, not paid", d.Plan.Penalty, false))
	}
	rows = append(rows, row("all in the cloud", d.AllCloud.Total, true))
	if d.PeakOwned != nil {
		rows = append(rows, row("all owned: "+short(countsOf(d.PeakOwned.Nodes), 28), d.PeakOwned.Total, true))
	}
	rows = append(rows, row("lower bound, knowing the future", d.Bound.Total, true))
	t.rows(rows)
	t.gap()
	if d.Plan.Sunk > 0 {
		t.text(fmt.Sprintf("Beside that, nodes already owned cost %s %s under every plan.", t.money(d.Plan.Sunk), d.Currency))
	}
}

// reasons say why the plan is good.
func (t *table) reasons() {
	d := t.doc
	t.text(fmt.Sprintf("Cost / bound: %s (aim: at most %.2f%s). The bound may own parts of nodes: %s.", ratioText(d.Bound.Ratio), d.Bound.Aim, missed(d.Bound.Missed), d.fractions()))
	t.text(fmt.Sprintf("Bursts happen in %s of the steps, %s GiB-seconds in all.", percentage(float64(d.Plan.BurstSteps), float64(d.Demand.Steps)), thousands(strconv.FormatFloat(d.Plan.BurstGiBs, 'f', 0, 64))))
	for _, b := range d.BreakEven {
		switch {
		case b.Utilisation == nil || b.DailyCalls == nil:
			t.text(fmt.Sprintf("Break-even: bursts cost nothing beside one %s.", b.Type))
		case *b.Utilisation > 1:
			t.text(fmt.Sprintf("Break-even: one %s never pays: full, it serves %s calls a day, and its price bursts %s.", b.Type, whole(b.FullCalls), whole(*b.DailyCalls)))
		default:
			t.text(fmt.Sprintf("Break-even: one %s pays from %.1f %% use on: from %s calls a day, of the %s that it can serve.", b.Type, 100**b.Utilisation, whole(*b.DailyCalls), whole(b.FullCalls)))
		}
	}
	if q := d.Quantile; q != nil {
		agrees := "the enumeration agrees"
		if !q.Agrees {
			agrees = "whole nodes, or calls of unlike price, make another count cheaper"
		}
		t.text(fmt.Sprintf("Check P(D > K*) = c/p: K* = %.2f nodes, exceeded in %.1f %% of the steps; c/p is %.1f %%; %s.", q.Level, 100*q.Exceed, 100*q.Ratio, agrees))
	}
}

// fractions writes what the bound owns.
func (d *Document) fractions() string {
	var parts []string
	for i, n := range d.Bound.Nodes {
		parts = append(parts, fmt.Sprintf("%.2f × %s", n, d.NodeTypes[i].Name))
	}
	return strings.Join(parts, ", ")
}

func (t *table) changes() {
	rows := [][]string{{"If it turns out otherwise", "best would be", "keeping this plan costs more by"}}
	for _, c := range t.doc.Changes {
		best := "the same"
		if c.Moves {
			best = short(or(countsOf(append(append([]countSheet{}, c.Best.Nodes...), c.Best.Packages...)), "nothing owned"), 24)
		}
		rows = append(rows, []string{fmt.Sprintf("%s %+.0f %%", c.What, 100*(c.Factor-1)), best, t.money(c.Regret) + " (" + percentage(float64(c.Regret), float64(c.Best.Total)) + ")"})
	}
	t.section("Sensitivity")
	t.rows(rows)
}

func (t *table) halves() {
	if h := t.doc.Halves; h != nil {
		t.section("On demand that it was not made from")
		t.text(fmt.Sprintf("Judged on what it had not seen: a plan from the first %s alone is %s; in the rest it costs %s %s, %s times the bound of that half (aim: at most %.2f%s).",
			days(h.FittedDays), or(countsOf(h.Plan.Nodes), "to own nothing"), t.money(h.Judged.Total), t.doc.Currency, ratioText(h.Bound.Ratio), h.Bound.Aim, missed(h.Bound.Missed)))
	}
}

func (t *table) months() {
	t.section("Spent in a month")
	m := t.doc.Months
	if m == nil {
		t.text("No forecast of monthly spend: " + t.doc.NoMonths + ".")
		return
	}
	rows := [][]string{{"Spent on bursts in " + t.doc.Currency, "so far", "P5", "P50", "P95"}}
	for _, s := range []*spendSheet{m.Present, &m.Next} {
		if s != nil {
			rows = append(rows, []string{s.Month, t.money(s.ToDate), t.money(s.P5), t.money(s.P50), t.money(s.P95)})
		}
	}
	t.rows(rows)
	t.text(fmt.Sprintf("Drawn %s times from %d days, weekdays and weekends each from their own.", whole(int64(m.Draws)), m.HistoryDays))
}

func (t *table) simulated() {
	s, d := t.doc.Simulated, t.doc
	if s == nil {
		return
	}
	t.section("Planned and replayed")
	t.rows([][]string{
		{"Replayed on the Engine", "planned", "simulated"},
		{"nodes, " + d.Currency, t.money(d.Plan.NodeCost), t.decimal(s.NodeCost)},
		{"bursts, " + d.Currency, t.money(d.Plan.Burst), t.decimal(s.BurstCost)},
		{"both, " + d.Currency, t.money(d.Plan.NodeCost + d.Plan.Burst), t.decimal(s.Total)},
		{"cost / bound", ratioOf(d.Bound.Ratio), ratioOf(s.Bound)},
		{"calls in the cloud", whole(d.Plan.BurstCalls), whole(s.Burst)},
		{"calls refused", "0", whole(s.Refused)},
		{"cold starts", "", whole(s.ColdStarts)},
		{"waits: P50", "", waited(s.WaitP50)}, {"       P95", "", waited(s.WaitP95)}, {"       P99", "", waited(s.WaitP99)}, {"       longest", "", waited(s.WaitMax)},
	})
}

func (t *table) quotas() {
	q := t.doc.Quotas
	if q == nil {
		return
	}
	t.section("Quotas of teams")
	t.text(fmt.Sprintf("On-prem slots that a team needs for at most %s refused and a P95 wait of at most %s, without bursting:",
		percentage(q.MaxRefused, 1), lasting(micros(q.MaxWaitMicros))))
	rows := [][]string{{"team", "calls", "peak", "slots", "refused", "P95 wait"}}
	sampled := false
	for i := range q.Teams {
		x := &q.Teams[i]
		slots, star := "none", ""
		if x.Quota != nil {
			slots = whole(*x.Quota)
		}
		if x.UntilMicros > 0 {
			star, sampled = "*", true
		}
		rows = append(rows, []string{short(x.Team, 30), whole(x.Calls) + star, whole(x.Peak), slots, percentage(x.Refused, 1), waited(x.WaitMicros)})
	}
	t.rows(rows)
	if sampled {
		t.text("* Tried on the calls around the team's busiest time, so the quota is rather too large than too small.")
	}
	if q.Others > 0 {
		t.text(fmt.Sprintf("%s more: --teams all, or --teams NAME.", counted(q.Others, "team")))
	}
	for i := range q.Teams {
		if x := &q.Teams[i]; x.Fault != "" {
			t.text(x.Team + ": " + x.Fault)
		}
	}
}

func (t *table) money(a amount) string {
	return thousands(new(big.Rat).SetFrac64(int64(a), 1e9).FloatString(t.size))
}

// decimal shows an exact amount.
func (t *table) decimal(text string) string {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return text
	}
	return thousands(r.FloatString(t.size))
}
