package planner

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
)

func mustPlan(t *testing.T, in Input) Result {
	t.Helper()
	r, err := Plan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCornersOfPrice(t *testing.T) {
	node := NodeType{Name: "n", MiB: 1024, Hourly: 3600}
	for name, c := range map[string]struct {
		in   Input
		want int64
	}{
		"no demand":             {Input{flat(0, 0, 0), []NodeType{node}, perGiBHour(7200)}, 0},
		"bursts are free":       {Input{flat(1, 2, 4), []NodeType{node}, perGiBHour(0)}, 0},
		"nodes are free":        {Input{flat(1, 2, 4), []NodeType{{MiB: 1024}}, perGiBHour(7200)}, 4},
		"both are free":         {Input{flat(1, 2, 4), []NodeType{{MiB: 1024}}, perGiBHour(0)}, 4}, // of equals, the most memory
		"owning never pays":     {Input{flat(1, 2, 4), []NodeType{node}, perGiBHour(3600)}, 0},
		"owning always pays":    {Input{flat(1, 2, 4), []NodeType{node}, perGiBHour(4 * 3600)}, 4},
		"at least three":        {Input{flat(1, 2, 4), []NodeType{{MiB: 1024, Hourly: 3600, Min: 3}}, perGiBHour(0)}, 3},
		"at most two":           {Input{flat(1, 2, 4), []NodeType{{MiB: 1024, Hourly: 3600, Max: 2}}, perGiBHour(36000)}, 2},
		"three are sunk":        {Input{flat(1, 2, 4), []NodeType{{MiB: 1024, Hourly: 7200, Owned: 3}}, perGiBHour(3600)}, 3},
		"not worth their power": {Input{flat(1, 2, 4), []NodeType{{MiB: 1024, Hourly: 7200, Owned: 3, Avoidable: 3600}}, perGiBHour(3600)}, 0},
	} {
		r := mustPlan(t, c.in)
		if got := r.Best.Choice.Nodes[0]; got != c.want {
			t.Errorf("%s: %d nodes, want %d", name, got, c.want)
		}
		if q := r.Quantile; q != nil && !q.Agrees {
			t.Errorf("%s: the quantile rule disagrees: %+v", name, q)
		}
		v, err := Judge(t.Context(), c.in, r.Best.Choice)
		if err != nil || v.Missed || v.Ratio < 1 {
			t.Errorf("%s: %+v %v; a lump of the fluid optimum here", name, v, err)
		}
		for _, b := range r.BreakEven {
			if math.IsNaN(b.Utilisation) || math.IsInf(b.Utilisation, 0) {
				t.Errorf("%s: break-even %+v is not a number that JSON can carry", name, b)
			}
		}
	}
}

func TestManyTiesKeepTheLowestNodeCost(t *testing.T) {
	in := Input{flat(2000), []NodeType{{MiB: 1024, Hourly: 3600}}, perGiBHour(3600)}
	if r := mustPlan(t, in); r.Best.Choice.Nodes[0] != 0 || r.Close != 2001 || len(r.Curve) < maxCurve-1 {
		t.Fatalf("%+v of %d equal ones, %d points", r.Best.Choice, r.Close, len(r.Curve))
	}
}

func TestSunkCostIsToldAndNotPlanned(t *testing.T) {
	in := Input{flat(1, 2), []NodeType{{MiB: 1024, Hourly: 5 * 3600, Owned: 2, Avoidable: 3600}}, perGiBHour(2 * 3600)}
	c := mustPlan(t, in).Best.Cost
	if c.Sunk != 2*2*4*3600 || c.Total != c.Nodes+c.Burst() {
		t.Fatalf("%+v", c)
	}
}

func TestNothingToOwnAndNoTypes(t *testing.T) {
	in := Input{Series: flat(1, 2), Burst: perGiBHour(3600)}
	r := mustPlan(t, in)
	if r.Best.Cost.Total != 3*3600 || r.PeakOwned != nil || len(r.Curve) != 1 {
		t.Fatalf("%+v", r)
	}
	if low, err := Bound(t.Context(), in); err != nil || low.Total > 3*3600 || low.Total < 3*3600-5 {
		t.Fatalf("%+v %v", low, err)
	}
}

func TestTheScarcerResourceDecides(t *testing.T) {
	// 4 GiB and 1 CPU in the first hour, 1 GiB and 4 CPUs in the second: fat-memory
	// and fat-CPU nodes together serve what neither does alone.
	s := flat(4, 1)
	s.Steps[0].MilliCPUMillis, s.Steps[1].MilliCPUMillis = 1000*hourMillis, 4000*hourMillis
	in := Input{s, []NodeType{
		{Name: "memory", MiB: 3 * 1024, MilliCPU: 1000, Hourly: 3600},
		{Name: "cpu", MiB: 1024, MilliCPU: 3000, Hourly: 3600},
	}, perGiBHour(100 * 3600)}
	r := mustPlan(t, in)
	if !slices.Equal(r.Best.Choice.Nodes, []int64{1, 1}) || r.Best.Cost.OverflowSteps != 0 || r.PeakOwned.Cost.Total != r.Best.Cost.Total {
		t.Fatalf("%+v", r.Best)
	}
	// One memory node serves the first hour to 3/4 and the second to 1/4.
	c, err := Evaluate(in, Choice{Nodes: []int64{1, 0}})
	if err != nil || c.Overflow != (Usage{MicroCalls: 1_000_000 + 750_000, MiBMillis: (1024 + 768) * hourMillis}) {
		t.Fatalf("%+v %v", c, err)
	}
}

func TestPackagesAndTiers(t *testing.T) {
	month := MonthMillis / hourMillis
	s := flat(make([]int64, month)...)
	for i := range s.Steps {
		s.Steps[i] = Step{MiBMillis: 1024 * hourMillis, BilledMiBMillis: 1024 * hourMillis, Calls: 2}
	}
	used := month * 3600 // GiB-seconds in a month
	b := Burst{PerRequest: 5_000_000, Tiers: []Tier{{PerGiBSecond: 10_000_000}}, Packages: []Package{
		{Name: "half", Fee: spillway.Nano(used * 3), MiBMillis: used / 2 * gibSecond, Calls: month},
		{Name: "tiny", Fee: 1, Calls: 1},
	}}
	r := mustPlan(t, Input{Series: s, Burst: b})
	// Half at list 10·used/2 and half of the 2·month calls at 5, and the fee.
	if want := spillway.Nano(used*3 + 5*used + 5*month); r.Best.Cost.Total != want || !slices.Equal(r.Best.Choice.Packages, []int64{1, 0}) {
		t.Fatalf("%+v, want %d", r.Best, want)
	}
	b.Stack, b.Packages[0].Most = true, 2
	r = mustPlan(t, Input{Series: s, Burst: b})
	if want := spillway.Nano(used * 6); r.Best.Cost.Total != want || !slices.Equal(r.Best.Choice.Packages, []int64{2, 0}) {
		t.Fatalf("stacked: %+v, want %d", r.Best, want)
	}
	// A second month like the first doubles everything, half a month halves it.
	in := Input{Series: s, Burst: b}
	in.Series.Steps = append(slices.Clone(s.Steps), s.Steps...)
	if r = mustPlan(t, in); r.Best.Cost.Total != spillway.Nano(used*12) {
		t.Fatalf("two months: %+v", r.Best.Cost)
	}
	in.Series.Steps = s.Steps[:month/2]
	if r = mustPlan(t, in); r.Best.Cost.Total != spillway.Nano(used*3) {
		t.Fatalf("half a month: %+v", r.Best.Cost)
	}
	// Dear at first, cheap after 1,000 GiB-seconds.
	tiers := Burst{Tiers: []Tier{{PerGiBSecond: 9_000_000}, {FromMiBMillis: 1000 * gibSecond, PerGiBSecond: 2_000_000}}}
	if r = mustPlan(t, Input{Series: s, Burst: tiers}); r.Best.Cost.Total != spillway.Nano(9000+2*(used-1000)) {
		t.Fatalf("tiers: %+v", r.Best.Cost)
	}
}

func TestOverflowIsToldNotWrapped(t *testing.T) {
	huge := flat(1<<20, 1<<20)
	for name, in := range map[string]Input{
		"burst price": {huge, nil, Burst{Tiers: []Tier{{PerGiBSecond: math.MaxInt64}}}},
		"node price":  {huge, []NodeType{{MiB: 1 << 28, Hourly: math.MaxInt64 / 2, Min: 5}}, perGiBHour(3600)},
	} {
		if _, err := Plan(t.Context(), in); !errors.Is(err, spillway.ErrOverflow) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var bad *InputError
	for name, in := range map[string]Input{
		"totals":       {Series{StepMillis: 1000, Steps: []Step{{MiBMillis: math.MaxInt64}, {MiBMillis: 1}}}, nil, perGiBHour(1)},
		"calls":        {Series{StepMillis: 1000, Steps: []Step{{MiBMillis: 1, Calls: math.MaxInt64 / 1000}}}, nil, perGiBHour(1)},
		"capacity":     {flat(1), []NodeType{{MiB: math.MaxInt64 / 2}}, perGiBHour(1)},
		"negative":     {Series{StepMillis: 1000, Steps: []Step{{MiBMillis: -1}}}, nil, perGiBHour(1)},
		"no memory":    {Series{StepMillis: 1000, Steps: []Step{{Calls: 1}}}, nil, perGiBHour(1)},
		"no steps":     {Series{StepMillis: 1000}, nil, perGiBHour(1)},
		"step":         {Series{Steps: make([]Step, 1)}, nil, perGiBHour(1)},
		"no tier":      {flat(1), nil, Burst{}},
		"tier order":   {flat(1), nil, Burst{Tiers: []Tier{{}, {}}}},
		"no node":      {flat(1), []NodeType{{}}, perGiBHour(1)},
		"bounds":       {flat(1), []NodeType{{MiB: 1, Min: 3, Max: 2}}, perGiBHour(1)},
		"avoidable":    {flat(1), []NodeType{{MiB: 1, Avoidable: 2}}, perGiBHour(1)},
		"package fee":  {flat(1), nil, Burst{Tiers: make([]Tier, 1), Packages: []Package{{Fee: -1}}}},
		"free calls":   {flat(1), nil, Burst{Tiers: make([]Tier, 1), FreeCalls: math.MaxInt64}},
		"pricePerCall": {flat(1), nil, Burst{Tiers: make([]Tier, 1), PerRequest: -1}},
	} {
		if _, err := Plan(t.Context(), in); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Bound(t.Context(), in); !errors.As(err, &bad) {
			t.Errorf("bound, %s: %v", name, err)
		}
	}
}

func TestTooManyCombinationsIsAnError(t *testing.T) {
	var large *TooLargeError
	many := Input{flat(1 << 20), []NodeType{{MiB: 1024, Hourly: 1}, {MiB: 512, Hourly: 1}}, perGiBHour(1)}
	if _, err := Plan(t.Context(), many); !errors.As(err, &large) {
		t.Errorf("nodes: %v", err)
	}
	b := perGiBHour(1)
	b.Stack, b.Packages = true, []Package{{Most: 100}, {Most: 100}}
	if _, err := Plan(t.Context(), Input{flat(1), nil, b}); !errors.As(err, &large) {
		t.Errorf("packages: %v", err)
	}
}

func TestSensitivity(t *testing.T) {
	// The optimum of 1, 2, 4 GiB at 3 against 8 is 2 nodes: 34 (see above). With
	// demand up 20 % it is 1.2, 2.4, 4.8, and keeping 2 costs 18 + 8·3.2 = 43.6.
	in := Input{Series: flat(1, 2, 4), Nodes: []NodeType{{MiB: 1024, Hourly: 3 * 3600}}, Burst: perGiBHour(8 * 3600)}
	changes, err := Sensitivity(t.Context(), in, Choice{Nodes: []int64{2}})
	if err != nil || len(changes) != 6 {
		t.Fatal(changes, err)
	}
	kept := []spillway.Nano{276, 436, 308, 372, 304, 376} // tenths
	for i, c := range changes {
		if (c.Kept.Total+360/2)/360 != kept[i] || c.Regret < 0 || c.Regret != c.Kept.Total-c.Best.Cost.Total || c.Moves != (c.Best.Choice.Nodes[0] != 2) {
			t.Errorf("%s ·%d/%d: kept %d, regret %d, best %+v", c.What, c.Num, c.Den, c.Kept.Total/360, c.Regret, c.Best.Choice)
		}
	}
	if !changes[0].Moves && changes[0].Regret != 0 {
		t.Errorf("a choice that stays best has regret %d", changes[0].Regret)
	}
}

func TestFitAndJudge(t *testing.T) {
	in := Input{Series: season(28*24*4, 15*60*1000, 11), Nodes: []NodeType{{MiB: 4 * 1024, MilliCPU: 2500, Hourly: 90_000_000}},
		Burst: Burst{PerRequest: 200_000_000, Tiers: []Tier{{PerGiBSecond: 16_666_700_000}}}}
	r, v, err := FitAndJudge(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if v.HindsightRatio < 1 || v.HindsightRatio > v.Ratio || v.Hindsight.Cost.Total > v.Cost.Total || v.Missed || r.Best.Choice.Nodes[0] == 0 {
		t.Fatalf("fitted %+v, judged %v", r.Best.Choice, v.Ratio)
	}
	first, second, err := in.Series.Halves()
	if err != nil || len(first.Steps) != 14*24*4 || len(second.Steps) != 14*24*4 || second.Start.Weekday() != time.Monday {
		t.Fatalf("halves of %d and %d steps, the second from %v: %v", len(first.Steps), len(second.Steps), second.Start, err)
	}
	if c, err := Evaluate(in, Choice{Nodes: []int64{-1}}); err == nil {
		t.Fatalf("minus one node cost %+v", c)
	}
}

// TestBoundIsTight holds the search for the bound to its gap, so that a bound of
// zero does not pass.
func TestBoundIsTight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		m, err := in.planned()
		if err != nil {
			t.Fatal(err)
		}
		f := m.relax(rapid.IntRange(0, len(m.sets)-1).Draw(t, "set"))
		low, counts, err := f.minimum(t.Context(), math.Inf(1))
		if err != nil {
			t.Fatal(err)
		}
		z := make([]float64, len(counts))
		for i := range z {
			if f.span[i] > 0 {
				z[i] = (counts[i] - f.lower[i]) / f.span[i]
			}
		}
		if at, _ := f.at(z); at-low > 2*boundGap*at+2*boundNano || low > at*(1+1e-9)+1e-6 {
			t.Fatalf("bound %v, best point %v", low, at)
		}
		for i := range z {
			z[i] = rapid.Float64Range(0, 1).Draw(t, "z")
		}
		if at, _ := f.at(z); low > at*(1+1e-9)+1e-6 {
			t.Fatalf("bound %v above %v at %v", low, at, z)
		}
	})
}

func TestRecorder(t *testing.T) {
	// Calls of 1.5 s from 0.9 s on, 100 MiB and 200 milliCPU each, two of them, billed
	// by the second: 2 s.
	r, err := NewRecorder(time.Time{}, time.Second, spillway.Rate{IncrementMillis: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add(900_000, 1_500_000, spillway.Resources{MiB: 100, MilliCPU: 200}, 2); err != nil {
		t.Fatal(err)
	}
	want := []Step{
		{MiBMillis: 20_000, MilliCPUMillis: 40_000, Calls: 2, BilledMiBMillis: 20_000},
		{MiBMillis: 200_000, MilliCPUMillis: 400_000, BilledMiBMillis: 200_000},
		{MiBMillis: 80_000, MilliCPUMillis: 160_000, BilledMiBMillis: 180_000}, {},
	}
	if s := r.Series(4_000_000); !slices.Equal(s.Steps, want) || s.StepMillis != 1000 {
		t.Fatalf("%+v", s)
	}
	for name, err := range map[string]error{
		"negative":  r.Add(-1, 5, spillway.Resources{MiB: 1}, 1),
		"far away":  r.Add(math.MaxInt64-10, 5, spillway.Resources{MiB: 1}, 1),
		"no memory": r.Add(0, 5, spillway.Resources{}, 1),
		"no calls":  r.Add(0, 5, spillway.Resources{MiB: 1}, 0),
		"too much":  r.Add(0, 5, spillway.Resources{MiB: math.MaxInt64}, 3),
	} {
		if err == nil {
			t.Errorf("%s: recorded", name)
		}
	}
}

// benchInput is 28 days of minutes with two node types of 200 nodes each.
func benchInput(types int) Input {
	in := Input{Series: season(28*24*60, 60_000, 5), Burst: Burst{PerRequest: 200_000_000, Tiers: []Tier{{PerGiBSecond: 16_666_700_000}}}}
	in.Nodes = []NodeType{{Name: "small", MiB: 512, MilliCPU: 330, Hourly: 11_500_000, Max: 200}, {Name: "fat", MiB: 1024, MilliCPU: 560, Hourly: 22_600_000, Max: 200}}[:types]
	return in
}

func BenchmarkPlan(b *testing.B) {
	for _, types := range []int{1, 2} {
		in := benchInput(types)
		b.Run([]string{"", "one type", "two types"}[types], func(b *testing.B) {
			for b.Loop() {
				r, err := Plan(b.Context(), in)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(r.Candidates), "candidates")
				b.ReportMetric(float64(r.Close), "close")
			}
		})
	}
}

func BenchmarkSensitivity(b *testing.B) {
	in := benchInput(2)
	for b.Loop() {
		if _, err := Sensitivity(b.Context(), in, Choice{Nodes: []int64{10, 20}}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBound(b *testing.B) {
	in := benchInput(2)
	for b.Loop() {
		if _, err := Bound(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForecastSpend(b *testing.B) {
	in := SpendInput{History: history(56, 100, 10), Burst: perGiBHour(3600), Month: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)}
	for b.Loop() {
		if _, err := ForecastSpend(in); err != nil {
			b.Fatal(err)
		}
	}
}
