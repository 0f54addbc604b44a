package planner

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
)

const gibSecond = 1024 * 1000 // MiB-milliseconds

// flat returns steps of an hour with so many GiB busy and a call per GiB.
func flat(gib ...int64) Series {
	s := Series{StepMillis: hourMillis}
	for _, g := range gib {
		s.Steps = append(s.Steps, Step{MiBMillis: g * 1024 * hourMillis, Calls: g, BilledMiBMillis: g * 1024 * hourMillis})
	}
	return s
}

// perGiBHour is a burst price of whole nano per GiB-hour.
func perGiBHour(nano int64) Burst {
	return Burst{Tiers: []Tier{{PerGiBSecond: spillway.Femto(nano * 1_000_000 / 3600)}}}
}

// season is the shape of the worked example: 28 days of hours with a daily and a
// weekly season and noise.
func season(steps int, stepMillis int64, seed uint64) Series {
	r := rand.New(rand.NewPCG(seed, 1))
	s := Series{Start: time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC), StepMillis: stepMillis}
	perDay := float64(dayMillis / stepMillis)
	for i := range steps {
		day := float64(i) / perDay
		level := 45 + 30*math.Sin(2*math.Pi*day) + 8*r.NormFloat64()
		if int(day)%7 > 4 {
			level *= 0.6
		}
		mib := int64(max(1, level) * 1024)
		s.Steps = append(s.Steps, Step{
			MiBMillis: mib * stepMillis, MilliCPUMillis: mib * 6 / 10 * stepMillis * (80 + int64(r.IntN(40))) / 100,
			Calls: mib * 4, BilledMiBMillis: mib * stepMillis,
		})
	}
	return s
}

func TestHandComputedPlan(t *testing.T) {
	// A node of 1 GiB for 3 an hour; burst 8 a GiB-hour; demand 1, 2, 4 GiB over three
	// hours. Owning n costs 9n + 8·max(0, D−n): 56, 41, 34, 35, 36.
	in := Input{Series: flat(1, 2, 4), Nodes: []NodeType{{Name: "n", MiB: 1024, Hourly: 3 * 3600}}, Burst: perGiBHour(8 * 3600)}
	r, err := Plan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var got []spillway.Nano
	for _, p := range r.Curve {
		got = append(got, p.Cost.Total/3600)
	}
	if want := []spillway.Nano{56, 41, 34, 35, 36}; !slices.Equal(got, want) {
		t.Fatalf("curve %v, want %v", got, want)
	}
	if r.Best.Choice.Nodes[0] != 2 || r.AllBurst.Cost.Total/3600 != 56 || r.PeakOwned.Choice.Nodes[0] != 4 {
		t.Fatalf("best %+v, all burst %+v, peak %+v", r.Best, r.AllBurst, r.PeakOwned)
	}
	if o := r.Best.Cost.Overflow; o.MiBMillis != 2*1024*hourMillis || o.MicroCalls != 2_000_000 || r.Best.Cost.OverflowSteps != 1 {
		t.Fatalf("overflow %+v in %d steps", o, r.Best.Cost.OverflowSteps)
	}
	if q := r.Quantile; q == nil || q.Level != 2 || !q.Agrees || math.Abs(q.Ratio-3.0/8) > 1e-9 {
		t.Fatalf("quantile %+v", q)
	}
	if b := r.BreakEven[0]; math.Abs(b.Utilisation-0.375) > 1e-9 || b.DailyCalls != 9 || b.FullCalls != 24 {
		t.Fatalf("break-even %+v", b) // a call is a GiB-hour for 8; a node-day 72
	}
	low, err := Bound(t.Context(), in)
	if err != nil || low.Total > 34*3600 || low.Total < 34*3600-20 {
		t.Fatalf("bound %+v %v, want just below 34·3600", low, err)
	}
}

// TestQuantileRule repeats the worked example of the planner's formula: at
// c/p = 0.376 the enumerated optimum is the quantile of the demand.
func TestQuantileRule(t *testing.T) {
	in := Input{Series: season(28*24, hourMillis, 7), Nodes: []NodeType{{Name: "gib", MiB: 1024, Hourly: 22_500_000}},
		Burst: Burst{Tiers: []Tier{{PerGiBSecond: 16_666_700_000}}}}
	for i := range in.Series.Steps {
		in.Series.Steps[i].MilliCPUMillis = 0
	}
	r, err := Plan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	q := r.Quantile
	if q == nil || !q.Agrees || math.Abs(q.Ratio-0.375) > 1e-3 || math.Abs(q.Exceed-q.Ratio) > 1.0/600 {
		t.Fatalf("quantile %+v", q)
	}
	if k := float64(r.Best.Choice.Nodes[0]); math.Abs(k-q.Level) >= 1 {
		t.Fatalf("search says %v nodes, the quantile rule %v", k, q.Level)
	}
	if r.Best.Cost.Total >= r.AllBurst.Cost.Total || r.Best.Cost.Total >= r.PeakOwned.Cost.Total {
		t.Fatalf("best %v, all burst %v, peak owned %v", r.Best.Cost.Total, r.AllBurst.Cost.Total, r.PeakOwned.Cost.Total)
	}
}

func drawInput(t *rapid.T) Input {
	in := Input{Series: Series{StepMillis: rapid.SampledFrom([]int64{1000, 60_000, hourMillis, dayMillis}).Draw(t, "step")}}
	cpu := rapid.Bool().Draw(t, "withCPU")
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		var s Step
		if mib := rapid.Int64Range(0, 9000).Draw(t, "mib"); mib > 0 {
			s = Step{MiBMillis: mib * in.Series.StepMillis, Calls: rapid.Int64Range(0, 1000).Draw(t, "calls"), BilledMiBMillis: mib * in.Series.StepMillis * rapid.Int64Range(0, 3).Draw(t, "billed")}
			if cpu {
				s.MilliCPUMillis = rapid.Int64Range(0, 9000).Draw(t, "cpu") * in.Series.StepMillis
			}
		}
		in.Series.Steps = append(in.Series.Steps, s)
	}
	for range rapid.IntRange(0, 2).Draw(t, "types") {
		n := NodeType{MiB: rapid.Int64Range(800, 4000).Draw(t, "nodeMiB"), MilliCPU: rapid.Int64Range(0, 4000).Draw(t, "nodeCPU"),
			Hourly: spillway.Nano(rapid.Int64Range(0, 200_000_000).Draw(t, "hourly")), Max: rapid.Int64Range(0, 6).Draw(t, "max"), Owned: rapid.Int64Range(0, 3).Draw(t, "owned")}
		n.Avoidable = n.Hourly / spillway.Nano(rapid.Int64Range(1, 4).Draw(t, "avoidable"))
		n.Min = rapid.Int64Range(0, n.Max).Draw(t, "min")
		if n.MilliCPU < 800 {
			n.MilliCPU = 0
		}
		in.Nodes = append(in.Nodes, n)
	}
	in.Burst = Burst{PerRequest: spillway.Femto(rapid.Int64Range(0, 1e12).Draw(t, "request")), FreeCalls: rapid.Int64Range(0, 20_000).Draw(t, "free"),
		PenaltyPerCall: spillway.Femto(rapid.Int64Range(0, 1e12).Draw(t, "penalty")), Stack: rapid.Bool().Draw(t, "stack")}
	var from int64
	for range rapid.IntRange(1, 3).Draw(t, "tiers") {
		in.Burst.Tiers = append(in.Burst.Tiers, Tier{from, spillway.Femto(rapid.Int64Range(0, 3e10).Draw(t, "price"))})
		from += rapid.Int64Range(1, 1e12).Draw(t, "from")
	}
	for range rapid.IntRange(0, 2).Draw(t, "packages") {
		in.Burst.Packages = append(in.Burst.Packages, Package{Fee: spillway.Nano(rapid.Int64Range(0, 1e11).Draw(t, "fee")), Calls: rapid.Int64Range(0, 1e6).Draw(t, "pkgCalls"),
			MiBMillis: rapid.Int64Range(0, 1e13).Draw(t, "pkgMiB"), Most: rapid.Int64Range(0, 3).Draw(t, "most")})
	}
	return in
}

// vectors enumerates without any of Plan's shortcuts.
func vectors(bounds [][2]int64) [][]int64 {
	all := [][]int64{nil}
	for _, b := range bounds {
		var next [][]int64
		for _, v := range all {
			for n := b[0]; n <= b[1]; n++ {
				next = append(next, append(slices.Clone(v), n))
			}
		}
		all = next
	}
	return all
}

func TestPlanIsTheBestOfAllChoicesAndNoneBeatsTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		r, err := Plan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		low, err := Bound(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var counts, copies [][2]int64
		mib, cpu := in.Series.peak()
		for _, n := range in.Nodes {
			counts = append(counts, [2]int64{n.Min, n.most(mib, cpu, in.Series.StepMillis)})
		}
		for _, p := range in.Burst.Packages {
			copies = append(copies, [2]int64{0, max(p.Most, 1)})
		}
		best := spillway.MaxNano
		for _, nodes := range vectors(counts) {
			for _, packages := range vectors(copies) {
				c, err := Evaluate(in, Choice{nodes, packages})
				var bad *InputError
				if errors.As(err, &bad) {
					continue // does not stack
				}
				if err != nil {
					t.Fatal(err)
				}
				best = min(best, c.Total)
				if low.Total > c.Total {
					t.Fatalf("bound %d above the %d of %v %v", low.Total, c.Total, nodes, packages)
				}
			}
		}
		if r.Best.Cost.Total != best {
			t.Fatalf("Plan says %d with %+v, the best of all is %d", r.Best.Cost.Total, r.Best.Choice, best)
		}
	})
}

// TestEvaluateAgainstTheDefinition compares with fractions.
func TestEvaluateAgainstTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Burst.Packages, in.Burst.FreeCalls, in.Burst.Tiers = nil, 0, in.Burst.Tiers[:1]
		counts := make([]int64, len(in.Nodes))
		var mib, cpu int64
		for i, n := range in.Nodes {
			counts[i] = rapid.Int64Range(0, 4).Draw(t, "count")
			mib += counts[i] * n.MiB * in.Series.StepMillis
			cpu += counts[i] * n.MilliCPU * in.Series.StepMillis
		}
		got, err := Evaluate(in, Choice{Nodes: counts})
		if err != nil {
			t.Fatal(err)
		}
		exact := new(big.Rat)
		for _, s := range in.Series.Steps {
			share := new(big.Rat)
			for _, d := range [2][2]int64{{s.MiBMillis, mib}, {s.MilliCPUMillis, cpu}} {
				if d[0] > d[1] {
					if over := big.NewRat(d[0]-d[1], d[0]); over.Cmp(share) > 0 {
						share = over
					}
				}
			}
			price := new(big.Rat).Mul(big.NewRat(s.Calls, 1_000_000), big.NewRat(int64(in.Burst.PerRequest+in.Burst.PenaltyPerCall), 1))
			price.Add(price, new(big.Rat).Mul(big.NewRat(s.BilledMiBMillis, femtoPerGiBSecond), big.NewRat(int64(in.Burst.Tiers[0].PerGiBSecond), 1)))
			exact.Add(exact, price.Mul(price, share))
		}
		have := new(big.Rat).SetInt64(int64(got.Total - got.Nodes))
		slack := big.NewRat(int64(100+2*len(in.Series.Steps)), 1)
		if off := have.Sub(have, exact); off.Sign() < 0 || off.Cmp(slack) > 0 {
			t.Fatalf("burst is %s nano above the definition's", off.FloatString(3))
		}
	})
}
