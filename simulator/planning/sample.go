package planning

import (
	"context"
	"slices"
	"time"

	"github.com/spillway-dev/spillway/simulator/planner"
	"github.com/spillway-dev/spillway/simulator/trace"
)

const (
	// sampleCalls is how many calls of one team are replayed at most.
	sampleCalls = 200_000
	// batchCalls bounds the calls that are held at once.
	batchCalls = 4_000_000
	// finer is into how many parts a step is cut that alone has too many calls.
	finer = 1000
)

// sample is the calls of one team that its quota is tried on.
type sample struct {
	team   TeamDemand
	calls  []trace.Call
	whole  bool
	from   time.Duration // of the window, or of where it is looked for
	until  time.Duration
	step   time.Duration
	counts []int64 // by step from from on; nil once the window is chosen
	busy   []int64
	burst  bool // more calls begin in one nanosecond than are replayed
}

// batches cuts teams so that each part's samples may be held at once.
func batches(teams []TeamDemand) [][]TeamDemand {
	var all [][]TeamDemand
	var held int64
	for _, t := range teams {
		n := min(t.Calls, sampleCalls)
		if len(all) == 0 || held+n > batchCalls {
			all, held = append(all, nil), 0
		}
		held += n
		all[len(all)-1] = append(all[len(all)-1], t)
	}
	return all
}

// samples reads the calls of teams: all of them, or those around the busiest step of a
// team that has more than sampleCalls.
func (c *Case) samples(ctx context.Context, d *Demand, teams []TeamDemand) ([]*sample, error) {
	all := make([]*sample, len(teams))
	of := make([]*sample, len(c.Run.Platform.Namespaces))
	step := time.Duration(d.Series.StepMillis) * time.Millisecond
	for i, t := range teams {
		s := &sample{team: t, whole: t.Calls <= sampleCalls, until: 1<<63 - 1}
		if !s.whole {
			s.look(0, d.Length(), step)
		}
		all[i], of[t.Namespace] = s, s
	}
	for slices.ContainsFunc(all, func(s *sample) bool { return s.counts != nil }) {
		err := c.each(ctx, "finding the busiest times of teams", func(call *trace.Call) error {
			if s := c.sampleOf(of, call); s != nil && s.counts != nil && call.At >= s.from && call.At < s.until {
				i := int((call.At - s.from) / s.step)
				s.counts[i]++
				s.busy[i] += c.took(call).Microseconds()
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, s := range all {
			s.choose()
		}
	}
	err := c.each(ctx, "reading the calls of teams", func(call *trace.Call) error {
		if s := c.sampleOf(of, call); s != nil && call.At >= s.from && call.At < s.until && len(s.calls) < sampleCalls {
			s.calls = append(s.calls, *call)
		}
		return nil
	})
	return all, err
}

// look has calls counted by step between two times.
func (s *sample) look(from, until, step time.Duration) {
	n := int((until - from + step - 1) / step)
	s.from, s.until, s.step, s.counts, s.busy = from, until, step, make([]int64, n), make([]int64, n)
}

// sampleOf is the sample that a call may belong to, or nil.
func (c *Case) sampleOf(of []*sample, call *trace.Call) *sample {
	index := c.Run.Functions[call.Function]
	if index < 0 {
		return nil
	}
	f := c.Run.Platform.Functions[index]
	if onPrem, _ := places(f); !onPrem {
		return nil
	}
	return of[f.Namespace]
}

// took is how long a call runs on-prem.
func (c *Case) took(call *trace.Call) time.Duration {
	return min(call.Duration, c.Run.Platform.Functions[c.Run.Functions[call.Function]].Timeout)
}

// choose widens a window from the busiest step, each time to its busier neighbour, for
// as long as no more than sampleCalls are in it. If that step alone has more, it looks
// again within it.
func (s *sample) choose() {
	if s.counts == nil {
		return
	}
	from := 0
	for i, b := range s.busy {
		if b > s.busy[from] {
			from = i
		}
	}
	if s.burst = s.counts[from] > sampleCalls; s.burst && s.step > 1 {
		start := s.from + time.Duration(from)*s.step
		s.look(start, min(start+s.step, s.until), max(s.step/finer, 1))
		return
	}
	to, held := from+1, s.counts[from]
	for {
		left, right := int64(-1), int64(-1)
		if from > 0 && held+s.counts[from-1] <= sampleCalls {
			left = s.busy[from-1]
		}
		if to < len(s.counts) && held+s.counts[to] <= sampleCalls {
			right = s.busy[to]
		}
		if left < 0 && right < 0 {
			break
		}
		if left >= right {
			from--
			held += s.counts[from]
		} else {
			held += s.counts[to]
			to++
		}
	}
	s.from, s.until = s.from+time.Duration(from)*s.step, s.from+time.Duration(to)*s.step
	s.counts, s.busy = nil, nil
}

// intervals are when the calls would run if none waited.
func (c *Case) intervals(calls []trace.Call) []planner.Interval {
	all := make([]planner.Interval, len(calls))
	for i := range calls {
		at := calls[i].At.Microseconds()
		all[i] = planner.Interval{Start: at, End: at + c.took(&calls[i]).Microseconds()}
	}
	return all
}

// largest orders teams by what they keep busy, then as the platform does, and leaves
// out those without calls.
func largest(teams []TeamDemand) []TeamDemand {
	some := slices.DeleteFunc(slices.Clone(teams), func(t TeamDemand) bool { return t.Calls == 0 })
	slices.SortStableFunc(some, func(a, b TeamDemand) int {
		switch {
		case a.BusyMicros > b.BusyMicros:
			return -1
		case a.BusyMicros < b.BusyMicros:
			return 1
		}
		return 0
	})
	return some
}
