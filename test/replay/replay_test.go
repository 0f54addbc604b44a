// Package replay holds the simulator against live runs of the demo's platform.
package replay

import (
	"flag"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/scenario"
	"github.com/spillway-dev/spillway/simulator/trace"
	"github.com/spillway-dev/spillway/test/replay/recording"
)

var update = flag.Bool("update", false, "write docs/experiments/replay.md")

// loads are the recordings, in the order of the report.
var loads = []string{"calm", "burst", "budget"}

// seeds is how many random draws of cold starts every recording is held against.
const seeds = 5

const (
	shareWithin   = 2.0 // points of all calls, each pool
	costWithin    = 2.0 // percent, all pools together
	refusedWithin = 1.0 // points of all calls, each reason
)

func TestReplayMatchesWhatHappenedLive(t *testing.T) {
	var pages []page
	for _, name := range loads {
		p := page{name: name, live: recorded(t, name), times: times(t, name)}
		for seed := range uint64(seeds) {
			p.runs = append(p.runs, outcomeOf(t, replay(t, name, p.times, seed)))
		}
		for seed := range p.runs {
			compare(t, name, seed, &p.live, &p.runs[seed])
		}
		pages = append(pages, p)
	}
	if *update && !t.Failed() {
		write(t, filepath.Join("..", "..", "docs", "experiments", "replay.md"), pages)
	}
}

func compare(t *testing.T, name string, seed int, live, got *outcome) {
	t.Helper()
	if live.calls != got.calls {
		t.Errorf("%s: %d of %d calls were replayed", name, got.calls, live.calls)
	}
	for _, pool := range live.poolNames() {
		if off := got.share(pool) - live.share(pool); math.Abs(off) > shareWithin {
			t.Errorf("%s, seed %d: %s has %.2f %% of the calls, live %.2f %%; want within %g points", name, seed, pool, got.share(pool), live.share(pool), shareWithin)
		}
	}
	if off := 100 * (got.cost()/live.cost() - 1); math.Abs(off) > costWithin {
		t.Errorf("%s, seed %d: cost %g, live %g: %+.2f %%; want within %g %%", name, seed, got.cost(), live.cost(), off, costWithin)
	}
	for reason := range got.reasons {
		if !spillway.Reason(reason).Refusal() {
			continue
		}
		if off := 100 * float64(got.reasons[reason]-live.reasons[reason]) / float64(live.calls); math.Abs(off) > refusedWithin {
			t.Errorf("%s, seed %d: %d refusals for %s, live %d; want within %g points of all calls",
				name, seed, got.reasons[reason], spillway.Reason(reason), live.reasons[reason], refusedWithin)
		}
	}
}

func times(t *testing.T, name string) *recording.Times {
	t.Helper()
	out, err := recording.Load(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// replay runs the recording on the configuration that it was made with.
func replay(t *testing.T, name string, times *recording.Times, seed uint64) *simulator.Result {
	t.Helper()
	calls, err := trace.Open(t.Context(), filepath.Join("testdata", name+".csv.zst"), trace.Options{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	defer calls.Close()
	s, err := scenario.Load(calls, scenario.Options{Dir: filepath.Join("testdata", "conf"), PricesAt: times.Recorded, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range s.Platform.Pools {
		if measured := times.Pools[p.Name]; measured != nil {
			s.Pools[i] = measured.Fit(s.Pools[i])
		}
	}
	r, err := simulator.Run(t.Context(), s.Config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// outcome is what happened to the calls of one load.
type outcome struct {
	calls   int64
	pools   map[string]*poolOutcome
	reasons []int64 // by spillway.Reason
	waits   func(q float64) time.Duration
}

type poolOutcome struct {
	calls, cold int64
	cost        float64 // of sums that are exact
}

func (o *outcome) share(pool string) float64 {
	p := o.pools[pool]
	if p == nil {
		return 0
	}
	return 100 * float64(p.calls) / float64(o.calls)
}

func (o *outcome) cost() (sum float64) {
	for _, name := range o.poolNames() {
		sum += o.pools[name].cost
	}
	return sum
}

func (o *outcome) poolNames() (names []string) {
	for name := range o.pools {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// recorded reads what happened live.
func recorded(t *testing.T, name string) outcome {
	t.Helper()
	out := outcome{pools: map[string]*poolOutcome{}, reasons: make([]int64, 32)}
	sums := map[string]*apd.Decimal{}
	var waits []time.Duration
	for row, err := range trace.UsageRows(filepath.Join("testdata", name+".csv.zst")) {
		if err != nil {
			t.Fatal(err)
		}
		out.calls++
		out.reasons[row.Reason]++
		if row.Pool == "" {
			continue
		}
		p := out.pools[row.Pool]
		if p == nil {
			p, sums[row.Pool] = &poolOutcome{}, new(apd.Decimal)
			out.pools[row.Pool] = p
		}
		p.calls++
		if row.Init > 0 {
			p.cold++
		}
		waits = append(waits, row.Waited)
		sum := sums[row.Pool]
		if _, err := apd.BaseContext.WithPrecision(40).Add(sum, sum, &row.Amount); err != nil {
			t.Fatal(err)
		}
	}
	for name, sum := range sums {
		out.pools[name].cost = number(t, sum)
	}
	slices.Sort(waits)
	out.waits = func(q float64) time.Duration { return waits[max(int(math.Ceil(q*float64(len(waits)))), 1)-1] }
	return out
}

func outcomeOf(t *testing.T, r *simulator.Result) outcome {
	t.Helper()
	out := outcome{calls: r.Calls - r.Skipped, pools: map[string]*poolOutcome{}, reasons: r.Reasons, waits: r.Waits.Quantile}
	for i := range r.Pools {
		p := &r.Pools[i]
		out.pools[r.Platform.Pools[i].Name] = &poolOutcome{p.Executed, p.Cold, number(t, &p.Cost)}
	}
	return out
}

func number(t *testing.T, d *apd.Decimal) float64 {
	t.Helper()
	n, err := d.Float64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}
