package planning

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway/simulator/planner"
	"github.com/spillway-dev/spillway/simulator/trace"
)

func TestWindowIsTheBusiestThatFits(t *testing.T) {
	s := &sample{step: time.Minute, counts: []int64{90_000, 50_000, 60_000, 80_000, 100_000}, busy: []int64{1, 5, 9, 4, 8}}
	s.choose()
	if s.from != time.Minute || s.until != 4*time.Minute || s.counts != nil {
		t.Fatalf("from %s until %s", s.from, s.until)
	}
	s = &sample{step: time.Minute, counts: []int64{10, 500_000, 10}, busy: []int64{1, 5, 9}}
	s.choose()
	if s.from != 2*time.Minute || s.until != 3*time.Minute {
		t.Fatalf("from %s until %s: the step before has more calls than are held", s.from, s.until)
	}
	var teams []TeamDemand
	for range 50 {
		teams = append(teams, TeamDemand{Calls: 1e9})
	}
	if b := batches(teams); len(b) != 3 || len(b[0]) != batchCalls/sampleCalls {
		t.Fatalf("%d batches, the first of %d", len(b), len(b[0]))
	}
}

// again is a trace in memory.
type again struct {
	held
	calls []trace.Call
}

// Rewind implements Trace.
func (a *again) Rewind() error {
	a.held.calls = a.calls
	return nil
}

// TestWindowWithinAStep: where the busiest step has more calls than are replayed, the
// window is not that step's beginning.
func TestWindowWithinAStep(t *testing.T) {
	evening := 18 * time.Hour
	c, _ := caseOf(t, written(t, [][2]int64{{0, 1}, {evening.Milliseconds() + 20_000, 1}}))
	var day again
	for i := range sampleCalls { // ten hours of one call at a time
		day.calls = append(day.calls, trace.Call{At: time.Duration(i) * 180 * time.Millisecond, Duration: time.Millisecond})
	}
	for i := range 5000 { // 50 at once
		day.calls = append(day.calls, trace.Call{At: evening + time.Duration(i)*2*time.Millisecond, Duration: 100 * time.Millisecond})
	}
	c.Trace = &day
	d, err := MeasureDemand(t.Context(), c, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.samples(t.Context(), d, d.TeamsLargest(-1))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	s := all[0]
	levels, err := planner.Levels(c.intervals(s.calls))
	if err != nil || levels[len(levels)-1].Busy != 50 || s.from > evening || s.until < evening+10*time.Second || len(s.calls) < 5000 || s.burst {
		t.Fatalf("%d calls from %s until %s, %v", len(s.calls), s.from, s.until, err)
	}
}

func TestWindowOfOneInstant(t *testing.T) {
	s := &sample{team: TeamDemand{}, from: 5, until: 6, step: 1, counts: []int64{sampleCalls + 1}, busy: []int64{1}}
	s.choose()
	if !s.burst || s.counts != nil || s.from != 5 || s.until != 6 {
		t.Fatalf("%+v", s)
	}
	c, _ := caseOf(t, written(t, [][2]int64{{0, 1}}))
	if q, err := c.quota(t.Context(), s, planner.Aim{}); err != nil || q.Fault == "" {
		t.Fatalf("%+v %v", q, err)
	}
}
