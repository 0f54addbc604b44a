package planner

import (
	"errors"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
)

func history(days int, weekday, weekendUse int64) []DayUse {
	var out []DayUse
	for i := range days {
		d := DayUse{Weekend: i%7 > 4, Usage: Usage{MiBMillis: weekday * gibSecond}}
		if d.Weekend {
			d.MiBMillis = weekendUse * gibSecond
		}
		out = append(out, d)
	}
	return out
}

func TestMonthEndIsActualPlusWhatIsLeft(t *testing.T) {
	// February 2026 begins on a Sunday: 20 weekdays, 8 weekend days. Days that are all
	// alike within their class leave no spread: after the 15th, 10 + 3 days are left.
	in := SpendInput{History: history(28, 100, 10), Burst: Burst{Tiers: []Tier{{PerGiBSecond: 1_000_000}}}, // 1 nano a GiB-second
		Month: time.Date(2026, 2, 9, 0, 0, 0, 0, time.UTC), Observed: 15, Actual: Usage{MiBMillis: 777 * gibSecond}, Seed: 1, Draws: 50}
	s, err := ForecastSpend(in)
	if err != nil {
		t.Fatal(err)
	}
	if s.ToDate != 777 || s.RemainingDays != 13 || s.P5 != 777+1030 || s.P50 != s.P5 || s.P95 != s.P5 || s.Mean != s.P5 {
		t.Fatalf("%+v", s)
	}
	in.Observed, in.Actual = 28, Usage{MiBMillis: 5 * gibSecond}
	if s, err = ForecastSpend(in); err != nil || s.P50 != 5 || s.RemainingDays != 0 {
		t.Fatalf("a month that is over: %+v %v", s, err)
	}
}

func TestTiersCountOverTheWholeMonth(t *testing.T) {
	in := SpendInput{History: history(28, 100, 100), Burst: Burst{Tiers: []Tier{{PerGiBSecond: 1_000_000}, {FromMiBMillis: 1000 * gibSecond, PerGiBSecond: 0}}},
		Month: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), Observed: 20, Actual: Usage{MiBMillis: 950 * gibSecond}}
	if s, err := ForecastSpend(in); err != nil || s.P50 != 1000 {
		t.Fatalf("%+v %v, want the 50 left of the first tier and nothing for the rest", s, err)
	}
}

func TestSpendIsSeededAndSpreads(t *testing.T) {
	days := history(56, 100, 10)
	for i := range days {
		days[i].MiBMillis += int64(i*i) * gibSecond
	}
	in := SpendInput{History: days, Burst: Burst{Tiers: []Tier{{PerGiBSecond: 1_000_000}}}, Month: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Seed: 5}
	a, err := ForecastSpend(in)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := ForecastSpend(in); a != b {
		t.Fatalf("the same seed gave %+v and %+v", a, b)
	}
	if in.Seed++; a.P5 >= a.P50 || a.P50 >= a.P95 {
		t.Fatalf("no spread: %+v", a)
	}
	if b, _ := ForecastSpend(in); a == b {
		t.Fatal("another seed gave the same draws")
	}
}

func TestSpendRefuses(t *testing.T) {
	var short *ShortHistoryError
	ok := SpendInput{History: history(28, 1, 1), Burst: perGiBHour(3600), Month: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)}
	in := ok
	in.History = in.History[:27]
	if _, err := ForecastSpend(in); !errors.As(err, &short) || short.Days != 27 {
		t.Fatalf("27 days: %v", err)
	}
	var bad *InputError
	in = ok
	in.Observed = 29
	if _, err := ForecastSpend(in); !errors.As(err, &bad) {
		t.Fatalf("more days than the month has: %v", err)
	}
	in = ok
	for i := range in.History {
		in.History[i].Weekend = false
	}
	if _, err := ForecastSpend(in); !errors.As(err, &bad) {
		t.Fatalf("no weekend in history: %v", err)
	}
	in = ok
	in.History = history(28, 1<<42, 1)
	in.Actual.MiBMillis = 1 << 62
	if _, err := ForecastSpend(in); !errors.Is(err, spillway.ErrOverflow) {
		t.Fatalf("quantities beyond 64 bits: %v", err)
	}
}

func TestDaysAreOfTheOverflow(t *testing.T) {
	s := season(29*24+5, hourMillis, 3)
	in := Input{Series: s, Nodes: []NodeType{{MiB: 40 * 1024, MilliCPU: 1 << 30}}, Burst: perGiBHour(3600)}
	days, err := Days(in, Choice{Nodes: []int64{1}})
	if err != nil || len(days) != 29 {
		t.Fatalf("%d days, %v", len(days), err)
	}
	in.Series.Steps = s.Steps[:29*24]
	cost, err := Evaluate(in, Choice{Nodes: []int64{1}})
	if err != nil {
		t.Fatal(err)
	}
	var all Usage
	for i, d := range days {
		if all, err = all.plus(d.Usage); err != nil {
			t.Fatal(err)
		}
		if d.Weekend != (i%7 > 4) {
			t.Fatalf("day %d (2 February 2026 is a Monday): weekend %v", i, d.Weekend)
		}
	}
	if all != cost.Overflow {
		t.Fatalf("days add to %+v, the evaluation says %+v", all, cost.Overflow)
	}
}
