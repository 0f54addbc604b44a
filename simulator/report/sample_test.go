package report_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/report"
	"github.com/spillway-dev/spillway/simulator/trace"
)

var update = flag.Bool("update", false, "write the golden files")

// tenant is what a test gives a namespace; the rest of the result follows.
type tenant struct {
	name, department string
	onPrem, cloud    int64 // calls
	refused          spillway.Reason
	refusals         int64
	wait             time.Duration // of every call
}

var three = []tenant{
	{name: "checkout", department: "Retail", onPrem: 41_000, cloud: 3_100, wait: 12 * time.Millisecond},
	{name: "search", department: "Retail", onPrem: 20_000, cloud: 100, refused: spillway.ReasonBudgetExceeded, refusals: 17},
	{name: "billing", department: "Finance", onPrem: 7_000, refused: spillway.ReasonQuotaExceeded, refusals: 900, wait: 2 * time.Second},
	{name: "lab", onPrem: 3, cloud: 1},
}

func platform(tenants []tenant) *spillway.Platform {
	p := &spillway.Platform{Revision: "sha256:4f1d", Currency: "USD", Pools: []*spillway.Pool{
		{Name: "onprem", Capacity: spillway.Resources{Slots: 100, MilliCPU: 64_000, MiB: 24 << 10}, KeepAlive: 10 * time.Minute, PriceVersion: "2025-01-01"},
		{Index: 1, Name: "lambda", Kind: spillway.PoolLambda, Region: "us-east-1", PriceVersion: "2025-08-01"},
	}}
	for i, t := range tenants {
		p.Namespaces = append(p.Namespaces, spillway.Namespace{Name: t.name, Department: t.department, Quota: -1})
		p.Functions = append(p.Functions, &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: t.name, Name: "main"}, Index: i, Namespace: i, Revision: "v1"})
	}
	p.Index()
	return p
}

func usage(calls, mib int64, price string) simulator.Usage {
	each, _, err := apd.NewFromString(price)
	if err != nil {
		panic(err)
	}
	u := simulator.Usage{Executed: calls, Cold: calls / 50, BilledMillis: 100 * calls, DurationMicros: 99_000 * calls, InitMicros: calls / 50 * 250_000}
	ctx := apd.BaseContext.WithPrecision(50)
	if _, err := ctx.Mul(&u.Cost, each, apd.New(calls, 0)); err != nil {
		panic(err)
	}
	if _, err := ctx.Quo(&u.GiBSeconds, apd.New(calls*mib, -1), apd.New(1024, 0)); err != nil {
		panic(err)
	}
	return u
}

func plus(sum, d *apd.Decimal) {
	if _, err := apd.BaseContext.WithPrecision(50).Add(sum, sum, d); err != nil {
		panic(err)
	}
}

// result adds tenants up as the simulator does.
func result(tenants []tenant) *simulator.Result {
	r := &simulator.Result{
		Platform: platform(tenants), Start: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), Length: 24 * time.Hour, Step: 5 * time.Minute,
		Reasons: make([]int64, 32), Pools: make([]simulator.PoolResult, 2),
		Waits: new(simulator.Histogram), Latency: new(simulator.Histogram), ColdStarts: new(simulator.Histogram),
	}
	for _, t := range tenants {
		tr := simulator.TenantResult{Calls: t.onPrem + t.cloud + t.refusals, Refused: t.refusals, Reasons: make([]int64, 32), Waits: new(simulator.Histogram)}
		tr.ByPool = []simulator.Usage{usage(t.onPrem, 512, "0.0000012345678"), usage(t.cloud, 512, "0.0000021")}
		tr.Reasons[spillway.ReasonPreferred] = t.onPrem
		tr.Reasons[spillway.ReasonOverflowCapacity] = t.cloud - t.cloud/3
		tr.Reasons[spillway.ReasonOverflowWait] = t.cloud / 3
		tr.Reasons[t.refused] += t.refusals
		for range min(t.onPrem+t.cloud, 1000) {
			tr.Waits.Add(t.wait)
			r.Latency.Add(t.wait + 99*time.Millisecond)
		}
		r.Waits.Merge(tr.Waits)
		for pool := range tr.ByPool {
			u, sum := &tr.ByPool[pool], &r.Pools[pool].Usage
			sum.Executed += u.Executed
			sum.Cold += u.Cold
			sum.BilledMillis += u.BilledMillis
			plus(&sum.GiBSeconds, &u.GiBSeconds)
			plus(&sum.Cost, &u.Cost)
			plus(&tr.Cost, &u.Cost)
		}
		for reason, n := range tr.Reasons {
			r.Reasons[reason] += n
		}
		r.Calls += tr.Calls
		r.Refused += tr.Refused
		r.Functions = append(r.Functions, simulator.FunctionResult{Calls: tr.Calls, Refused: tr.Refused, ByPool: tr.ByPool})
		r.Tenants = append(r.Tenants, tr)
	}
	r.Placed = r.Calls - r.Refused
	r.CloudCost = r.Pools[1].Cost
	if r.Placed > 0 {
		busy(r)
	}
	return r
}

// busy gives a result that placed calls a day of load, and what instances held.
func busy(r *simulator.Result) {
	random := rand.New(rand.NewPCG(7, 7))
	for i := range int64(r.Length / r.Step) {
		hour := float64(i) / 12
		load := int64(12 + 10*max(0, 1-(hour-14)*(hour-14)/30) + 2*random.Float64())
		p := simulator.Point{Arrivals: load * 20, Cold: load / 3, Waiting: load * 1_000_000}
		p.Use[spillway.ClassOnPrem] = spillway.Resources{Slots: min(load, 20), MilliCPU: min(load, 20) * 900, MiB: min(load, 20) * 1024}
		p.Use[spillway.ClassCloud] = spillway.Resources{Slots: max(0, load-20), MiB: max(0, load-20) * 1024}
		for class := range p.Use {
			p.Use[class].Slots *= r.Step.Microseconds()
			p.Use[class].MilliCPU *= r.Step.Microseconds()
			p.Use[class].MiB *= r.Step.Microseconds()
		}
		if load > 22 {
			p.Refused = 4
		}
		r.Series = append(r.Series, p)
	}
	for i := range 400 {
		r.ColdStarts.Add(time.Duration(80+i*i/200) * time.Millisecond)
	}
	third := apd.New(1, 0)
	if _, err := apd.BaseContext.WithPrecision(60).Quo(third, apd.New(35, -2), apd.New(3, 0)); err != nil {
		panic(err)
	}
	r.Pools[0].Owned, r.OwnedCost = *third, *third
	r.Pools[0].Peak, r.Pools[1].Peak = spillway.Resources{Slots: 20, MiB: 20 << 10}, spillway.Resources{Slots: 5, MiB: 5 << 10}
	r.Pools[0].Starts, r.Pools[0].HeldGiBHours, r.Pools[0].BusyGiBHours = 1400, 410, 330
	r.Pools[1].Throttled, r.Pools[1].TimedOut = 12, 2
}

func view(r *simulator.Result) *report.View {
	cold := func(ms time.Duration) []simulator.ColdStep {
		return []simulator.ColdStep{{Name: "environment", P50: ms * time.Millisecond, P99: 4 * ms * time.Millisecond}, {Name: "init", P50: 180 * time.Millisecond, P99: 900 * time.Millisecond}}
	}
	return &report.View{Result: r, Functions: true, Optimum: &report.Optimum{GiB: 18.5, Label: "optimum: 2 nodes"}, Meta: report.Meta{
		Version: "v0.4.0", Command: "spillway simulate --trace day.csv.zst -o html", Trace: "day.csv.zst",
		Summary:  &trace.Summary{Format: trace.Usage, Verified: true, Functions: 4, Tenants: 4, Calls: r.Calls, MeanPerMinute: 50.2, PeakPerMinute: 120, PeakConcurrency: 31},
		Skipped:  []trace.Skip{{File: "day.csv.zst", Line: 17, Reason: "its duration is negative", Rows: 3, Calls: 3}, {File: "notes.txt", Reason: "a file of no known format"}},
		Platform: "The default platform: tenants are taken from the trace.", PricesAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Seed: 7,
		Models:   []simulator.PoolModel{{Cold: cold(12)}, {Cold: cold(120), Added: 5 * time.Millisecond, IdleFor: 10 * time.Minute, InitBilled: true}},
		Warnings: []string{"function billing/main has no budget, so it never bursts"},
	}}
}

// skipping leaves out calls of functions that the platform does not have.
func skipping(r *simulator.Result) *simulator.Result {
	r.SkippedBy = []int64{0, 30, 12}
	r.Skipped = 42
	r.Calls += 42
	return r
}

// crowd is many tenants in fewer departments.
func crowd(n int) []tenant {
	all := make([]tenant, n)
	random := rand.New(rand.NewPCG(3, 9))
	for i := range all {
		all[i] = tenant{name: fmt.Sprintf("tenant-%04d", i), department: fmt.Sprintf("department-%04d-with-a-long-name", i), onPrem: random.Int64N(20_000), cloud: random.Int64N(900),
			refused: spillway.ReasonNoCapacity, refusals: random.Int64N(5), wait: time.Duration(random.Int64N(1e9))}
	}
	return all
}

func TestMain(m *testing.M) { flag.Parse(); m.Run() }
