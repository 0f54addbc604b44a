package report

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/spillway-dev/spillway"
)

// most points that a line over time has; more are put together by their mean.
const maxPoints = 1500

// load is the series as means of steps, in the units of the plots.
type load struct {
	x                               []float64 // seconds since the start, middle of the step
	onPrem, both                    []float64 // GiB in use; both is with clouds
	arrivals, refused               []float64 // calls a second
	step                            time.Duration
	peak, peakAt, most, mostRefused float64
}

func (s *sheet) load() load {
	every := (len(s.Series) + maxPoints - 1) / maxPoints
	l := load{step: time.Duration(max(every, 1)) * s.Step}
	for i := 0; i < len(s.Series); i += every {
		part := s.Series[i:min(i+every, len(s.Series))]
		var onPrem, cloud, arrivals, refused float64
		for k := range part {
			onPrem += s.meanOf(part[k].Use[spillway.ClassOnPrem].MiB) / 1024
			cloud += s.meanOf(part[k].Use[spillway.ClassCloud].MiB) / 1024
			arrivals += float64(part[k].Arrivals)
			refused += float64(part[k].Refused)
		}
		n, seconds := float64(len(part)), float64(len(part))*s.Step.Seconds()
		l.x = append(l.x, (float64(i)+n/2)*s.Step.Seconds())
		l.onPrem, l.both = append(l.onPrem, onPrem/n), append(l.both, (onPrem+cloud)/n)
		l.arrivals, l.refused = append(l.arrivals, arrivals/seconds), append(l.refused, refused/seconds)
		if both := (onPrem + cloud) / n; both > l.peak {
			l.peak, l.peakAt = both, l.x[len(l.x)-1]
		}
		l.most, l.mostRefused = max(l.most, arrivals/seconds), max(l.mostRefused, refused/seconds)
	}
	return l
}

// capacity is what owned pools have together, in GiB; 0 if it is not limited.
func (s *sheet) capacity() float64 {
	sum := 0.0
	for i := range s.pools {
		p := s.pools[i].Pool
		if p.Kind.Cloud() || p.Retired {
			continue
		}
		if p.Capacity.MiB == spillway.Unlimited {
			return 0
		}
		sum += gib(p.Capacity.MiB)
	}
	return sum
}

var (
	dashed = []vg.Length{6, 3}
	dotted = []vg.Length{1.5, 2.5}
)

func (s *sheet) timeAxis(c *chart) {
	c.X.Min, c.X.Max = 0, max(s.Length.Seconds(), float64(len(s.Series))*s.Step.Seconds())
	c.X.Tick.Marker = clock{s.Start}
	c.rules(false)
}

func (s *sheet) demand(l *load) (figure, error) {
	c := newChart("Demand and overflow", "Time (UTC)", "Memory in use, GiB")
	capacity := s.capacity()
	near := capacity > 0 && capacity <= 1.6*l.peak
	top := l.peak
	if near {
		top = max(top, capacity)
	}
	c.upTo(top)
	s.timeAxis(c)
	zero := make([]float64, len(l.x))
	c.fill(l.x, zero, l.onPrem, ownedColours[0])
	c.fill(l.x, l.onPrem, l.both, cloudColours[0])
	c.key("on-prem", ownedColours[0], false, nil)
	c.key("cloud", cloudColours[0], false, nil)
	caption := fmt.Sprintf("Means of %s, of calls that ran.", whole(l.step))
	if near {
		c.level(capacity, inkColour, dashed)
		c.key(fmt.Sprintf("owned capacity, %s GiB", short(capacity)), inkColour, true, dashed)
	} else if capacity > 0 {
		caption += fmt.Sprintf(" The owned capacity of %s GiB is above the scale.", short(capacity))
	}
	alt := fmt.Sprintf("Memory in use over time, on-prem and cloud stacked. The peak is %s GiB at %s.", short(l.peak), stamp(s.Start.Add(time.Duration(l.peakAt*1e9))))
	return c.done(250, alt, caption)
}

func (s *sheet) arrivals(l *load) (figure, error) {
	c := newChart("Arrivals", "Time (UTC)", "Calls per second")
	c.upTo(max(l.most, l.mostRefused))
	s.timeAxis(c)
	c.line(l.x, l.arrivals, ownedColours[1], 1.2, nil)
	c.key("arrivals", ownedColours[1], true, nil)
	if l.mostRefused > 0 {
		c.line(l.x, l.refused, alarmColour, 1.2, dashed)
		c.key("refused", alarmColour, true, dashed)
	}
	alt := fmt.Sprintf("Arrivals and refusals over time. At most %s calls arrive per second.", short(l.most))
	return c.done(190, alt, fmt.Sprintf("Means of %s.", whole(l.step)))
}

func (s *sheet) duration(l *load) (figure, error) {
	c := newChart("Load-duration curve", "Share of the time in which demand is at least this high", "Memory in use, GiB")
	sorted := slices.Clone(l.both)
	slices.SortFunc(sorted, func(a, b float64) int { return cmp.Compare(b, a) })
	best := s.view.Optimum
	top, capacity := l.peak, s.capacity()
	near := capacity > 0 && capacity <= 1.6*l.peak
	if near {
		top = max(top, capacity)
	}
	if best != nil {
		top = max(top, best.GiB)
	}
	c.upTo(top)
	c.X.Min, c.X.Max, c.X.Tick.Marker = 0, 1, percents{}
	c.rules(false)
	x, zero := make([]float64, len(sorted)+1), make([]float64, len(sorted)+1)
	for i := range x {
		x[i] = float64(i) / float64(max(len(sorted), 1))
	}
	curve := append(slices.Clone(sorted), last(sorted))
	c.fill(x, zero, curve, shadeColour)
	c.line(x, curve, ownedColours[0], 1.5, nil)
	c.key("demand", ownedColours[0], true, nil)
	if near {
		c.level(capacity, inkColour, dashed)
		c.key(fmt.Sprintf("owned capacity, %s GiB", short(capacity)), inkColour, true, dashed)
	}
	alt := fmt.Sprintf("Demand sorted from its peak of %s GiB down.", short(l.peak))
	if best != nil {
		s.optimum(c, best, sorted)
		alt += fmt.Sprintf(" A line marks %s at %s GiB.", best.Label, short(best.GiB))
	}
	return c.done(250, alt, "What lies above a level of owned capacity has to wait, overflow or be refused.")
}

// optimum marks the level and the point where demand begins to exceed it.
func (s *sheet) optimum(c *chart, best *Optimum, sorted []float64) {
	c.level(best.GiB, alarmColour, nil)
	above := 0
	for above < len(sorted) && sorted[above] > best.GiB {
		above++
	}
	at := float64(above) / float64(max(len(sorted), 1))
	c.dot(at, best.GiB, alarmColour)
	c.key(fmt.Sprintf("%s (%s GiB, exceeded %s of the time)", best.Label, short(best.GiB), percent(int64(above), int64(len(sorted)))), alarmColour, true, nil)
}

func (c *chart) dot(x, y float64, colour color.RGBA) {
	dot, err := plotter.NewScatter(plotter.XYs{{X: x, Y: y}})
	if err != nil {
		c.err = err
		return
	}
	dot.Color, dot.Radius, dot.Shape = colour, 3.5, draw.CircleGlyph{}
	c.Add(dot)
}

func last(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	return x[len(x)-1]
}

// ecdf shows how many of the durations are at most so long.
func (s *sheet) ecdf() (figure, error) {
	c := newChart("Waits, latency and cold starts", "Duration (logarithmic)", "Share of calls")
	low, high := math.Inf(1), 0.0
	all := s.distributions()
	for _, d := range all {
		at, _ := d.of.Points()
		for _, x := range at {
			if x > 0 {
				low, high = min(low, micros(x)), max(high, micros(x))
			}
		}
	}
	if high == 0 {
		low, high = 1e3, 1e6
	}
	c.X.Min = math.Pow(10, math.Floor(math.Log10(low)+1e-9))
	c.X.Max = max(math.Pow(10, math.Ceil(math.Log10(high)-1e-9)), 10*c.X.Min)
	c.X.Scale, c.X.Tick.Marker = plot.LogScale{}, decades{}
	c.Y.Min, c.Y.Max, c.Y.Tick.Marker = 0, 1, percents{}
	c.rules(false)
	alt := "Cumulative distributions."
	looks := []struct {
		colour color.RGBA
		dashes []vg.Length
	}{{ownedColours[0], nil}, {cloudColours[2], dashed}, {inkColour, dotted}}
	for i, d := range all {
		if d.of.Count() == 0 {
			continue
		}
		c.steps(d, looks[i].colour, looks[i].dashes)
		alt += fmt.Sprintf(" %s: P50 %s, P95 %s, P99 %s.", d.name, span(d.of.Quantile(0.5)), span(d.of.Quantile(0.95)), span(d.of.Quantile(0.99)))
	}
	return c.done(250, alt, "A line that begins above 0 % at the left begins with the calls that did not wait at all. Cold starts are counted over those that met one.")
}

func micros(d time.Duration) float64 { return float64(d.Microseconds()) }

// steps draws a cumulative distribution.
func (c *chart) steps(d distribution, colour color.RGBA, dashes []vg.Length) {
	at, share := d.of.Points()
	x, y := []float64{c.X.Min}, []float64{0}
	for i := range at {
		if v := micros(at[i]); v > c.X.Min {
			x, y = append(x, v, v), append(y, y[len(y)-1], share[i])
		} else {
			y[0] = share[i]
		}
	}
	x, y = append(x, c.X.Max), append(y, 1)
	c.line(x, y, colour, 1.6, dashes)
	c.key(d.name, colour, true, dashes)
}
