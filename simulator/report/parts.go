package report

import (
	"fmt"
	"slices"
)

// maxRows is how many departments the page lists; JSON and CSV have all.
const maxRows = 2000

// facts are the figures to see first.
func (s *sheet) facts() []field {
	wait := s.distributions()[0].of
	return []field{
		{"calls", count(s.Calls)},
		{"of executions in clouds", percent(s.inCloud(), s.runs)},
		{"of calls refused", percent(s.Refused, s.Calls)},
		{"wait P95", span(wait.Quantile(0.95))},
		{"of executions started cold", percent(s.cold, s.runs)},
		{s.Platform.Currency + ", owned and cloud", money(s.total)},
	}
}

// figures draws what f do, in order.
func figures(draw ...func() (figure, error)) ([]figure, error) {
	var all []figure
	for _, f := range draw {
		x, err := f()
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, nil
}

func (s *sheet) whenPart() (htmlPart, error) {
	part := htmlPart{Head: "Demand"}
	if len(s.Series) == 0 || s.Step <= 0 {
		return part, nil
	}
	l := s.load()
	all := []func(*load) (figure, error){s.demand, s.arrivals, s.duration}
	if cores, _ := l.cpu.peak(); cores > 0 {
		all = slices.Insert(all, 1, s.processors)
	}
	for _, draw := range all {
		f, err := draw(&l)
		if err != nil {
			return part, err
		}
		part.Figures = append(part.Figures, f)
	}
	return part, nil
}

func (s *sheet) wherePage() (htmlPart, error) {
	pools := htmlTable{Head: []string{"Pool", "Kind", "Executed", "Share", "Cold starts", "Cold rate", "GiB·s billed", "Peak calls", "Peak GiB", "Cost, " + s.Platform.Currency}}
	for _, i := range s.order {
		x := &s.pools[i]
		pools.Rows = append(pools.Rows, []string{x.Name, x.Kind.String(), count(x.runs), percent(x.runs, s.runs), count(x.Cold), percent(x.Cold, x.runs), short(float(&x.GiBSeconds)),
			count(x.Peak.Slots), short(gib(x.Peak.MiB)), money(x.cost)})
	}
	pools.Foot = [][]string{{"all", "", count(s.runs), percent(s.runs, s.runs), count(s.cold), percent(s.cold, s.runs), "", "", "", money(s.total)}}
	pools.Note = "Executed counts attempts that ran or may have run, so a call that is placed again may count twice."
	why := htmlTable{Head: []string{"Reason", "Meaning", "Calls", "Share"}, Text: 1}
	for _, r := range append(append([]reasonRow{}, s.placedBy...), s.refusedBy...) {
		kind := "placed: "
		if r.Refusal() {
			kind = "refused: "
		}
		why.Rows = append(why.Rows, []string{kind + r.String(), meanings[r.Reason], count(r.calls), percent(r.calls, s.Calls)})
	}
	if s.Skipped > 0 {
		why.Rows = append(why.Rows, []string{"skipped", skippedBecause, count(s.Skipped), percent(s.Skipped, s.Calls)})
	}
	why.Foot = [][]string{{"all", "", count(s.Calls), percent(s.Calls, s.Calls)}}
	return htmlPart{Head: "Where calls went, and why", Tables: []htmlTable{pools, why}}, nil
}

func (s *sheet) waitPage() (part htmlPart, err error) {
	part.Head = "Waits and cold starts"
	if s.Placed == 0 {
		return part, nil
	}
	if part.Figures, err = figures(s.ecdf); err != nil {
		return part, err
	}
	t := htmlTable{Head: []string{"Of placed calls", "Count", "Mean", "P50", "P95", "P99", "Longest"}, Note: "Quantiles are up to 3.2 % above the true ones."}
	for _, d := range s.distributions() {
		h := d.of
		t.Rows = append(t.Rows, []string{d.name, count(h.Count()), span(h.Mean()), span(h.Quantile(0.5)), span(h.Quantile(0.95)), span(h.Quantile(0.99)), span(h.Max())})
	}
	part.Tables = append(part.Tables, t)
	if s.Warm || !s.ownsPools() {
		return part, nil
	}
	m := htmlTable{Head: []string{"Owned pool", "Instances started", "Cold rate", "Held, GiB·h", "Busy, GiB·h", "Wasted, GiB·h", "Wasted of held"}, Note: "Wasted memory was held by instances that were idle or starting."}
	for i := range s.pools {
		if x := &s.pools[i]; !x.Kind.Cloud() {
			m.Rows = append(m.Rows, []string{x.Name, count(x.Starts), percent(x.Cold, x.runs), short(x.HeldGiBHours), short(x.BusyGiBHours), short(x.wasted()), x.wastedShare()})
		}
	}
	part.Tables = append(part.Tables, m)
	return part, nil
}

func (s *sheet) costPage() (part htmlPart, err error) {
	part.Head = "Cost"
	if !s.total.IsZero() {
		if part.Figures, err = figures(s.costStack, s.departmentCosts); err != nil {
			return part, err
		}
	}
	part.Tables = []htmlTable{{
		Head: []string{"Part", s.Platform.Currency},
		Rows: [][]string{{"Owned, charged to departments", money(s.charged)}, {"Owned, " + s.idleName(), money(s.idle)}, {"Cloud", money(s.cloud)}},
		Foot: [][]string{{"Total", money(s.total)}},
		Note: "Amounts are rounded so that they add up. JSON and CSV have the exact ones.",
	}}
	return part, nil
}

func (s *sheet) departmentPage() (htmlPart, error) {
	part := htmlPart{Head: "Departments"}
	if len(s.departments) == 0 {
		return part, nil
	}
	t := htmlTable{Head: []string{"Department", "Name\u00adspaces", "Calls", "Over\u00adflowed", "In clouds", "Refused", "Cold rate", "Wait P95", "On-prem, " + s.Platform.Currency, "Cloud, " + s.Platform.Currency, "Total, " + s.Platform.Currency}}
	shown := min(len(s.departments), maxRows)
	for i := range s.departments[:shown] {
		t.Rows = append(t.Rows, s.departments[i].cells())
	}
	if more := s.departments[shown:]; len(more) > 0 {
		rest, err := restOf(more)
		if err != nil {
			return part, err
		}
		rest.name = plural(int64(len(more)), "other", "others")
		t.Rows = append(t.Rows, rest.cells())
		t.Note = fmt.Sprintf("The dearest %s are listed; JSON and CSV have all.", count(int64(shown)))
	}
	if !s.idle.IsZero() {
		t.Foot = append(t.Foot, []string{"Owned, " + s.idleName(), "", "", "", "", "", "", "", money(s.idle), "", money(s.idle)})
	}
	all, err := restOf(s.departments)
	if err != nil {
		return part, err
	}
	all.name, all.onPrem, all.cloud, all.total = "All", s.owned, s.cloud, s.total
	t.Foot = append(t.Foot, all.cells())
	part.Tables = []htmlTable{t}
	return part, nil
}

func (d *department) cells() []string {
	return []string{d.name, count(int64(d.namespaces)), count(d.calls), percent(d.overflowed, d.placed()), percent(d.inCloud, d.runs), count(d.refused),
		percent(d.cold, d.runs), span(d.waits.Quantile(0.95)), money(d.onPrem), money(d.cloud), money(d.total)}
}

func (s *sheet) runPage() (htmlPart, error) {
	return htmlPart{Head: "What was run", Fields: append(s.origin(), s.models()...)}, nil
}
