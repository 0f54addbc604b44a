package planning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spillway-dev/spillway/simulator/planner"
)

// Question is what is asked about a demand.
type Question struct {
	Nodes []planner.NodeType
	Burst planner.Burst
	// Usable is how many thousandths of each node calls can fill; the rest is lost to
	// packing, idle instances and peaks shorter than a step. Zero means 1000.
	Usable int64
	Split  bool   // also fit on the first half and judge on the second
	Seed   uint64 // of the months that are drawn
	Draws  int    // zero: 1000
}

// Answer is a plan and how good it is.
type Answer struct {
	Input       planner.Input // nodes with what is usable of them
	Plan        planner.Result
	Bound       planner.Verdict // of the plan on the trace it was made from
	Sensitivity []planner.Change
	Halves      *Halves // nil if not asked
	Months      *Months // nil: NoMonths says why
	NoMonths    string
}

// Halves is a plan made from the first half of a trace, judged on the second.
type Halves struct {
	Plan    planner.Result
	Verdict planner.Verdict
	Days    float64 // of the first half
}

// Months are distributions of what bursts cost in a calendar month.
type Months struct {
	History int       // days drawn from
	Next    time.Time // the first month that the trace does not touch
	Spend   planner.Spend

	// Present is the month in which the trace ends, its days so far as they were. Nil
	// if the trace ends with a month or did not see that month's first day.
	Present *planner.Spend
	Month   time.Time
}

// Solve plans. Faults of the question are *planner.InputError or
// *planner.TooLargeError; once ctx ended, its cause is returned.
func Solve(ctx context.Context, d *Demand, q Question) (*Answer, error) {
	nodes, err := q.usable()
	if err != nil {
		return nil, err
	}
	a := &Answer{Input: planner.Input{Series: d.Series, Nodes: nodes, Burst: q.Burst}}
	if a.Plan, err = planner.Plan(ctx, a.Input); err != nil {
		return nil, err
	}
	best := a.Plan.Best.Choice
	if a.Bound, err = planner.Judge(ctx, a.Input, best); err != nil {
		return nil, fmt.Errorf("bound of the plan: %w", err)
	}
	if a.Sensitivity, err = planner.Sensitivity(ctx, a.Input, best); err != nil {
		return nil, err
	}
	if q.Split {
		h := &Halves{}
		first, _, err := d.Series.Halves()
		if err != nil {
			return nil, err
		}
		h.Days = (time.Duration(first.DurationMillis()) * time.Millisecond).Hours() / 24
		if h.Plan, h.Verdict, err = planner.FitAndJudge(ctx, a.Input); err != nil {
			return nil, err
		}
		a.Halves = h
	}
	return a, a.months(q)
}

// usable returns the nodes with what calls can fill of them.
func (q *Question) usable() ([]planner.NodeType, error) {
	if q.Usable == 0 {
		return q.Nodes, nil
	}
	if q.Usable < 1 || q.Usable > 1000 {
		return nil, &planner.InputError{Path: "usable", Problem: fmt.Sprintf("%d thousandths; allowed: 1 to 1000", q.Usable)}
	}
	nodes := slices.Clone(q.Nodes)
	for i := range nodes {
		for _, of := range [2]*int64{&nodes[i].MiB, &nodes[i].MilliCPU} {
			*of = *of/1000*q.Usable + *of%1000*q.Usable/1000
		}
	}
	return nodes, nil
}

func (a *Answer) months(q Question) error {
	days, err := planner.Days(a.Input, a.Plan.Best.Choice)
	var input *planner.InputError
	if errors.As(err, &input) {
		a.NoMonths = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	start := a.Input.Series.Start
	end := start.AddDate(0, 0, len(days))
	ask := planner.SpendInput{History: days, Burst: a.Input.Burst, Packages: a.Plan.Best.Choice.Packages, Seed: q.Seed, Draws: q.Draws}
	month := time.Date(end.Year(), end.Month(), 1, 0, 0, 0, 0, end.Location())
	m := &Months{History: len(days), Month: month, Next: month}
	if end.After(month) {
		m.Next = month.AddDate(0, 1, 0)
	}
	ask.Month = m.Next
	m.Spend, err = planner.ForecastSpend(ask)
	var short *planner.ShortHistoryError
	if errors.As(err, &short) {
		a.NoMonths = short.Error()
		return nil
	}
	if err != nil {
		return fmt.Errorf("spend of %s: %w", m.Next.Format("2006-01"), err)
	}
	a.Months = m
	return m.present(ask, start, end)
}

// present adds the month in which the trace ends.
func (m *Months) present(ask planner.SpendInput, start, end time.Time) error {
	whole := start.Equal(time.Date(start.Year(), start.Month(), start.Day(), 0, 0, 0, 0, start.Location()))
	if !whole || !end.After(m.Month) || start.After(m.Month) {
		return nil
	}
	ask.Month, ask.Observed = m.Month, end.Day()-1
	for _, d := range ask.History[len(ask.History)-ask.Observed:] {
		ask.Actual.MicroCalls += d.MicroCalls
		ask.Actual.MiBMillis += d.MiBMillis
	}
	s, err := planner.ForecastSpend(ask)
	if err != nil {
		return fmt.Errorf("spend of %s: %w", m.Month.Format("2006-01"), err)
	}
	m.Present = &s
	return nil
}
