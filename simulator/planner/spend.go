package planner

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
)

// MinHistoryDays is how many whole days a forecast of spend is drawn from at least.
const MinHistoryDays = 28

// maxDraws bounds a bootstrap.
const maxDraws = 1_000_000

// DayUse is what one day bursts.
type DayUse struct {
	Weekend bool // Saturday or Sunday
	Usage
}

// ShortHistoryError says that a trace is too short to draw months from.
type ShortHistoryError struct{ Days int }

func (e *ShortHistoryError) Error() string {
	return fmt.Sprintf("%d whole days of history: a forecast of spend needs at least %d, so that weekdays and weekends are both seen several times; use a longer trace", e.Days, MinHistoryDays)
}

// Days returns what bursts in each whole day of 24 hours from the start of the
// series beyond the nodes of a choice. The zone of Series.Start says which days are
// weekends.
func Days(in Input, choice Choice) ([]DayUse, error) {
	m, err := in.compile()
	if err != nil {
		return nil, err
	}
	if _, err := choice.check(&in); err != nil {
		return nil, err
	}
	if dayMillis%in.Series.StepMillis != 0 {
		return nil, &InputError{"series.stepMillis", fmt.Sprintf("%d does not divide a day", in.Series.StepMillis)}
	}
	mib, cpu, err := m.capacity(choice.Nodes)
	if err != nil {
		return nil, err
	}
	var days []DayUse
	perDay := int(dayMillis / in.Series.StepMillis)
	for from := 0; from+perDay <= len(in.Series.Steps); from += perDay {
		day := DayUse{Weekend: weekend(in.Series.Start.AddDate(0, 0, len(days)))}
		for i := from; i < from+perDay; i++ {
			over := in.Series.Steps[i].overflow(mib, cpu)
			day.MicroCalls += over.MicroCalls
			day.MiBMillis += over.MiBMillis
		}
		days = append(days, day)
	}
	return days, nil
}

func weekend(t time.Time) bool { return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday }

// SpendInput asks what a calendar month will cost in bursts.
type SpendInput struct {
	History  []DayUse // in order of time
	Burst    Burst
	Packages []int64   // copies held; empty: none
	Month    time.Time // any time in it; its zone counts

	// Of the month's days the first Observed have passed, using Actual.
	Observed int
	Actual   Usage

	Seed  uint64
	Draws int // zero: 1000
}

// Spend is the distribution of a month's burst spend: the bill of what was used to
// date with what is drawn for the days left. Penalties are not spend.
type Spend struct {
	ToDate        spillway.Nano // the bill if nothing more burst
	P5, P50, P95  spillway.Nano // of the month's end, nearest rank
	Mean          spillway.Nano
	RemainingDays int
	Draws         int
}

// ForecastSpend draws months from history: for every run of weekdays or weekend
// days left it takes consecutive days of the same class from a random one on, in a
// circle, so that what lasts within a week lasts in the draws. Tiers, packages and
// free calls are of the whole month. It returns a *ShortHistoryError for fewer than
// 28 days.
func ForecastSpend(in SpendInput) (Spend, error) {
	if len(in.History) < MinHistoryDays {
		return Spend{}, &ShortHistoryError{len(in.History)}
	}
	price, err := in.compile()
	if err != nil {
		return Spend{}, err
	}
	toDate, err := price.bill(in.Actual)
	if err != nil {
		return Spend{}, fmt.Errorf("spend to date: %w", err)
	}
	classes, err := in.classes()
	if err != nil {
		return Spend{}, err
	}
	runs := in.remaining()
	s := Spend{ToDate: toDate.Burst(), Draws: in.Draws}
	if s.Draws == 0 {
		s.Draws = 1000
	}
	for _, r := range runs {
		s.RemainingDays += r.days
	}
	random := rand.New(rand.NewPCG(in.Seed, 0x5b111))
	totals := make([]spillway.Nano, s.Draws)
	for i := range totals {
		used, err := draw(random, in.Actual, runs, classes)
		if err != nil {
			return s, fmt.Errorf("drawing a month: %w", err)
		}
		cost, err := price.bill(used)
		if err != nil {
			return s, fmt.Errorf("pricing a drawn month: %w", err)
		}
		totals[i] = cost.Burst()
	}
	s.summarise(totals)
	return s, nil
}

func (in *SpendInput) compile() (*terms, error) {
	if err := in.Burst.validate(); err != nil {
		return nil, err
	}
	set, err := Choice{Packages: in.Packages}.check(&Input{Burst: in.Burst})
	if err != nil {
		return nil, err
	}
	if in.Draws < 0 || in.Draws > maxDraws {
		return nil, &InputError{"draws", fmt.Sprintf("%d is not in [0, %d]", in.Draws, maxDraws)}
	}
	if in.Observed < 0 || in.Observed > daysIn(in.Month) || min(in.Actual.MicroCalls, in.Actual.MiBMillis) < 0 {
		return nil, &InputError{"observed", fmt.Sprintf("%d days with %+v: allowed 0 to the %d days of the month, and quantities ≥ 0", in.Observed, in.Actual, daysIn(in.Month))}
	}
	t, err := in.Burst.terms(set, MonthMillis)
	return &t, err
}

// classes returns history by class: weekdays, then weekend days.
func (in *SpendInput) classes() (classes [2][]Usage, err error) {
	for i, d := range in.History {
		if min(d.MicroCalls, d.MiBMillis) < 0 {
			return classes, &InputError{fmt.Sprintf("history[%d]", i), "a negative quantity"}
		}
		classes[class(d.Weekend)] = append(classes[class(d.Weekend)], d.Usage)
	}
	for _, r := range in.remaining() {
		if len(classes[r.class]) == 0 {
			return classes, &InputError{"history", "it has no " + [2]string{"weekday", "weekend day"}[r.class] + " and the month has some left"}
		}
	}
	return classes, nil
}

func class(weekend bool) int {
	if weekend {
		return 1
	}
	return 0
}

// run is consecutive days of one class.
type run struct{ class, days int }

// remaining returns the runs of days of the month that have not passed.
func (in *SpendInput) remaining() []run {
	var runs []run
	first := time.Date(in.Month.Year(), in.Month.Month(), 1, 12, 0, 0, 0, in.Month.Location())
	for d := in.Observed; d < daysIn(in.Month); d++ {
		c := class(weekend(first.AddDate(0, 0, d)))
		if len(runs) == 0 || runs[len(runs)-1].class != c {
			runs = append(runs, run{class: c})
		}
		runs[len(runs)-1].days++
	}
	return runs
}

func daysIn(month time.Time) int {
	return time.Date(month.Year(), month.Month()+1, 0, 12, 0, 0, 0, time.UTC).Day()
}

// draw returns used plus a draw of the runs.
func draw(random *rand.Rand, used Usage, runs []run, classes [2][]Usage) (Usage, error) {
	var err error
	for _, r := range runs {
		days := classes[r.class]
		from := random.IntN(len(days))
		for i := range r.days {
			if used, err = used.plus(days[(from+i)%len(days)]); err != nil {
				return used, err
			}
		}
	}
	return used, nil
}

func (s *Spend) summarise(totals []spillway.Nano) {
	slices.Sort(totals)
	at := func(percent int) spillway.Nano { return totals[(percent*len(totals)+99)/100-1] }
	s.P5, s.P50, s.P95 = at(5), at(50), at(95)
	var whole, rest spillway.Nano
	n := spillway.Nano(len(totals))
	for _, t := range totals {
		whole += t / n
		rest += t % n
	}
	s.Mean = whole + rest/n
}
