package fit_test

import (
	"errors"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator/fit"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// cloud is a provider as it should be found again.
type cloud struct {
	idleFor    time.Duration
	p50, p99   time.Duration
	initBilled bool
}

// rows are calls of many functions over some days, run on environments of c.
func (c cloud) rows(seed uint64, functions, calls int) []trace.UsageRow {
	random := rand.New(rand.NewPCG(seed, 0))
	sigma := math.Log(float64(c.p99)/float64(c.p50)) / 2.3263478740408408
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var all []trace.UsageRow
	for f := range functions {
		gap := time.Duration(1+f) * 20 * time.Second // on the mean
		at, next := start, 0
		free := map[int]time.Time{} // environments, and from when they idle
		for range calls {
			at = at.Add(time.Duration(random.ExpFloat64() * float64(gap)))
			r := trace.UsageRow{Admitted: at, Namespace: "shop", Function: string(rune('a' + f)), Revision: "r1", Pool: "lambda", Outcome: spillway.Executed,
				Duration: time.Duration(1 + random.ExpFloat64()*float64(5*time.Second)).Truncate(time.Microsecond)}
			best := -1
			for id, since := range free {
				if at.Sub(since) >= c.idleFor {
					delete(free, id)
					continue
				}
				if !since.After(at) && (best < 0 || since.After(free[best])) {
					best = id
				}
			}
			if best < 0 {
				next++
				best = next
				r.Init = time.Duration(float64(c.p50) * math.Exp(sigma*random.NormFloat64())).Truncate(time.Microsecond)
			}
			billed := r.Duration
			if c.initBilled {
				billed += r.Init
			}
			r.BilledMillis = int64((billed + time.Millisecond - 1) / time.Millisecond)
			free[best] = at.Add(r.Duration + r.Init)
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b trace.UsageRow) int { return a.Admitted.Compare(b.Admitted) })
	return all
}

func sequence(rows []trace.UsageRow) iter.Seq2[trace.UsageRow, error] {
	return func(yield func(trace.UsageRow, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// near reports whether got is within a part of want.
func near(got, want time.Duration, part float64) bool {
	return math.Abs(float64(got-want)) <= part*float64(want)
}

func TestFitFindsWhatACloudWasMadeOf(t *testing.T) {
	for _, c := range []cloud{
		{7 * time.Minute, 300 * time.Millisecond, 1200 * time.Millisecond, true},
		{2 * time.Minute, 150 * time.Millisecond, 400 * time.Millisecond, false},
	} {
		pools, err := fit.Pools(sequence(c.rows(1, 20, 3000)))
		if err != nil {
			t.Fatal(err)
		}
		p := pools["lambda"]
		if len(pools) != 1 || !p.Cloud || p.Calls != 60_000 {
			t.Fatalf("found %+v", p)
		}
		if !near(p.Model.IdleFor, c.idleFor, 0.03) || p.Against*100 > p.Warm+p.Gone {
			t.Errorf("idle for %v, want %v; %d used again, %d gone, %d against", p.Model.IdleFor, c.idleFor, p.Warm, p.Gone, p.Against)
		}
		if init := p.Model.Cold[0]; len(p.Model.Cold) != 1 || !near(init.P50, c.p50, 0.06) || !near(init.P99, c.p99, 0.2) || init.Outside {
			t.Errorf("cold starts %+v of %d, want %v and %v", p.Model.Cold, p.ColdStarts, c.p50, c.p99)
		}
		if p.Model.InitBilled != c.initBilled || (p.Billed > 0) == (p.Unbilled > 0) {
			t.Errorf("billed %v: %d billed and %d not, want %v", p.Model.InitBilled, p.Billed, p.Unbilled, c.initBilled)
		}
	}
}

func TestFitOfOwnedPools(t *testing.T) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	var rows []trace.UsageRow
	add := func(pool string, waited, init time.Duration, outcome spillway.OutcomeClass) {
		at = at.Add(time.Hour)
		rows = append(rows, trace.UsageRow{Admitted: at, Namespace: "n", Function: "f", Pool: pool, Outcome: outcome, MilliCPU: 100,
			Duration: time.Second, Init: init, Waited: waited, BilledMillis: 1000})
	}
	for range 99 {
		add("onprem", 30*time.Millisecond, 10*time.Millisecond, spillway.Executed)
		add("onprem", time.Millisecond, 0, spillway.Executed)
	}
	add("onprem", 2010*time.Millisecond, 10*time.Millisecond, spillway.Executed)
	add("onprem", time.Second, time.Second, spillway.Unknown)
	add("", time.Second, -1, spillway.NotExecuted)
	add("never", 0, -1, spillway.Executed)
	pools, err := fit.Pools(sequence(rows))
	if err != nil {
		t.Fatal(err)
	}
	p := pools["onprem"]
	if p.Cloud || p.Calls != 199 || p.ColdStarts != 100 || p.Started != 100 || p.Model.IdleFor != 0 || p.Gone+p.Warm+p.Billed+p.Unbilled != 0 {
		t.Errorf("found %+v", p)
	}
	if c := p.Model.Cold; len(c) != 2 || !c[0].Outside || c[1].Outside || !near(c[0].P50, 20*time.Millisecond, 0.04) || !near(c[1].P99, 10*time.Millisecond, 0.04) {
		t.Errorf("cold starts %+v", c)
	}
	if len(pools) != 2 || pools["never"].Model.Cold != nil {
		t.Errorf("found %d pools, %+v", len(pools), pools["never"])
	}
}

func TestFitSaysNothingOfTooLittle(t *testing.T) {
	c := cloud{time.Hour, 300 * time.Millisecond, 600 * time.Millisecond, true}
	pools, err := fit.Pools(sequence(c.rows(2, 3, 40)))
	if err != nil {
		t.Fatal(err)
	}
	if p := pools["lambda"]; p.Model.IdleFor != 0 || p.Gone >= 5 {
		t.Errorf("idle for %v of %d", p.Model.IdleFor, p.Gone)
	}
	if pools, err := fit.Pools(sequence(nil)); err != nil || len(pools) != 0 {
		t.Errorf("%v, %v of nothing", pools, err)
	}
	broken := errors.New("broken")
	if _, err := fit.Pools(func(yield func(trace.UsageRow, error) bool) { yield(trace.UsageRow{}, broken) }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// FuzzFit takes rows in any order and of any times without a panic, and
// counts each once.
func FuzzFit(f *testing.F) {
	f.Add(uint64(1), 10, int64(1000))
	f.Add(uint64(2), 500, int64(math.MaxInt32))
	f.Fuzz(func(t *testing.T, seed uint64, n int, far int64) {
		random := rand.New(rand.NewPCG(seed, 1))
		n, far = min(max(n, 0), 2000), max(far, 1)
		var rows []trace.UsageRow
		for range n {
			rows = append(rows, trace.UsageRow{Admitted: time.Unix(random.Int64N(far), 0), Namespace: "n", Function: "f", Pool: "p", Outcome: spillway.Executed,
				Duration: time.Duration(random.Int64N(far)), Init: time.Duration(random.Int64N(3)-1) * time.Duration(far%1e9), BilledMillis: random.Int64N(9), Waited: time.Duration(random.Int64N(far))})
		}
		pools, err := fit.Pools(sequence(rows))
		if err != nil {
			t.Fatal(err)
		}
		if p := pools["p"]; n > 0 && (p.Calls != int64(n) || p.Against > p.Warm+p.Gone || p.Model.IdleFor < 0) {
			t.Fatalf("found %+v", p)
		}
	})
}
