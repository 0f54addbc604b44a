package planning

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator/planner"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Demand is what a trace asks for. The trace's calls are Calls + Skipped + CloudOnly.
type Demand struct {
	Series    planner.Series
	Calls     int64 // in Series
	Skipped   int64 // of functions that the platform does not have
	CloudOnly int64 // of functions that may not run on-prem
	// Pinned calls of Calls are of functions that no cloud may run: planned as if
	// they could burst, they wait or are refused where nodes are short.
	Pinned    int64
	PinnedMiB float64            // MiB-microseconds, to show
	Cut       int64              // calls that ran longer than their function's timeout
	Teams     []TeamDemand       // by namespace
	PeakBusy  spillway.Resources // mean of the busiest step, each by itself; Slots is not known
}

// Length is how long the demand lasts: the trace in whole steps of the clock, to the end
// of its last call.
func (d *Demand) Length() time.Duration {
	return time.Duration(d.Series.DurationMillis()) * time.Millisecond
}

// shortOf reports whether the slots of a pool are taken before its memory and CPU are,
// by calls of the mean size.
func (d *Demand) shortOf(has spillway.Resources) bool {
	var busy, mib, cpu float64 // times milliseconds
	for _, t := range d.Teams {
		busy += float64(t.BusyMicros) / 1000
	}
	for i := range d.Series.Steps {
		mib += float64(d.Series.Steps[i].MiBMillis)
		cpu += float64(d.Series.Steps[i].MilliCPUMillis)
	}
	full := float64(has.Slots) // Unlimited is more than any memory is
	return full*mib < float64(has.MiB)*busy && full*cpu < float64(has.MilliCPU)*busy
}

// TeamDemand is what calls of one namespace ask for.
type TeamDemand struct {
	Namespace  int
	Calls      int64
	BusyMicros int64
}

// ErrNoDemand reports a trace of which nothing can be planned.
var ErrNoDemand = errors.New("there is nothing to plan")

// MeasureDemand reads the whole trace.
func MeasureDemand(ctx context.Context, c *Case, step time.Duration) (*Demand, error) {
	m, err := newMeasurement(c, step)
	if err != nil {
		return nil, err
	}
	if err := c.each(ctx, "measuring demand", m.take); err != nil {
		return nil, err
	}
	d := m.demand
	if d.Calls == 0 {
		return nil, fmt.Errorf("%w: of the trace's calls, %d are of functions that the configuration does not have and %d may not run on-prem; none are left", ErrNoDemand, d.Skipped, d.CloudOnly)
	}
	until := m.offset + c.Run.Length.Microseconds()
	d.Series = m.busy.Series(until)
	if m.billed != m.busy {
		for i, s := range m.billed.Series(until).Steps {
			d.Series.Steps[i].BilledMiBMillis = s.BilledMiBMillis
		}
	}
	for _, s := range d.Series.Steps {
		d.PeakBusy.MiB = max(d.PeakBusy.MiB, s.MiBMillis/d.Series.StepMillis)
		d.PeakBusy.MilliCPU = max(d.PeakBusy.MilliCPU, s.MilliCPUMillis/d.Series.StepMillis)
	}
	return d, nil
}

type measurement struct {
	c            *Case
	busy, billed *planner.Recorder // the same if all are billed the memory they have
	demand       *Demand
	kind         []placement // by function of the platform
	offset       int64       // microseconds from the first step to the start of the trace
}

type placement uint8

const (
	anywhere placement = iota
	onPremOnly
	cloudOnly
)

func newMeasurement(c *Case, step time.Duration) (*measurement, error) {
	m := &measurement{c: c, demand: &Demand{}, kind: make([]placement, len(c.Run.Platform.Functions))}
	start := firstStep(c.Run.Start.Time(), step)
	m.offset = c.Run.Start.Time().Sub(start).Microseconds()
	var err error
	if m.busy, err = planner.NewRecorder(start, step, c.Cloud.Rate); err != nil {
		return nil, err
	}
	if steps := (m.offset + c.Run.Length.Microseconds()) / step.Microseconds(); steps >= planner.MaxSteps {
		return nil, &planner.InputError{Path: "step", Problem: fmt.Sprintf("%s cuts %s into %d steps; allowed: fewer than %d", step, c.Run.Length.Round(time.Second), steps, planner.MaxSteps)}
	}
	m.billed = m.busy
	for i, f := range c.Run.Platform.Functions {
		switch onPrem, cloud := places(f); {
		case !onPrem:
			m.kind[i] = cloudOnly
		case !cloud:
			m.kind[i] = onPremOnly
		}
		if m.billed == m.busy && c.Cloud.billedMiB(f) != f.Resources.MiB {
			if m.billed, err = planner.NewRecorder(start, step, c.Cloud.Rate); err != nil {
				return nil, err
			}
		}
	}
	for i := range c.Run.Platform.Namespaces {
		m.demand.Teams = append(m.demand.Teams, TeamDemand{Namespace: i})
	}
	return m, nil
}

// firstStep puts steps on the clock, so that days of a trace are those of the calendar
// though its first call is not at midnight to the microsecond.
func firstStep(start time.Time, step time.Duration) time.Time {
	if step <= 0 || 24*time.Hour%step != 0 {
		return start
	}
	return start.Truncate(step)
}

func (m *measurement) take(call *trace.Call) error {
	d, index := m.demand, m.c.Run.Functions[call.Function]
	if index < 0 {
		d.Skipped++
		return nil
	}
	f := m.c.Run.Platform.Functions[index]
	if m.kind[index] == cloudOnly {
		d.CloudOnly++
		return nil
	}
	took := call.Duration
	if took > f.Timeout {
		took = f.Timeout
		d.Cut++
	}
	micros := took.Microseconds()
	d.Calls++
	d.Teams[f.Namespace].Calls++
	d.Teams[f.Namespace].BusyMicros += micros
	if m.kind[index] == onPremOnly {
		d.Pinned++
		d.PinnedMiB += float64(micros) * float64(f.Resources.MiB)
	}
	at := m.offset + call.At.Microseconds()
	if m.billed != m.busy {
		if err := m.billed.Add(at, micros, spillway.Resources{MiB: m.c.Cloud.billedMiB(f)}, 1); err != nil {
			return fmt.Errorf("a call of %s: %w", f.FunctionKey, err)
		}
	}
	if err := m.busy.Add(at, micros, f.Resources, 1); err != nil {
		return fmt.Errorf("a call of %s: %w", f.FunctionKey, err)
	}
	return nil
}
