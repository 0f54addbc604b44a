package planning

import (
	"github.com/spillway-dev/spillway/simulator/report"
)

// page collects sections.
type page struct{ all []report.Section }

func (p *page) section(head string) { p.all = append(p.all, report.Section{Head: head}) }

func (p *page) gap() {}

func (p *page) text(words string) {
	s := &p.all[len(p.all)-1]
	if s.Rows == nil {
		s.Lead = append(s.Lead, words)
	} else {
		s.Text = append(s.Text, words)
	}
}

func (p *page) rows(rows [][]string) { p.all[len(p.all)-1].Rows = rows }

// Preface is the plan for a page of its replay.
func (d *Document) Preface() *report.Preface {
	p := &page{}
	t := newTable(p, d)
	p.section("Cost")
	t.findings()
	p.section("What was planned for")
	t.question()
	of := &report.Preface{Title: "Plan for " + d.Trace.Path, Sentence: d.Sentence(), Notes: d.Notes, Sections: p.all, Replay: "Replay of the plan"}
	fact := func(what, figure string) { of.Facts = append(of.Facts, [2]string{what, figure}) }
	fact(d.Currency+", this plan", t.money(d.Plan.Total))
	fact(d.Currency+", all in the cloud", t.money(d.AllCloud.Total))
	if d.PeakOwned != nil {
		fact(d.Currency+", owned for the peak", t.money(d.PeakOwned.Total))
	}
	fact(d.Currency+", lower bound", t.money(d.Bound.Total))
	fact("cost / bound", ratioOf(d.Bound.Ratio))
	fact("of calls burst", percentage(float64(d.Plan.BurstCalls), float64(d.Demand.Calls)))
	of.Curve = &report.Curve{Currency: d.Currency}
	for i := range d.Curve {
		x := &d.Curve[i]
		of.Curve.Points = append(of.Curve.Points, report.CurvePoint{GiB: float64(x.OwnedMiB) / 1024, Nodes: float64(x.NodeCost) / 1e9, Bursts: float64(x.Total-x.NodeCost) / 1e9})
		if x.OwnedMiB == d.Plan.OwnedMiB && x.Total == d.Plan.Total {
			of.Curve.Best = i
		}
	}
	return of
}
