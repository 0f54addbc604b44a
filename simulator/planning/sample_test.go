package planning

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway/simulator/planner"
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

// TestWindowWithinAStep: where the busiest step has more calls than are replayed, the
// window is not that step's beginning.
func TestWindowWithinAStep(t *testing.T) {
	var calls [][2]int64
	for i := range int64(sampleCalls) { // ten hours of one call at a time
		calls = append(calls, [2]int64{i * 180, 1})
	}
	evening := 18 * time.Hour
	for i := range int64(5000) { // 50 at once
		calls = append(calls, [2]int64{evening.Milliseconds() + i*2, 100})
	}
	c, _ := caseOf(t, written(t, calls))
	d, err := MeasureDemand(t.Context(), c, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.Quotas(t.Context(), d, d.TeamsLargest(-1), planner.Aim{})
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if q := all[0]; q.Peak != 50 || q.Answer.Quota != 50 || q.From > evening || q.Until < evening+10*time.Second || q.Tried < 5000 {
		t.Fatalf("%+v", q)
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
