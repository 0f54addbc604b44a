package planner

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Trial runs a team's trace with a quota and returns the share of calls refused, in
// [0, 1], and the 95th percentile of waits.
type Trial func(quota int64) (refusedShare float64, p95WaitMicros int64, err error)

// Aim is what a quota should keep.
type Aim struct {
	RefusedShare  float64 // at most, in [0, 1]
	P95WaitMicros int64   // at most; negative: any wait
}

// Tried is one trial.
type Tried struct {
	Quota         int64
	RefusedShare  float64
	P95WaitMicros int64
	Meets         bool
}

// Answer is the smallest quota found that met the aim.
type Answer struct {
	Tried             // of the quota
	Trials    []Tried // all, by quota
	Monotone  bool    // no larger quota tried refused more or waited longer
	Unlimited bool    // the answer is the most that was allowed
}

// ErrUnreachable reports that not even the largest quota meets the aim.
var ErrUnreachable = errors.New("no quota in range meets the aim")

// maxTrials ends a search in which larger quotas fail again and again. A steady one
// takes at most 66 on the way up, 64 on the way down and three above.
const maxTrials = 200

// SmallestQuota searches [0, most] for the smallest quota that meets aim, by
// doubling steps around guess and then halving. The answer was tried and met; the
// quota just below was tried and did not (unless the answer is zero). Larger quotas
// are sampled too: when one of them does not meet the aim, the search goes on above
// it, so the answer is one beyond which no trial failed.
func SmallestQuota(guess, most int64, aim Aim, trial Trial) (Answer, error) {
	if most < 0 || aim.RefusedShare < 0 || math.IsNaN(aim.RefusedShare) {
		return Answer{}, &InputError{"quota", fmt.Sprintf("most %d, refused share %v: both ≥ 0", most, aim.RefusedShare)}
	}
	s := search{aim: aim, trial: trial, seen: map[int64]Tried{}}
	low, high, err := s.bracket(min(max(guess, 0), most), most)
	if err != nil {
		return s.answer(high, most), err
	}
	for {
		if high, err = s.halve(low, high); err != nil {
			return s.answer(high, most), err
		}
		if low, err = s.failureAbove(high, most); err != nil || low < 0 {
			return s.answer(high, most), err
		}
		if high, err = s.above(low, most); err != nil {
			return s.answer(high, most), err
		}
	}
}

type search struct {
	aim   Aim
	trial Trial
	seen  map[int64]Tried
}

func (s *search) try(quota int64) (Tried, error) {
	if t, done := s.seen[quota]; done {
		return t, nil
	}
	if len(s.seen) == maxTrials {
		return Tried{}, fmt.Errorf("after %d trials larger quotas still fail where smaller ones do not: the trial does not depend on the quota steadily", maxTrials)
	}
	refused, wait, err := s.trial(quota)
	if err != nil {
		return Tried{}, fmt.Errorf("trying a quota of %d: %w", quota, err)
	}
	t := Tried{Quota: quota, RefusedShare: refused, P95WaitMicros: wait}
	t.Meets = refused <= s.aim.RefusedShare && (s.aim.P95WaitMicros < 0 || wait <= s.aim.P95WaitMicros)
	s.seen[quota] = t
	return t, nil
}

// bracket returns a quota that fails, or −1, and a larger one that meets the aim.
func (s *search) bracket(guess, most int64) (low, high int64, err error) {
	t, err := s.try(guess)
	if err != nil {
		return -1, guess, err
	}
	if !t.Meets {
		high, err = s.above(guess, most)
		return s.highestFailure(high), high, err
	}
	high = guess
	for step := int64(1); high > 0; step += min(step, math.MaxInt64-step) {
		low = max(0, guess-step)
		if t, err = s.try(low); err != nil || !t.Meets {
			return low, high, err
		}
		high = low
	}
	return -1, 0, nil
}

// above doubles steps from a quota that fails until one meets the aim.
func (s *search) above(low, most int64) (int64, error) {
	for step := int64(1); ; {
		high := most
		if step < most-low {
			high = low + step
			step += min(step, math.MaxInt64-step)
		}
		t, err := s.try(high)
		if err != nil || t.Meets {
			return high, err
		}
		if high == most {
			return most, fmt.Errorf("with %d, %.4f of calls are refused and the P95 wait is %d µs: %w", most, t.RefusedShare, t.P95WaitMicros, ErrUnreachable)
		}
	}
}

// highestFailure returns the largest quota below high that failed, or −1.
func (s *search) highestFailure(high int64) int64 {
	low := int64(-1)
	for q, t := range s.seen {
		if q < high && !t.Meets {
			low = max(low, q)
		}
	}
	return low
}

// halve narrows (low, high] to the quota that meets the aim right above one that
// does not.
func (s *search) halve(low, high int64) (int64, error) {
	low = max(low, s.highestFailure(high))
	for high-low > 1 {
		middle := low + (high-low)/2
		t, err := s.try(middle)
		if err != nil {
			return high, err
		}
		if t.Meets {
			high = middle
		} else {
			low = middle
		}
	}
	return high, nil
}

// failureAbove samples larger quotas and returns the largest tried that fails, or
// −1.
func (s *search) failureAbove(high, most int64) (int64, error) {
	for _, q := range [3]int64{high + 1, high + 1 + high/8, high + 1 + high/2} {
		if q > most || q <= high {
			continue
		}
		if _, err := s.try(q); err != nil {
			return -1, err
		}
	}
	low := int64(-1)
	for q, t := range s.seen {
		if q > high && !t.Meets {
			low = max(low, q)
		}
	}
	return low, nil
}

func (s *search) answer(quota, most int64) Answer {
	a := Answer{Tried: s.seen[quota], Monotone: true, Unlimited: quota == most}
	for _, t := range s.seen {
		a.Trials = append(a.Trials, t)
	}
	slices.SortFunc(a.Trials, func(x, y Tried) int { return cmp.Compare(x.Quota, y.Quota) })
	for i := 1; i < len(a.Trials); i++ {
		before, t := a.Trials[i-1], a.Trials[i]
		if t.RefusedShare > before.RefusedShare || t.P95WaitMicros > before.P95WaitMicros {
			a.Monotone = false
		}
	}
	return a
}
