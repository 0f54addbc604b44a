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
	step              time.Duration
	x                 []float64 // seconds since the start, middle of the step
	memory, cpu       use       // in GiB and cores
	arrivals, refused []float64 // calls a second
}

// use is what calls hold on-prem and, upon it, in clouds.
type use struct{ onPrem, both []float64 }

// peak returns the most of both and where.
func (u *use) peak() (most float64, at int) {
	for i, x := range u.both {
		if x > most {
			most, at = x, i
		}
	}
	return most, at
}

func (u *use) add(onPrem, cloud float64) {
	u.onPrem, u.both = append(u.onPrem, onPrem), append(u.both, onPrem+cloud)
}

func (s *sheet) load() load {
	every := (len(s.Series) + maxPoints - 1) / maxPoints
	l := load{step: time.Duration(max(every, 1)) * s.Step}
	for i := 0; i < len(s.Series); i += every {
		part := s.Series[i:min(i+every, len(s.Series))]
		n := float64(len(part))
		seconds := n * s.Step.Seconds()
		var mib, cpu [spillway.ClassCount]float64
		var arrivals, refused float64
		for k := range part {
			for class := range mib {
				mib[class] += s.meanOf(part[k].Use[class].MiB) / n
				cpu[class] += s.meanOf(part[k].Use[class].MilliCPU) / n
			}
			arrivals += float64(part[k].Arrivals) / seconds
			refused += float64(part[k].Refused) / seconds
		}
		l.x = append(l.x, float64(i)*s.Step.Seconds()+seconds/2)
		l.memory.add(mib[spillway.ClassOnPrem]/1024, mib[spillway.ClassCloud]/1024)
		l.cpu.add(cpu[spillway.ClassOnPrem]/1000, cpu[spillway.ClassCloud]/1000)
		l.arrivals, l.refused = append(l.arrivals, arrivals), append(l.refused, refused)
	}
	return l
}

// capacity is what owned pools have together in a dimension; 0 if it is not limited.
func (s *sheet) capacity(of spillway.Dimension) (sum float64) {
	for i := range s.pools {
		p := s.pools[i].Pool
		if p.Kind.Cloud() || p.Retired {
			continue
		}
		if p.Capacity.Of(of) == spillway.Unlimited {
			return 0
		}
		sum += float64(p.Capacity.Of(of))
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

// near reports whether a capacity can be drawn beside a peak and leave it visible.
func near(capacity, peak float64) bool { return capacity > 0 && capacity <= 1.6*peak }

// stack draws what is in use on-prem and in clouds, and what is owned.
func (s *sheet) stack(c *chart, l *load, u *use, capacity float64, unit string) (figure, error) {
	peak, at := u.peak()
	top := peak
	if near(capacity, peak) {
		top = max(peak, capacity)
	}
	c.upTo(top)
	s.timeAxis(c)
	c.fill(l.x, make([]float64, len(l.x)), u.onPrem, ownedColours[0])
	c.fill(l.x, u.onPrem, u.both, cloudColours[0])
	c.key("on-prem", ownedColours[0], false, nil)
	c.key("cloud", cloudColours[0], false, nil)
	caption := fmt.Sprintf("Means of %s, of calls that ran.", whole(l.step))
	if near(capacity, peak) {
		c.level(capacity, inkColour, dashed)
		c.key(fmt.Sprintf("owned capacity, %s %s", short(capacity), unit), inkColour, true, dashed)
	} else if capacity > 0 {
		caption += fmt.Sprintf(" The owned capacity of %s %s is above the scale.", short(capacity), unit)
	}
	alt := "Nothing was in use."
	if peak > 0 {
		alt = fmt.Sprintf("In use over time, on-prem and cloud stacked. The peak is %s %s at %s.", short(peak), unit, stamp(s.Start.Add(time.Duration(l.x[at]*1e9))))
	}
	return c.done(250, alt, caption)
}

func (s *sheet) demand(l *load) (figure, error) {
	return s.stack(newChart("Demand and overflow", "Time (UTC)", "Memory in use, GiB"), l, &l.memory, s.capacity(spillway.DimMiB)/1024, "GiB")
}

func (s *sheet) processors(l *load) (figure, error) {
	return s.stack(newChart("Processors", "Time (UTC)", "Cores in use"), l, &l.cpu, s.capacity(spillway.DimMilliCPU)/1000, "cores")
}

func (s *sheet) arrivals(l *load) (figure, error) {
	c := newChart("Arrivals", "Time (UTC)", "Calls per second")
	most, refused := slices.Max(l.arrivals), slices.Max(l.refused)
	c.upTo(max(most, refused))
	s.timeAxis(c)
	c.line(l.x, l.arrivals, ownedColours[1], 1.2, nil)
	c.key("arrivals", ownedColours[1], true, nil)
	if refused > 0 {
		c.line(l.x, l.refused, alarmColour, 1.2, dashed)
		c.key("refused", alarmColour, true, dashed)
	}
	alt := fmt.Sprintf("Arrivals and refusals over time. At most %s calls arrive per second.", short(most))
	return c.done(190, alt, fmt.Sprintf("Means of %s.", whole(l.step)))
}

func (s *sheet) duration(l *load) (figure, error) {
	c := newChart("Load-duration curve", "Share of the time in which demand is at least this high", "Memory in use, GiB")
	sorted := slices.Clone(l.memory.both)
	slices.SortFunc(sorted, func(a, b float64) int { return cmp.Compare(b, a) })
	best := s.view.Optimum
	peak, capacity := sorted[0], s.capacity(spillway.DimMiB)/1024
	top := peak
	if near(capacity, peak) {
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
	curve := append(slices.Clone(sorted), sorted[len(sorted)-1])
	c.fill(x, zero, curve, shadeColour)
	c.line(x, curve, ownedColours[0], 1.5, nil)
	c.key("demand", ownedColours[0], true, nil)
	if near(capacity, peak) {
		c.level(capacity, inkColour, dashed)
		c.key(fmt.Sprintf("owned capacity, %s GiB", short(capacity)), inkColour, true, dashed)
	}
	alt := fmt.Sprintf("Demand sorted from its peak of %s GiB down.", short(peak))
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

// shortest is where the axis of durations begins at the latest, in microseconds.
const shortest = 100

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
	if high >= shortest {
		low = max(low, shortest)
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
	return c.done(250, alt, "Where a line meets the left edge is the share that took no longer than that, or no time at all. Cold starts are of the calls that met one.")
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
