package planner

import (
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
)

// MaxSteps is how many steps a Recorder holds: nine years of minutes. A plan takes
// several hundred bytes for each.
const MaxSteps = 5_000_000

// Recorder turns calls into a Series. It is not safe for concurrent use.
type Recorder struct {
	start      time.Time
	stepMicros int64
	rate       spillway.Rate
	steps      []recorded
}

// recorded is a Step in microseconds, where calls do not lose by rounding.
type recorded struct{ mib, cpu, calls, extra int64 }

// NewRecorder begins a series at start. Of rate, its rounding of billed time
// counts, per call.
func NewRecorder(start time.Time, step time.Duration, rate spillway.Rate) (*Recorder, error) {
	if step < time.Millisecond || step > 24*time.Hour || step%time.Millisecond != 0 {
		return nil, &InputError{"step", fmt.Sprintf("%v is not a whole number of milliseconds up to a day", step)}
	}
	return &Recorder{start: start, stepMicros: step.Microseconds(), rate: rate}, nil
}

// Add records calls equal calls that each begin at and last for durationMicros with
// res, at being microseconds from the start. A call shorter than a microsecond
// counts as one. Time that is billed and not used is in the step where a call ends.
func (r *Recorder) Add(at, durationMicros int64, res spillway.Resources, calls int64) error {
	duration := max(durationMicros, 1)
	end, err := sum(at, duration)
	if err != nil || durationMicros < 0 || res.MiB < 1 || res.MilliCPU < 0 || calls < 1 {
		return &InputError{"call", fmt.Sprintf("%d calls at %d µs for %d µs with %+v: negative, without memory or beyond 64 bits", calls, at, durationMicros, res)}
	}
	if end/r.stepMicros >= MaxSteps {
		return &InputError{"call", fmt.Sprintf("it ends %d steps after the start, more than %d: use longer steps", end/r.stepMicros, MaxSteps)}
	}
	mib, err := product(res.MiB, calls)
	if err != nil {
		return err
	}
	cpu, err := product(res.MilliCPU, calls)
	if err != nil {
		return err
	}
	r.grow(int((end - 1) / r.stepMicros))
	for from := at; from < end; {
		i := from / r.stepMicros
		to := min(end, (i+1)*r.stepMicros)
		if err := r.steps[i].add(mib, cpu, to-from); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		from = to
	}
	if r.steps[at/r.stepMicros].calls, err = sum(r.steps[at/r.stepMicros].calls, calls); err != nil {
		return err
	}
	return r.addExtra(mib, duration, &r.steps[(end-1)/r.stepMicros])
}

func (r *Recorder) grow(last int) {
	for len(r.steps) <= last {
		r.steps = append(r.steps, recorded{})
	}
}

func (s *recorded) add(mib, cpu, micros int64) error {
	busy, err := product(mib, micros)
	if err != nil {
		return err
	}
	if s.mib, err = sum(s.mib, busy); err != nil {
		return err
	}
	if busy, err = product(cpu, micros); err != nil {
		return err
	}
	s.cpu, err = sum(s.cpu, busy)
	return err
}

// addExtra records the time billed beyond the time used.
func (r *Recorder) addExtra(mib, durationMicros int64, last *recorded) error {
	millis := durationMicros / 1000
	if durationMicros%1000 != 0 {
		millis++
	}
	billed, err := product(r.rate.BilledMillis(millis), 1000)
	if err != nil {
		return err
	}
	extra, err := product(mib, billed-durationMicros)
	if err != nil {
		return err
	}
	last.extra, err = sum(last.extra, extra)
	return err
}

// Series returns what was recorded, at least until micros from the start, with each
// quantity of a step rounded up to the millisecond.
func (r *Recorder) Series(until int64) Series {
	if until > 0 && until/r.stepMicros < MaxSteps {
		r.grow(int((until - 1) / r.stepMicros))
	}
	s := Series{Start: r.start, StepMillis: r.stepMicros / 1000, Steps: make([]Step, len(r.steps))}
	for i, from := range r.steps {
		s.Steps[i] = Step{
			MiBMillis: ceilThousandth(from.mib), MilliCPUMillis: ceilThousandth(from.cpu), Calls: from.calls,
			BilledMiBMillis: ceilThousandth(from.mib) + ceilThousandth(from.extra),
		}
	}
	return s
}

func ceilThousandth(n int64) int64 {
	q := n / 1000
	if n%1000 != 0 {
		q++
	}
	return q
}
