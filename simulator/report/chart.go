package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/spillway-dev/spillway/internal/safetext"
)

// Colours that differ in lightness, so that they do on grey paper: what is owned is
// dark, what is rented is light.
var (
	ownedColours = []color.RGBA{{0x1c, 0x3d, 0x5a, 0xff}, {0x3f, 0x6d, 0x94, 0xff}, {0x6b, 0x8f, 0xad, 0xff}}
	cloudColours = []color.RGBA{{0xf2, 0x9f, 0x3d, 0xff}, {0xfa, 0xcf, 0x8f, 0xff}, {0xc9, 0x72, 0x1a, 0xff}, {0xe8, 0xdf, 0xb0, 0xff}}
	idleColour   = color.RGBA{0xd5, 0xd9, 0xdd, 0xff}
	inkColour    = color.RGBA{0x22, 0x26, 0x2a, 0xff}
	alarmColour  = color.RGBA{0xb0, 0x1e, 0x2e, 0xff}
	shadeColour  = color.RGBA{0xc3, 0xd0, 0xdb, 0xff}
	gridColour   = color.RGBA{0xd9, 0xdd, 0xe0, 0xff}
)

const chartWidth = 720 // points

// key is an entry of a legend.
type key struct {
	Name   string
	Colour string
	Dash   string // of a line; empty: solid
	Line   bool   // a line, not an area
}

// figure is a plot with what stands around it.
type figure struct {
	Title, Caption string
	Keys           []key
	SVG            template.HTML
}

// chart is a plot in the making.
type chart struct {
	*plot.Plot
	figure figure
	err    error
}

func newChart(title, x, y string) *chart {
	c := &chart{Plot: plot.New(), figure: figure{Title: title}}
	c.BackgroundColor = nil
	c.X.Label.Text, c.Y.Label.Text = x, y
	for _, axis := range []*plot.Axis{&c.X, &c.Y} {
		axis.Label.TextStyle.Font = sans(10)
		axis.Label.TextStyle.Color = inkColour
		axis.Label.Padding = 4
		axis.Tick.Label.Font = sans(9)
		axis.Tick.Label.Color = inkColour
		axis.Tick.Length = 4
		axis.Color, axis.Tick.Color = inkColour, inkColour
		axis.Padding = 0
	}
	return c
}

func sans(size font.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}

func (c *chart) key(name string, colour color.RGBA, line bool, dashes []vg.Length) {
	k := key{Name: name, Colour: fmt.Sprintf("#%02x%02x%02x", colour.R, colour.G, colour.B), Line: line}
	var parts []string
	for _, d := range dashes {
		parts = append(parts, fmt.Sprint(d.Points()))
	}
	k.Dash = strings.Join(parts, " ")
	c.figure.Keys = append(c.figure.Keys, k)
}

// fill draws the area between two lines of equal length over x.
func (c *chart) fill(x, low, high []float64, colour color.RGBA) {
	ring := make(plotter.XYs, 0, 2*len(x))
	for i := range x {
		ring = append(ring, plotter.XY{X: x[i], Y: high[i]})
	}
	for i := len(x) - 1; i >= 0; i-- {
		ring = append(ring, plotter.XY{X: x[i], Y: low[i]})
	}
	area, err := plotter.NewPolygon(ring)
	if err != nil {
		c.err = err
		return
	}
	area.Color, area.Width = colour, 0
	c.Add(area)
}

func (c *chart) line(x, y []float64, colour color.RGBA, width vg.Length, dashes []vg.Length) {
	points := make(plotter.XYs, len(x))
	for i := range x {
		points[i] = plotter.XY{X: x[i], Y: y[i]}
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		c.err = err
		return
	}
	line.Color, line.Width, line.Dashes = colour, width, dashes
	c.Add(line)
}

// level draws a line at y from side to side.
func (c *chart) level(y float64, colour color.RGBA, dashes []vg.Length) {
	c.line([]float64{c.X.Min, c.X.Max}, []float64{y, y}, colour, 1.2, dashes)
}

// rules draws the lines of the grid, those of values only if there are bars. It
// comes before what lies upon it.
func (c *chart) rules(bars bool) {
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Color = gridColour, gridColour
	g.Horizontal.Width, g.Vertical.Width = 0.5, 0.5
	if bars {
		g.Horizontal.Color = nil
	}
	c.Add(g)
}

// upTo sets the vertical axis from zero to the mark at or above most.
func (c *chart) upTo(most float64) {
	step := niceStep(most, 5)
	c.Y.Min, c.Y.Max = 0, step*math.Ceil(most/step-1e-9)
	if c.Y.Max <= 0 {
		c.Y.Max = step
	}
	c.Y.Tick.Marker = even{step}
}

// done draws the chart as an image of HTML; alt says what it shows.
func (c *chart) done(height vg.Length, alt, caption string) (figure, error) {
	if c.err != nil {
		return figure{}, fmt.Errorf("plot %s: %w", c.figure.Title, c.err)
	}
	canvas := vgsvg.New(chartWidth, height)
	inner := draw.Crop(draw.New(canvas), 2, -14, 2, -6)
	c.Draw(inner)
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return figure{}, fmt.Errorf("plot %s: %w", c.figure.Title, err)
	}
	c.figure.Caption = caption
	c.figure.SVG = inline(b.String(), height, alt)
	return c.figure, nil
}

// inline takes off what a file of its own needs, and names fonts that exist.
func inline(svg string, height vg.Length, alt string) template.HTML {
	_, body, _ := strings.Cut(svg, "<svg")
	_, body, _ = strings.Cut(body, ">\n")
	body = strings.ReplaceAll(body, "font-family:Liberation Sans", "font-family:'Liberation Sans',Arial,Helvetica,sans-serif")
	head := fmt.Sprintf(`<svg viewBox="0 0 %d %g" role="img" aria-label="%s">`, chartWidth, height.Points(), html.EscapeString(safetext.Line(alt)))
	return template.HTML(head + "\n" + body)
}
