package server_test

import (
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

// TestMetrics runs calls and holds names, help and values to account.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory.Options{}, memory.Options{})
		r.close()
		reg := prometheus.NewPedanticRegistry()
		onprem := memory.New(memory.Options{})
		defer onprem.Close()
		s := server.New(server.Config{Engine: dispatcher.New(r.p), Pools: map[int]pools.Pool{0: onprem, 1: r.cloud},
			Policy: permitAll{r.p}, Ledger: r.book, Metrics: server.NewMetrics(reg)})
		defer s.Close()
		reg.MustRegister(s.Collector())
		for _, name := range []string{"a", "stay", "away"} {
			if _, err := s.Invoke(t.Context(), ask(name, "{}")); err != nil {
				t.Fatal(err)
			}
		}
		problems, err := testutil.GatherAndLint(reg)
		if err != nil || len(problems) != 0 {
			t.Errorf("lint: %v %v", problems, err)
		}
		for name, want := range map[string]int{
			"spillway_dispatcher_placements_total": 3, "spillway_pool_attempts_total": 2,
			"spillway_pool_cold_start_step_duration_seconds": 3, "spillway_pool_instances": 3, "spillway_budget_limit_units": 1,
		} {
			if n, err := testutil.GatherAndCount(reg, name); err != nil || n != want {
				t.Errorf("%s: %d series, want %d (%v)", name, n, want, err)
			}
		}
	})
}
