package report

import (
	"fmt"
	"strings"

	"github.com/spillway-dev/spillway/internal/safetext"
)

// Preface is what a page says before its result, if the result answers a question of
// its own: how a plan came about that was replayed.
type Preface struct {
	Title, Sentence string
	Facts           [][2]string // figures to see first: what it is, and the figure
	Notes           []string
	Sections        []Section
	Curve           *Curve // drawn below the first section; nil: none
	Replay          string // heading of what is said of the result
}

// Section is a table with text around it; each of them may be missing.
type Section struct {
	Head       string
	Lead, Text []string   // before and after the table
	Rows       [][]string // the first is its head; spaces before a name set it in
}

// Curve is what a period costs by how much memory is owned for it, ascending.
type Curve struct {
	Currency string
	Points   []CurvePoint
	Best     int // by index
}

// CurvePoint is one choice. Amounts are of the whole period, to draw.
type CurvePoint struct{ GiB, Nodes, Bursts float64 }

// preface puts what is said first in front of a page that is filled already.
func (p *htmlPage) preface(of *Preface) error {
	replay := htmlPart{Head: of.Replay, Lead: []string{p.Lead}, Facts: p.Facts, List: p.Notes}
	p.Title, p.Lead, p.Platform, p.Facts, p.Notes = safetext.Line(of.Title), safetext.Line(of.Sentence), "", nil, of.Notes
	for _, f := range of.Facts {
		p.Facts = append(p.Facts, field{f[0], f[1]})
	}
	var parts []htmlPart
	for i := range of.Sections {
		s := &of.Sections[i]
		part := htmlPart{Head: s.Head, Lead: lines(s.Lead), Text: lines(s.Text)}
		if len(s.Rows) > 1 {
			table := htmlTable{Head: lines(s.Rows[0])}
			for _, row := range s.Rows[1:] {
				table.Rows = append(table.Rows, lines(row))
			}
			part.Tables = []htmlTable{table}
		}
		if i == 0 && of.Curve != nil && len(of.Curve.Points) > 1 {
			f, err := of.Curve.figure()
			if err != nil {
				return err
			}
			part.Figures = []figure{f}
		}
		parts = append(parts, part)
	}
	p.Parts = append(append(parts, replay), p.Parts...)
	return nil
}

// lines keeps the spaces that a text begins with, which HTML would not.
func lines(all []string) []string {
	out := make([]string, len(all))
	for i, text := range all {
		rest := strings.TrimLeft(text, " ")
		out[i] = strings.Repeat("\u2002", len(text)-len(rest)) + safetext.Line(rest)
	}
	return out
}

// figure draws bursts upon nodes.
func (v *Curve) figure() (figure, error) {
	c := newChart("Cost by what is owned", "Memory of the owned nodes, GiB", "Cost of the trace, "+v.Currency)
	var x, zero, nodes, all []float64
	most := 0.0
	for _, p := range v.Points {
		x, zero, nodes, all = append(x, p.GiB), append(zero, 0), append(nodes, p.Nodes), append(all, p.Nodes+p.Bursts)
		most = max(most, p.Nodes+p.Bursts)
	}
	c.upTo(most)
	c.X.Min, c.X.Max, c.X.Tick.Marker = x[0], x[len(x)-1], even{niceStep(x[len(x)-1]-x[0], 8)}
	c.rules(false)
	c.fill(x, zero, nodes, ownedColours[2])
	c.key("nodes", ownedColours[2], false, nil)
	c.fill(x, nodes, all, cloudColours[1])
	c.key("bursts", cloudColours[1], false, nil)
	c.line(x, all, inkColour, 1.2, nil)
	best := v.Points[v.Best]
	c.dot(best.GiB, best.Nodes+best.Bursts, alarmColour)
	c.key(fmt.Sprintf("the plan (%s GiB)", short(best.GiB)), alarmColour, false, nil)
	alt := fmt.Sprintf("Cost by owned memory from %s to %s GiB. The plan has %s GiB for %s %s.", short(x[0]), short(x[len(x)-1]), short(best.GiB), short(best.Nodes+best.Bursts), v.Currency)
	return c.done(250, alt, "Each point is the cheapest way to own so much. At the left edge all calls burst, at the right none or as few as the bounds of counts allow.")
}
