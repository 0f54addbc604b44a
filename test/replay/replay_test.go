package replay

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/scenario"
	"github.com/spillway-dev/spillway/simulator/trace"
	"github.com/spillway-dev/spillway/test/replay/recording"
)

func replay(t *testing.T, name string, seed uint64) *simulator.Result {
	times, err := recording.Load(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	tr, err := trace.Open(t.Context(), filepath.Join("testdata", name+".csv.zst"), trace.Options{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	o := scenario.Options{Dir: filepath.Join("testdata", "conf"), PricesAt: times.Recorded, Seed: seed, Models: scenario.Models{}}
	o.Models, err = models(t, tr, o, times)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scenario.Load(tr, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := simulator.Run(context.Background(), sc.Config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func models(t *testing.T, tr *trace.Trace, o scenario.Options, times *recording.Times) (scenario.Models, error) {
	sc, err := scenario.Load(tr, o)
	if err != nil {
		return nil, err
	}
	all := scenario.Models{}
	for _, p := range sc.Platform.Pools {
		m := scenario.DefaultModel(p)
		if took := times.Pools[p.Name]; took != nil {
			m = took.Fit(m)
		}
		all[p.Name] = m
	}
	return all, nil
}

func TestX(t *testing.T) {
	for _, name := range []string{"calm", "burst", "budget"} {
		began := time.Now()
		r := replay(t, name, 1)
		fmt.Println(name, r.Calls, r.Placed, r.Refused, r.Skipped, time.Since(began))
		pools := map[string]int{}
		reasons := map[string]int{}
		cost := map[string]float64{}
		cold := map[string]int{}
		n := 0
		for row, err := range trace.UsageRows(filepath.Join("testdata", name+".csv.zst")) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			if row.Pool != "" {
				pools[row.Pool]++
			}
			if row.Init > 0 {
				cold[row.Pool]++
			}
			reasons[row.Reason.String()]++
			f, _ := row.Amount.Float64()
			cost[row.Pool] += f
		}
		for i := range r.Pools {
			p := r.Platform.Pools[i].Name
			c, _ := r.Pools[i].Cost.Float64()
			fmt.Printf("  %s live %.2f%% sim %.2f%% (%d %d) cost live %.6g sim %.6g cold %d %d\n", p, 100*float64(pools[p])/float64(n), 100*float64(r.Pools[i].Executed)/float64(n), pools[p], r.Pools[i].Executed, cost[p], c, cold[p], r.Pools[i].Cold)
		}
		sim := map[string]int64{}
		for i, c := range r.Reasons {
			if c > 0 {
				sim[reason(i)] = c
			}
		}
		fmt.Println("  live", reasons)
		fmt.Println("  sim ", sim, r.Waits.Quantile(.5), r.Waits.Quantile(.95), r.Waits.Quantile(.99))
	}
	_ = os.Args
}

func reason(i int) string { return spillway.Reason(i).String() }
