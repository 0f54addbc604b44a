package planner

import (
	"fmt"
	"time"
)

const (
	dayMillis = 24 * 60 * 60 * 1000

	// MonthMillis is a billing month: 730 hours.
	MonthMillis int64 = 730 * 60 * 60 * 1000

	micro = 1_000_000 // millionths in a call
)

// Step is the demand of one step. All quantities are ≥ 0, and a step with calls or
// billed time has busy memory.
type Step struct {
	MiBMillis       int64 // memory in use × time
	MilliCPUMillis  int64 // CPU in use × time; zero in all steps: CPU is not planned
	Calls           int64 // that began in the step
	BilledMiBMillis int64 // what the provider would bill if all of it were burst
}

// Series is a demand over time: consecutive steps of StepMillis each.
type Series struct {
	Start      time.Time // of the first step; its zone says which day it is
	StepMillis int64     // in [1, 86,400,000]
	Steps      []Step
}

// InputError says what is wrong with a planner's input.
type InputError struct {
	Path    string // such as series.steps[7].calls
	Problem string
}

func (e *InputError) Error() string { return e.Path + ": " + e.Problem }

// DurationMillis returns the length of the series.
func (s Series) DurationMillis() int64 { return s.StepMillis * int64(len(s.Steps)) }

// Validate returns an *InputError for quantities out of range and for totals that
// do not fit 64 bits.
func (s Series) Validate() error {
	if s.StepMillis < 1 || s.StepMillis > dayMillis {
		return &InputError{"series.stepMillis", fmt.Sprintf("%d is not in [1, %d]", s.StepMillis, dayMillis)}
	}
	if len(s.Steps) == 0 {
		return &InputError{"series.steps", "there are none; a plan needs demand over some time"}
	}
	if _, err := product(s.StepMillis, int64(len(s.Steps))); err != nil {
		return &InputError{"series", "it is longer than 64 bits of milliseconds"}
	}
	var calls, billed, mib, cpu int64
	for i, step := range s.Steps {
		if min(step.MiBMillis, step.MilliCPUMillis, step.Calls, step.BilledMiBMillis) < 0 {
			return &InputError{fmt.Sprintf("series.steps[%d]", i), fmt.Sprintf("a negative quantity in %+v", step)}
		}
		if step.MiBMillis == 0 && step != (Step{}) {
			return &InputError{fmt.Sprintf("series.steps[%d]", i), fmt.Sprintf("demand without busy memory: %+v", step)}
		}
		var errs [4]error
		calls, errs[0] = sum(calls, step.Calls)
		billed, errs[1] = sum(billed, step.BilledMiBMillis)
		mib, errs[2] = sum(mib, step.MiBMillis)
		cpu, errs[3] = sum(cpu, step.MilliCPUMillis)
		if _, err := product(calls, micro); errs != [4]error{} || err != nil {
			return &InputError{fmt.Sprintf("series.steps[%d]", i), "totals up to here overflow 64 bits; plan a shorter series"}
		}
	}
	return nil
}

// peak returns the largest busy memory and CPU of a step; they may be of different
// steps.
func (s Series) peak() (mib, cpu int64) {
	for _, step := range s.Steps {
		mib, cpu = max(mib, step.MiBMillis), max(cpu, step.MilliCPUMillis)
	}
	return mib, cpu
}

// Halves splits s in the middle, at a whole number of days if it is two days or
// longer, into the part to fit on and the part to judge on.
func (s Series) Halves() (first, second Series, err error) {
	if len(s.Steps) < 2 {
		return s, s, &InputError{"series.steps", "fewer than two cannot be halved"}
	}
	at := len(s.Steps) / 2
	if perDay := int(dayMillis / s.StepMillis); dayMillis%s.StepMillis == 0 && at >= perDay {
		at -= at % perDay
	}
	first, second = s, s
	first.Steps, second.Steps = s.Steps[:at], s.Steps[at:]
	second.Start = s.Start.Add(time.Duration(int64(at)*s.StepMillis) * time.Millisecond)
	return first, second, nil
}

// Scale returns s with all demand times num/den, each quantity rounded up.
func (s Series) Scale(num, den int64) (Series, error) {
	if num < 0 || den < 1 {
		return s, &InputError{"scale", fmt.Sprintf("%d/%d is not a positive factor", num, den)}
	}
	steps := make([]Step, len(s.Steps))
	for i, from := range s.Steps {
		to := &steps[i]
		for _, q := range [4]struct {
			to   *int64
			from int64
		}{{&to.MiBMillis, from.MiBMillis}, {&to.MilliCPUMillis, from.MilliCPUMillis}, {&to.Calls, from.Calls}, {&to.BilledMiBMillis, from.BilledMiBMillis}} {
			var err error
			if *q.to, err = scaled(q.from, num, den); err != nil {
				return s, fmt.Errorf("scaling series.steps[%d] by %d/%d: %w", i, num, den, err)
			}
		}
	}
	s.Steps = steps
	return s, nil
}

// Usage is what bursts consume.
type Usage struct {
	MicroCalls int64 // millionths of a call
	MiBMillis  int64 // billed
}

// Calls returns the number of calls, rounded up.
func (u Usage) Calls() int64 {
	calls := u.MicroCalls / micro
	if u.MicroCalls%micro != 0 {
		calls++
	}
	return calls
}

func (u Usage) plus(v Usage) (Usage, error) {
	calls, err := sum(u.MicroCalls, v.MicroCalls)
	if err != nil {
		return u, err
	}
	mib, err := sum(u.MiBMillis, v.MiBMillis)
	return Usage{calls, mib}, err
}

// overflow returns what of s does not fit in the owned memory and CPU of a step.
func (s *Step) overflow(mib, cpu int64) Usage {
	if s.MiBMillis <= mib && s.MilliCPUMillis <= cpu {
		return Usage{}
	}
	part, whole := uint64(max(0, s.MiBMillis-mib)), uint64(s.MiBMillis)
	if s.MilliCPUMillis > cpu && (part == 0 || less(cpu, s.MiBMillis, mib, s.MilliCPUMillis)) {
		part, whole = uint64(s.MilliCPUMillis-cpu), uint64(s.MilliCPUMillis)
	}
	return Usage{MicroCalls: ceilShare(s.Calls*micro, part, whole), MiBMillis: ceilShare(s.BilledMiBMillis, part, whole)}
}
