package simulator

import (
	"fmt"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// Result is what a run found. Calls = Skipped + Refused + Placed.
type Result struct {
	Platform *spillway.Platform
	Start    time.Time
	Length   time.Duration // of the trace
	Ended    time.Duration // when the last call was answered, since Start
	Step     time.Duration // of Series
	Warm     bool

	Calls, Skipped, Refused, Placed int64
	// Reasons are how many calls were placed or refused for each, by spillway.Reason.
	Reasons []int64
	// SkippedBy is how many calls were left out, by function of the trace.
	SkippedBy []int64

	Pools     []PoolResult     // by pool index
	Functions []FunctionResult // by function index
	Tenants   []TenantResult   // by namespace index

	Waits, Latency, ColdStarts *Histogram // of placed calls
	Series                     []Point

	CloudCost apd.Decimal // exact, in Platform.Currency; with the whole reservation of attempts without an answer
	OwnedCost apd.Decimal // of owned pools for Length, used or not
}

// Usage is what executions used and what they are billed.
type Usage struct {
	Executed, Cold, TimedOut, Throttled, Lost, Reclaimed int64

	BilledMillis   int64
	DurationMicros int64
	InitMicros     int64
	GiBSeconds     apd.Decimal // billed
	Cost           apd.Decimal // exact
}

// PoolResult is one pool.
type PoolResult struct {
	Usage
	Peak spillway.Resources // in use at once
	// Instances that were started, and what they held and used: the difference was
	// idle or starting. Of owned pools, unless Warm.
	Starts          int64
	HeldGiBHours    float64
	BusyGiBHours    float64
	ReclaimedMicros int64 // execution time that was lost
	Owned           apd.Decimal
}

// FunctionResult is one function.
type FunctionResult struct {
	Calls, Refused int64
	ByPool         []Usage // by pool index
}

// TenantResult is one namespace.
type TenantResult struct {
	Calls, Refused int64
	Reasons        []int64
	Waits          *Histogram
	ByPool         []Usage // by pool index
	Cost           apd.Decimal
}

// Decimals of sums: as ledger lines have.
var exact = apd.BaseContext.WithPrecision(60)

func (u *Usage) add(o *Usage) error {
	u.Executed += o.Executed
	u.Cold += o.Cold
	u.TimedOut += o.TimedOut
	u.Throttled += o.Throttled
	u.Lost += o.Lost
	u.Reclaimed += o.Reclaimed
	u.BilledMillis += o.BilledMillis
	u.DurationMicros += o.DurationMicros
	u.InitMicros += o.InitMicros
	if u.BilledMillis < 0 || u.DurationMicros < 0 {
		return spillway.ErrOverflow
	}
	return sum(&u.GiBSeconds, &o.GiBSeconds, &u.Cost, &o.Cost)
}

// sum adds each second to the first before it.
func sum(pairs ...*apd.Decimal) error {
	for i := 0; i < len(pairs); i += 2 {
		if _, err := exact.Add(pairs[i], pairs[i], pairs[i+1]); err != nil {
			return fmt.Errorf("sum amounts: %w", err)
		}
	}
	return nil
}

func (r *run) result() (*Result, error) {
	t, p := &r.tally, r.Platform
	out := &Result{
		Platform: p, Start: r.Start.Time(), Length: r.Length, Ended: r.answered.Sub(r.Start), Step: r.Step, Warm: r.Warm,
		Calls: r.calls, Reasons: make([]int64, maxReasons), SkippedBy: t.skipped, Series: t.series,
		Waits: &t.all, Latency: &t.latency, ColdStarts: &t.cold,
		Pools: make([]PoolResult, len(p.Pools)), Functions: make([]FunctionResult, len(p.Functions)), Tenants: make([]TenantResult, len(p.Namespaces)),
	}
	for _, n := range t.skipped {
		out.Skipped += n
	}
	for i := range out.Tenants {
		out.Tenants[i] = TenantResult{Reasons: make([]int64, maxReasons), Waits: &t.waits[i], ByPool: make([]Usage, len(p.Pools))}
	}
	for i, f := range p.Functions {
		if err := r.resultOf(out, i, f); err != nil {
			return nil, fmt.Errorf("function %s: %w", f.FunctionKey, err)
		}
	}
	out.Placed = out.Calls - out.Skipped - out.Refused
	return out, r.poolResults(out)
}

// resultOf adds one function to all sums.
func (r *run) resultOf(out *Result, i int, f *spillway.Function) error {
	t, tenant := &r.tally, &out.Tenants[f.Namespace]
	a := &t.functions[i]
	fn := FunctionResult{Calls: a.calls, ByPool: make([]Usage, len(r.Pools))}
	for reason, n := range a.byWhat {
		out.Reasons[reason] += n
		tenant.Reasons[reason] += n
		if spillway.Reason(reason).Refusal() {
			fn.Refused += n
		}
	}
	out.Refused += fn.Refused
	tenant.Calls += fn.Calls
	tenant.Refused += fn.Refused
	for pool := range r.Pools {
		u := &fn.ByPool[pool]
		if err := r.priced(u, t.cell(i, pool), f, pool); err != nil {
			return err
		}
		for _, into := range []*Usage{&tenant.ByPool[pool], &out.Pools[pool].Usage} {
			if err := into.add(u); err != nil {
				return err
			}
		}
		costs := []*apd.Decimal{&tenant.Cost, &u.Cost}
		if r.clouds[pool] != nil {
			costs = append(costs, &out.CloudCost, &u.Cost)
		}
		if err := sum(costs...); err != nil {
			return err
		}
	}
	out.Functions[i] = fn
	return nil
}

// priced rates what a function did on a pool as its ledger lines would be.
func (r *run) priced(u *Usage, c *cell, f *spillway.Function, pool int) error {
	*u = Usage{Executed: c.executed, Cold: c.cold, TimedOut: c.timedOut, Throttled: c.throttled, Lost: c.lost, Reclaimed: c.reclaims,
		BilledMillis: c.billedMillis, DurationMicros: c.durationMicros, InitMicros: c.initMicros}
	rate, res := r.Platform.Pools[pool].Rate, f.Resources
	if r.clouds[pool] != nil {
		rate, res = f.Bindings[pool].Rate, spillway.Resources{MiB: f.Bindings[pool].MiB}
	}
	amount, err := billing.PriceCalls(rate, c.executed, c.billedMillis, res)
	if err != nil {
		return err
	}
	u.Cost = amount
	estimates := billing.DecimalOf(c.estimates)
	if err := sum(&u.Cost, &estimates); err != nil {
		return err
	}
	gib := apd.New(res.MiB, 0)
	if _, err := exact.Mul(gib, gib, apd.New(c.billedMillis, -3)); err != nil {
		return err
	}
	if _, err := exact.Quo(gib, gib, apd.New(1024, 0)); err != nil {
		return err
	}
	_, err = exact.Quantize(&u.GiBSeconds, gib, -billing.Decimals)
	return err
}

// poolResults adds what only pools have.
func (r *run) poolResults(out *Result) error {
	for i, p := range r.Platform.Pools {
		t, x := &r.tally.pools[i], &out.Pools[i]
		x.Peak, x.Starts, x.ReclaimedMicros = t.peak, t.starts, t.lostMicros
		if p.Kind.Cloud() {
			continue
		}
		const gibHour = 1024 * 3600 * 1_000_000 // MiB·µs
		x.HeldGiBHours, x.BusyGiBHours = t.heldMiBus.float()/gibHour, t.busyMiBus.float()/gibHour
		hourly := billing.DecimalOf(p.HourlyNano)
		if _, err := exact.Mul(&hourly, &hourly, apd.New(r.Length.Microseconds(), 0)); err != nil {
			return err
		}
		if _, err := exact.Quo(&hourly, &hourly, apd.New(3600_000_000, 0)); err != nil {
			return err
		}
		if _, err := exact.Quantize(&x.Owned, &hourly, -billing.Decimals); err != nil {
			return err
		}
		if err := sum(&out.OwnedCost, &x.Owned); err != nil {
			return err
		}
	}
	return nil
}
