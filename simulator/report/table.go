package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/spillway-dev/spillway/simulator"
)

const (
	topDepartments = 10
	tableLines     = 20 // of a list
)

// Table writes a summary for a terminal of 80 columns.
func Table(w io.Writer, v *View) error {
	s, err := newSheet(v)
	if err != nil {
		return err
	}
	p := newPage(w)
	s.head(p)
	s.wherePart(p)
	s.whyPart(p)
	s.waitPart(p)
	s.instancePart(p)
	if err := s.costPart(p); err != nil {
		return err
	}
	s.tailPart(p)
	return p.end()
}

func (s *sheet) head(p *page) {
	m := &s.view.Meta
	p.text("Simulated %s of %s from %s, seed %d", whole(s.Length), or(m.Trace, "a trace"), stamp(s.Start), m.Seed)
	if m.Platform != "" {
		p.text("%s", m.Platform)
	}
	p.line("%s", s.accounted())
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (s *sheet) wherePart(p *page) {
	p.section("Where calls went")
	g := grid{}
	g.row("pool", "executed", "share", "cold", "rate", "GiB·s", "peak GiB", s.Platform.Currency)
	for _, i := range s.order {
		x := &s.pools[i]
		g.row(x.Name, compact(x.runs), percent(x.runs, s.runs), compact(x.Cold), percent(x.Cold, x.runs),
			compact(int64(float(&x.GiBSeconds)+0.5)), short(gib(x.Peak.MiB)), money(x.cost))
	}
	g.row("all", compact(s.runs), percent(s.runs, s.runs), compact(s.cold), percent(s.cold, s.runs), "", "", money(s.total))
	g.write(p)
}

func gib(mib int64) float64 { return float64(mib) / 1024 }

func (s *sheet) whyPart(p *page) {
	for _, part := range []struct {
		head string
		rows []reasonRow
	}{{"Placed because", s.placedBy}, {"Refused because", s.refusedBy}} {
		if len(part.rows) == 0 {
			continue
		}
		p.section(part.head)
		for _, r := range part.rows {
			lead := fmt.Sprintf("  %-17s %13s  %7s  ", r.Reason, count(r.calls), percent(r.calls, s.Calls))
			for _, line := range wrap(meanings[r.Reason], lineWidth-columns(lead)) {
				p.line("%s%s", lead, line)
				lead = strings.Repeat(" ", columns(lead))
			}
		}
	}
}

func (s *sheet) waitPart(p *page) {
	if s.Placed == 0 {
		return
	}
	p.section("Waits and latency of placed calls")
	g := grid{}
	g.row("", "count", "mean", "P50", "P95", "P99", "max")
	for _, x := range s.distributions() {
		h := x.of
		g.row(x.name, compact(h.Count()), span(h.Mean()), span(h.Quantile(0.5)), span(h.Quantile(0.95)), span(h.Quantile(0.99)), span(h.Max()))
	}
	g.write(p)
}

// distribution is a named histogram.
type distribution struct {
	name string
	of   *simulator.Histogram
}

func (s *sheet) distributions() []distribution {
	all := []distribution{{"wait until it runs", s.Waits}, {"admission to answer", s.Latency}, {"cold starts met", s.ColdStarts}}
	for i := range all {
		if all[i].of == nil {
			all[i].of = new(simulator.Histogram)
		}
	}
	return all
}

func (s *sheet) instancePart(p *page) {
	if s.Warm || !s.ownsPools() {
		return
	}
	p.section("Memory of owned instances, GiB·h")
	g := grid{}
	g.row("pool", "started", "held", "busy", "wasted", "of held")
	for i := range s.pools {
		if x := &s.pools[i]; !x.Kind.Cloud() {
			g.row(x.Name, count(x.Starts), short(x.HeldGiBHours), short(x.BusyGiBHours), short(x.wasted()), x.wastedShare())
		}
	}
	g.write(p)
}

// wasted is what instances held while idle or starting, in GiB·h.
func (x *poolRow) wasted() float64 { return x.HeldGiBHours - x.BusyGiBHours }

func (x *poolRow) wastedShare() string {
	if x.HeldGiBHours <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*x.wasted()/x.HeldGiBHours)
}

func (s *sheet) costPart(p *page) error {
	p.section("Cost in " + s.Platform.Currency)
	g := grid{}
	g.row("owned", money(s.owned))
	g.row("  charged to departments", money(s.charged))
	g.row("  "+s.idleName(), money(s.idle))
	g.row("cloud", money(s.cloud))
	g.row("total", money(s.total))
	g.write(p)
	return s.departmentPart(p)
}

// idleName says what the difference of owned cost and charges is.
func (s *sheet) idleName() string {
	if s.idle.Negative && !s.idle.IsZero() {
		return "charged above their cost"
	}
	return "not charged: idle"
}

// idleRow names the same in a list of departments.
func (s *sheet) idleRow() string {
	if s.idle.Negative && !s.idle.IsZero() {
		return "owned, surplus"
	}
	return "owned, idle"
}

func (s *sheet) departmentPart(p *page) error {
	if len(s.departments) == 0 {
		return nil
	}
	p.section("Departments")
	g := grid{}
	g.row("department", "calls", "in cloud", "refused", "wait P95", "cloud", "total")
	shown := min(len(s.departments), topDepartments)
	for i := range s.departments[:shown] {
		g.department(&s.departments[i])
	}
	if more := s.departments[shown:]; len(more) > 0 {
		rest, err := restOf(more)
		if err != nil {
			return err
		}
		rest.name = plural(int64(len(more)), "other", "others")
		g.department(&rest)
	}
	if !s.idle.IsZero() {
		g.row(s.idleRow(), "", "", "", "", "", money(s.idle))
	}
	g.row("all", compact(s.Calls-s.Skipped), percent(s.inCloud(), s.runs), compact(s.Refused), span(s.distributions()[0].of.Quantile(0.95)), money(s.cloud), money(s.total))
	g.write(p)
	return nil
}

func (s *sheet) inCloud() (n int64) {
	for i := range s.pools {
		if s.pools[i].Kind.Cloud() {
			n += s.pools[i].runs
		}
	}
	return n
}

func (g *grid) department(d *department) {
	g.row(d.name, compact(d.calls), percent(d.inCloud, d.runs), compact(d.refused), span(d.waits.Quantile(0.95)), money(d.cloud), money(d.total))
}

func (s *sheet) tailPart(p *page) {
	lists := []struct {
		head  string
		lines []string
	}{{"Notes", s.notes()}, {"Warnings", s.view.Meta.Warnings}, {"Not taken from the trace", nil}, {"What was run", nil}}
	for i := range s.view.Meta.Skipped {
		lists[2].lines = append(lists[2].lines, skip(&s.view.Meta.Skipped[i]))
	}
	for _, f := range append(s.origin(), s.models()...) {
		if f.Name != "Trace" && f.Name != "Platform" && f.Name != "Seed" && f.Name != "Time" { // those stand in the head
			lists[3].lines = append(lists[3].lines, strings.TrimPrefix(f.Name+": "+f.Text, ": "))
		}
	}
	for _, list := range lists {
		p.list(list.head, list.lines)
	}
}

// list writes a section of lines, and nothing if there are none.
func (p *page) list(head string, lines []string) {
	if len(lines) == 0 {
		return
	}
	p.section(head)
	for _, line := range first(lines, tableLines) {
		p.item(line)
	}
}
