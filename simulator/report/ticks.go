package report

import (
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot"
)

// niceStep is 1, 2 or 5 times a power of ten, at most so many of which reach most.
func niceStep(most float64, marks int) float64 {
	if most <= 0 || math.IsInf(most, 0) || math.IsNaN(most) {
		return 1
	}
	rough := most / float64(marks)
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, x := range []float64{1, 2, 5} {
		if x*power >= rough*(1-1e-9) {
			return x * power
		}
	}
	return 10 * power
}

// even marks multiples of a step.
type even struct{ step float64 }

// Ticks implements plot.Ticker.
func (e even) Ticks(low, high float64) (ticks []plot.Tick) {
	decimals := int(max(0, math.Ceil(-math.Log10(e.step)-1e-9)))
	for i := math.Ceil(low/e.step-1e-9) + 0; i <= high/e.step+1e-9; i++ {
		ticks = append(ticks, plot.Tick{Value: i * e.step, Label: grouped(strconv.FormatFloat(i*e.step, 'f', decimals, 64))})
	}
	return ticks
}

// percents marks shares between 0 and 1.
type percents struct{}

// Ticks implements plot.Ticker.
func (percents) Ticks(_, _ float64) (ticks []plot.Tick) {
	for i := 0; i <= 100; i += 20 {
		ticks = append(ticks, plot.Tick{Value: float64(i) / 100, Label: strconv.Itoa(i) + " %"})
	}
	return ticks
}

// decades marks durations in microseconds on a logarithmic axis.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(low, high float64) (ticks []plot.Tick) {
	for power := math.Pow(10, math.Floor(math.Log10(low)+1e-9)); power <= high*(1+1e-9); power *= 10 {
		ticks = append(ticks, plot.Tick{Value: power, Label: decade(power)})
		for i := 2.0; i < 10 && i*power < high; i++ {
			ticks = append(ticks, plot.Tick{Value: i * power})
		}
	}
	return ticks
}

func decade(micros float64) string {
	n := int64(math.Round(micros))
	switch {
	case n < 1e3:
		return count(n) + " µs"
	case n < 1e6:
		return count(n/1e3) + " ms"
	}
	return count(n/1e6) + " s"
}

// clock marks times of day and dates, at most 9 of them, in seconds since start.
type clock struct{ start time.Time }

var clockSteps = []time.Duration{
	time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour,
}

// Ticks implements plot.Ticker.
func (c clock) Ticks(low, high float64) (ticks []plot.Tick) {
	const most, day = 8, 24 * time.Hour
	length := time.Duration((high - low) * float64(time.Second))
	step := clockSteps[len(clockSteps)-1]
	for _, s := range clockSteps {
		if length <= most*s {
			step = s
			break
		}
	}
	for length > most*step {
		step *= 2
	}
	from := c.start.Add(time.Duration(low * float64(time.Second))).UTC()
	midnight := from.Truncate(day)
	for t := midnight; ; t = t.Add(step) {
		at := t.Sub(c.start).Seconds()
		if at > high+1e-6 {
			return ticks
		}
		if at >= low-1e-6 {
			ticks = append(ticks, plot.Tick{Value: at, Label: clockLabel(t, step, length)})
		}
	}
}

func clockLabel(t time.Time, step, length time.Duration) string {
	switch {
	case step >= 24*time.Hour, t.Equal(t.Truncate(24*time.Hour)) && length > 24*time.Hour:
		return t.Format("Jan 2")
	case step < time.Minute:
		return t.Format("15:04:05")
	}
	return t.Format("15:04")
}
