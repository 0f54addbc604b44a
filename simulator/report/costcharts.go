package report

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/spillway-dev/spillway/internal/safetext"
)

const (
	barDepartments = 12
	barName        = 28 // columns
)

// bar is a row of amounts, one upon the other.
type bar struct {
	name  string
	parts []part
}

type part struct {
	amount float64
	colour color.RGBA
}

func (b *bar) sum() (sum float64) {
	for _, p := range b.parts {
		sum += p.amount
	}
	return sum
}

func (d *department) bar(order []int, colours []color.RGBA) bar {
	row := bar{name: cut(safetext.Line(d.name), barName)}
	for _, pool := range order {
		row.parts = append(row.parts, part{float(&d.byPool[pool]), colours[pool]})
	}
	return row
}

// poolColours are dark for owned pools and light for clouds.
func (s *sheet) poolColours() []color.RGBA {
	var all []color.RGBA
	owned, cloud := 0, 0
	for i := range s.pools {
		if s.pools[i].Kind.Cloud() {
			all = append(all, cloudColours[cloud%len(cloudColours)])
			cloud++
		} else {
			all = append(all, ownedColours[owned%len(ownedColours)])
			owned++
		}
	}
	return all
}

// costStack shows what each pool cost.
func (s *sheet) costStack() (figure, error) {
	c := newChart("Cost", "Cost in "+s.Platform.Currency, "")
	row := bar{name: "all"}
	colours := s.poolColours()
	alt := fmt.Sprintf("Cost of %s %s in all:", money(s.total), s.Platform.Currency)
	for _, i := range s.order {
		p := &s.pools[i]
		row.parts = append(row.parts, part{float(&p.cost), colours[i]})
		c.key(fmt.Sprintf("%s %s", p.Name, money(p.cost)), colours[i], false, nil)
		alt += fmt.Sprintf(" %s %s.", p.Name, money(p.cost))
	}
	return c.bars([]bar{row}, alt, "Owned pools for the whole time, used or not; clouds as billed.")
}

// departmentCosts shows the dearest departments, and the rest as one.
func (s *sheet) departmentCosts() (figure, error) {
	c := newChart("Cost by department", "Cost in "+s.Platform.Currency, "")
	colours := s.poolColours()
	for _, i := range s.order {
		c.key(s.pools[i].Name, colours[i], false, nil)
	}
	var rows []bar
	longest := 0.0
	caption := "What departments are charged: on-prem by the rate of the pool, clouds as billed."
	// A row that would make all others too short to see is said, not drawn.
	add := func(row bar) {
		if sum := row.sum(); longest > 0 && sum > 4*longest {
			caption += fmt.Sprintf(" Not drawn: %s, %s %s.", row.name, short(sum), s.Platform.Currency)
			return
		}
		longest = max(longest, row.sum())
		rows = append(rows, row)
	}
	shown := min(len(s.departments), barDepartments)
	for i := range s.departments[:shown] {
		add(s.departments[i].bar(s.order, colours))
	}
	if more := s.departments[shown:]; len(more) > 0 {
		rest, err := restOf(more)
		if err != nil {
			return figure{}, err
		}
		rest.name = plural(int64(len(more)), "other", "others")
		add(rest.bar(s.order, colours))
	}
	if !s.idle.Negative && !s.idle.IsZero() {
		add(bar{name: "owned, not charged", parts: []part{{float(&s.idle), idleColour}}})
	}
	return c.bars(rows, "The dearest departments, on-prem and cloud stacked; the table below has the figures.", caption)
}

// bars draws rows from the top down.
func (c *chart) bars(rows []bar, alt, caption string) (figure, error) {
	most := 0.0
	for _, row := range rows {
		most = max(most, row.sum())
	}
	step := niceStep(most, 6)
	c.X.Min, c.X.Max, c.X.Tick.Marker = 0, max(most, step), even{step}
	c.Y.Min, c.Y.Max = -float64(len(rows))+0.4, 0.6
	c.Y.LineStyle.Width, c.Y.Tick.Length = 0, 0
	var names plot.ConstantTicks
	c.rules(true)
	for i, row := range rows {
		names = append(names, plot.Tick{Value: -float64(i), Label: row.name})
		from := 0.0
		for _, p := range row.parts {
			c.box(from, from+p.amount, -float64(i), p.colour)
			from += p.amount
		}
	}
	c.Y.Tick.Marker = names
	return c.done(vg.Length(44+22*len(rows)), alt, caption)
}

func (c *chart) box(from, to, y float64, colour color.RGBA) {
	if to <= from {
		return
	}
	const half = 0.36
	box, err := plotter.NewPolygon(plotter.XYs{{X: from, Y: y - half}, {X: to, Y: y - half}, {X: to, Y: y + half}, {X: from, Y: y + half}})
	if err != nil {
		c.err = err
		return
	}
	box.Color, box.Width = colour, 0
	c.Add(box)
}
