package planning

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator/planner"
	"github.com/spillway-dev/spillway/simulator/scenario"
	"github.com/spillway-dev/spillway/simulator/trace"
)

var update = flag.Bool("update", false, "write the golden files")

// small is a node of which the traces of these tests need several.
func small() planner.NodeType {
	return planner.NodeType{Name: "small", MilliCPU: 400, MiB: 512, Hourly: 1_000_000}
}

// caseOf plans a trace for the default platform.
func caseOf(t *testing.T, tr *trace.Trace) (*Case, *trace.Summary) {
	t.Helper()
	sum, err := trace.Inspect(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scenario.Load(tr, scenario.Options{Standard: scenario.Standard{Nodes: 1, Concurrency: 1000}, PricesAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := &Case{Run: sc.Config, Trace: tr, Calls: sum.Calls}
	if c.Cloud, err = FindCloud(&c.Run, ""); err != nil {
		t.Fatal(err)
	}
	return c, sum
}

func generated(t *testing.T, w trace.Workload) *trace.Trace {
	t.Helper()
	tr, err := trace.New(w)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// written is a trace of calls that begin at and last for some milliseconds.
func written(t *testing.T, calls [][2]int64) *trace.Trace {
	t.Helper()
	var out bytes.Buffer
	rows := trace.NewUsageWriter(&out)
	start := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	for _, c := range calls {
		row := trace.UsageRow{Admitted: start.Add(time.Duration(c[0]) * time.Millisecond), Namespace: "shop", Function: "cart", Outcome: spillway.Executed,
			Duration: time.Duration(c[1]) * time.Millisecond, Init: -1, MemoryMiB: 64, MilliCPU: 100}
		if err := rows.Write(&row); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Flush(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "calls.csv")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := trace.Open(t.Context(), path, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func TestDemandIsWhatCallsKeepBusy(t *testing.T) {
	c, _ := caseOf(t, written(t, [][2]int64{{0, 1500}, {500, 1000}, {59_900, 200}}))
	d, err := MeasureDemand(t.Context(), c, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	// Lambda bills at least 128 MiB where the call has 64.
	want := []planner.Step{
		{MiBMillis: 64 * 2600, MilliCPUMillis: 100 * 2600, Calls: 3, BilledMiBMillis: 128 * 2600},
		{MiBMillis: 64 * 100, MilliCPUMillis: 100 * 100, BilledMiBMillis: 128 * 100},
	}
	if len(d.Series.Steps) != 2 || d.Series.Steps[0] != want[0] || d.Series.Steps[1] != want[1] {
		t.Fatalf("%+v", d.Series.Steps)
	}
	if d.Calls != 3 || d.Skipped+d.CloudOnly+d.Pinned+d.Cut != 0 || d.Length() != 2*time.Minute {
		t.Fatalf("%+v", d)
	}
}

func TestStepsAreOnTheClock(t *testing.T) {
	c, _ := caseOf(t, written(t, [][2]int64{{30_000, 1000}, {89_500, 1000}})) // the first half a minute after midnight
	d, err := MeasureDemand(t.Context(), c, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Series.Start.Equal(time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)) || len(d.Series.Steps) != 2 || d.Series.Steps[0].Calls != 1 || d.Series.Steps[1].MiBMillis != 64*1000 {
		t.Fatalf("%+v", d.Series)
	}
	if d, err = MeasureDemand(t.Context(), c, 7*time.Second); err != nil || !d.Series.Start.Equal(c.Run.Start.Time()) {
		t.Fatalf("steps that do not divide a day: %s %v", d.Series.Start, err)
	}
}

func TestPlanAgainstBruteForce(t *testing.T) {
	c, _ := caseOf(t, generated(t, trace.Workload{Preset: trace.Mixed, Seed: 7, Days: 2, Functions: 12, Tenants: 4, CallsPerDay: 20_000}))
	d, err := MeasureDemand(t.Context(), c, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	q := Question{Nodes: []planner.NodeType{small()}, Burst: planner.Burst{PerRequest: c.Cloud.Rate.PerRequest, Tiers: []planner.Tier{{PerGiBSecond: c.Cloud.Rate.PerGiBSecond}}}, Split: true}
	a, err := Solve(t.Context(), d, q)
	if err != nil {
		t.Fatal(err)
	}
	best := spillway.MaxNano
	var at int64
	for n := range int64(200) {
		cost, err := planner.Evaluate(a.Input, planner.Choice{Nodes: []int64{n}})
		if err != nil {
			t.Fatal(err)
		}
		if cost.Total < best {
			best, at = cost.Total, n
		}
	}
	if got := a.Plan.Best; got.Cost.Total != best || got.Choice.Nodes[0] != at || at == 0 {
		t.Fatalf("planned %v for %s, brute force %d for %s", got.Choice.Nodes, got.Cost.Total, at, best)
	}
	if a.Bound.Bound.Total > best || a.Bound.Missed {
		t.Fatalf("bound %s of %s, ratio %v", a.Bound.Bound.Total, best, a.Bound.Ratio)
	}
	if a.Halves == nil || a.Halves.Days != 1 || a.Halves.Verdict.Ratio < 1 || a.Months != nil || !strings.Contains(a.NoMonths, "2 whole days") {
		t.Fatalf("halves %+v, months %v, %q", a.Halves, a.Months, a.NoMonths)
	}
}

func TestVerifyPaysForWhatIsPlanned(t *testing.T) {
	c, _ := caseOf(t, generated(t, trace.Workload{Preset: trace.Online, Seed: 3, Days: 1, Functions: 6, Tenants: 2, CallsPerDay: 20_000}))
	d, err := MeasureDemand(t.Context(), c, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	nodes := []planner.NodeType{small()}
	for _, count := range []int64{0, 3} {
		owned, err := OwnedBy(nodes, []int64{count}, spillway.Unlimited)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Verify(t.Context(), owned, d.Length())
		if err != nil {
			t.Fatal(err)
		}
		if r.Calls != d.Calls || r.Placed != r.Calls || r.Pools[0].Executed+r.Pools[1].Executed != r.Calls {
			t.Fatalf("%d nodes: %d calls of %d, %d placed", count, r.Calls, d.Calls, r.Placed)
		}
		paid, _ := r.OwnedCost.Float64()
		if want := float64(count) * 0.001 * d.Length().Hours(); math.Abs(paid-want) > 1e-9 {
			t.Errorf("%d nodes cost %v, want %v", count, paid, want)
		}
		onPrem := 0
		for i, p := range r.Platform.Pools {
			if !p.Kind.Cloud() {
				onPrem = i
			}
		}
		if count == 0 && (r.Waits.Max() > r.ColdStarts.Max() || r.Pools[onPrem].Executed > 0) {
			t.Errorf("nothing is owned and calls wait %s for it", r.Waits.Max())
		}
		if count > 0 && r.Pools[onPrem].Executed == 0 {
			t.Error("nodes are owned and none is used")
		}
	}
}

func TestOwnedByCountsWhatIsSunk(t *testing.T) {
	n := small()
	n.Owned, n.Avoidable = 2, 400_000
	o, err := OwnedBy([]planner.NodeType{n}, []int64{5}, 40)
	if err != nil || o.Hourly != 2*400_000+3*1_000_000 || o.Capacity.MiB != 5*512 || o.Capacity.Slots != 200 || o.Capacity.MilliCPU != 2000 {
		t.Fatalf("%+v %v", o, err)
	}
	if _, err := OwnedBy([]planner.NodeType{{MiB: math.MaxInt64}}, []int64{2}, 1); !errors.Is(err, spillway.ErrOverflow) {
		t.Fatalf("more memory than can be counted: %v", err)
	}
}

func TestUsable(t *testing.T) {
	q := Question{Nodes: []planner.NodeType{small()}, Usable: 750}
	if n, err := q.usable(); err != nil || n[0].MiB != 384 || n[0].MilliCPU != 300 || q.Nodes[0].MiB != 512 {
		t.Fatalf("%+v %v", n, err)
	}
	var input *planner.InputError
	q.Usable = 1001
	if _, err := q.usable(); !errors.As(err, &input) {
		t.Fatal(err)
	}
}

func TestOptimumIsExceededAsOftenAsThePlanBursts(t *testing.T) {
	f := &Findings{Demand: monthlong(time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), 1)}
	for _, x := range []struct {
		owned int64
		over  int
		want  float64
	}{{4096, 5, 4}, {1 << 20, 5, 9.5}, {1 << 20, 0, 1024}, {0, 24, 0}} { // steps use 0.5 to 12 GiB
		f.Answer = &Answer{}
		f.Answer.Plan.Best = planner.Point{OwnedMiB: x.owned, Cost: planner.Cost{OverflowSteps: x.over}}
		if o := f.Optimum(); o.GiB != x.want {
			t.Errorf("%+v: %+v", x, o)
		}
	}
}

func TestQuotaIsTheSmallest(t *testing.T) {
	var calls [][2]int64
	for range 10 {
		calls = append(calls, [2]int64{1000, 900}) // ten at once, for less than a second
	}
	c, _ := caseOf(t, written(t, calls))
	d, err := MeasureDemand(t.Context(), c, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		aim  planner.Aim
		want int64
	}{
		{planner.Aim{}, 10},
		{planner.Aim{P95WaitMicros: 900_000}, 5},               // in two turns
		{planner.Aim{P95WaitMicros: -1}, 4},                    // in three: none waits longer than maxWait, two seconds
		{planner.Aim{RefusedShare: 0.5, P95WaitMicros: -1}, 2}, // three turns of two, the rest refused
		{planner.Aim{RefusedShare: 1, P95WaitMicros: -1}, 0},   // nothing is wanted
	} {
		q, err := c.Quotas(t.Context(), d, d.TeamsLargest(-1), x.aim)
		if err != nil {
			t.Fatal(err)
		}
		if len(q) != 1 || q[0].Team != "shop" || q[0].Peak != 10 || q[0].Fault != "" || q[0].Answer.Quota != x.want {
			t.Errorf("aim %+v: %+v, want %d", x.aim, q, x.want)
		}
	}
}

func TestTeams(t *testing.T) {
	c, _ := caseOf(t, generated(t, trace.Workload{Preset: trace.Mixed, Seed: 7, Days: 1, Functions: 12, Tenants: 6, CallsPerDay: 5_000}))
	d, err := MeasureDemand(t.Context(), c, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	all := d.TeamsLargest(-1)
	for i := 1; i < len(all); i++ {
		if all[i].BusyMicros > all[i-1].BusyMicros {
			t.Fatalf("team %d is larger than the one before", i)
		}
	}
	if len(d.TeamsLargest(2)) != 2 || len(all) < 4 {
		t.Fatalf("%d teams", len(all))
	}
	name := c.Run.Platform.Namespaces[all[0].Namespace].Name
	if one, err := d.TeamsNamed(c.Run.Platform, name); err != nil || len(one) != 1 || one[0] != all[0] {
		t.Fatalf("%v %v", one, err)
	}
	var input *planner.InputError
	if _, err := d.TeamsNamed(c.Run.Platform, "nobody"); !errors.As(err, &input) {
		t.Fatal(err)
	}
}

// TestStepsAreBounded before the trace is read.
func TestStepsAreBounded(t *testing.T) {
	c, _ := caseOf(t, written(t, [][2]int64{{0, 1}, {6_000_000, 1}}))
	c.Trace = nil
	var input *planner.InputError
	if _, err := MeasureDemand(t.Context(), c, time.Millisecond); !errors.As(err, &input) || input.Path != "step" {
		t.Fatal(err)
	}
}

func monthlong(start time.Time, days int) *Demand {
	d := &Demand{Series: planner.Series{Start: start, StepMillis: 3_600_000}}
	for h := range 24 * days {
		n := int64(1 + h%24)
		d.Series.Steps = append(d.Series.Steps, planner.Step{MiBMillis: n * 512 * 3_600_000, MilliCPUMillis: n * 3_600_000, Calls: n * 1000, BilledMiBMillis: n * 512 * 3_600_000})
	}
	return d
}

func TestMonths(t *testing.T) {
	q := Question{Nodes: []planner.NodeType{small()}, Burst: planner.Burst{Tiers: []planner.Tier{{PerGiBSecond: 1_000_000_000}}}, Seed: 1}
	january := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		days          int
		next, present string
	}{
		{27, "", ""},
		{28, "2026-03", "2026-02"}, // ends with February 1
		{27 + 28, "2026-03", ""},   // ends with a month
		{40, "2026-03", "2026-02"},
	} {
		a, err := Solve(t.Context(), monthlong(january, x.days), q)
		if err != nil {
			t.Fatal(err)
		}
		next, present := "", ""
		if m := a.Months; m != nil {
			next = m.Next.Format("2006-01")
			if m.Present != nil {
				present = m.Month.Format("2006-01")
				if observed := 28 - m.Present.RemainingDays; observed != x.days-27 || m.Present.ToDate <= 0 || m.Present.P50 < m.Present.ToDate {
					t.Errorf("%d days: %d observed of February, %+v", x.days, observed, m.Present)
				}
			}
		}
		if next != x.next || present != x.present || (a.NoMonths == "") != (next != "") {
			t.Errorf("%d days: %q %q %q", x.days, next, present, a.NoMonths)
		}
	}
}

func TestWithoutDemandOrPrice(t *testing.T) {
	c, _ := caseOf(t, written(t, [][2]int64{{0, 1500}}))
	if _, err := FindCloud(&c.Run, "nowhere"); !errors.Is(err, ErrNoPrice) {
		t.Error(err)
	}
	for _, f := range c.Run.Platform.Functions {
		f.Permitted = 0
	}
	if _, err := FindCloud(&c.Run, ""); !errors.Is(err, ErrNoPrice) {
		t.Error(err)
	}
	if _, err := MeasureDemand(t.Context(), c, time.Minute); !errors.Is(err, ErrNoDemand) || !strings.Contains(err.Error(), "1 may not run on-prem") {
		t.Error(err)
	}
	c.Run.Functions[0] = -1
	if _, err := MeasureDemand(t.Context(), c, time.Minute); !errors.Is(err, ErrNoDemand) {
		t.Error(err)
	}
}

func TestInterrupted(t *testing.T) {
	c, _ := caseOf(t, written(t, [][2]int64{{0, 1500}}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := MeasureDemand(ctx, c, time.Minute); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
