package server_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

// canary is a platform with other revisions of shop/two in each generation.
func canary(t *testing.T, generation int64, revisions string) *spillway.Platform {
	t.Helper()
	p, err := testplatform.Parse(smallPlatform + revisions)
	if err != nil {
		t.Fatal(err)
	}
	p.Generation = generation
	return p
}

// TestCanaryIsSeen calls a function of which a revision has a tenth of the traffic, and
// then changes its revisions: those that stay go on counting, those that are gone have no
// series.
func TestCanaryIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := canary(t, 1, "function shop/two rev=v1 weight=90\nfunction shop/two rev=v2 weight=10 digest=d2")
		onprem := memory.New(memory.Options{})
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: memory.NewCloud(1, memory.Options{})}, Policy: permitAll{p}, Ledger: new(bookOnly)})
		defer func() { s.Close(); onprem.Close() }()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(s.Collector())
		call := func(n int) {
			for range n {
				if _, err := s.Invoke(t.Context(), ask("two", "{}")); err != nil {
					t.Fatal(err)
				}
			}
		}
		expect := func(when string, want map[string]float64) {
			t.Helper()
			if got := revisionCalls(t, registry); !maps.Equal(got, want) {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		expect("before any call", nil)
		call(100)
		expect("a tenth", map[string]float64{"shop/two v1 onprem success": 90, "shop/two v2 onprem success": 10})

		s.Reload(canary(t, 2, "function shop/two rev=v2 digest=d2\nfunction shop/two rev=v3 weight=0 digest=d3"), nil, nil)
		expect("v1 is gone", map[string]float64{"shop/two v2 onprem success": 10})
		call(5)
		expect("v2 goes on", map[string]float64{"shop/two v2 onprem success": 15})

		s.Reload(canary(t, 3, "function shop/two rev=v1"), nil, nil)
		expect("v1 is back, and new", nil)
		call(1)
		expect("v1 counts anew", map[string]float64{"shop/two v1 onprem success": 1})
		s.Reload(canary(t, 4, ""), nil, nil)
		expect("the function is gone", nil)
	})
}

// TestRevisionOutcomes tells what became of calls, one of each kind.
func TestRevisionOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := canary(t, 1, "function shop/nowhere policy=outside\nfunction shop/broken rev=v7\nfunction shop/stuck")
		p.Functions[2].Policy, p.Functions[2].Bindings[1].Name = 1, "away-in-the-cloud"
		onprem := memory.New(memory.Options{
			Step: func(r pools.Request) memory.Step {
				if r.Function.FunctionKey.Name == "broken" {
					return memory.Step{Ending: memory.Fails}
				}
				return memory.Step{}
			},
			Start: func(_ context.Context, f *spillway.Function) (pools.ColdStart, error) {
				if f.FunctionKey.Name == "stuck" {
					return pools.ColdStart{}, errors.New("no such file")
				}
				return pools.ColdStart{}, nil
			},
		})
		cloud := memory.NewCloud(1, memory.Options{Step: func(pools.Request) memory.Step { return memory.Step{Ending: memory.Vanishes} }})
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: cloud}, Policy: permitAll{p}, Ledger: new(bookOnly)})
		defer func() { s.Close(); onprem.Close() }()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(s.Collector())
		for _, name := range []string{"a", "broken", "nowhere", "stuck", "away"} {
			if _, err := s.Invoke(t.Context(), ask(name, "{}")); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]float64{"shop/a v1 onprem success": 1, "shop/broken v7 onprem function_error": 1, "shop/nowhere v1 - refused": 1,
			"shop/stuck v1 onprem not_executed": 1, "shop/away v1 cloud unknown": 1}
		if got := revisionCalls(t, registry); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// revisionCalls are the series of the metric, by "namespace/function revision pool outcome".
func revisionCalls(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "spillway_revision_calls_total" {
			continue
		}
		for _, m := range family.Metric {
			l := map[string]string{}
			for _, pair := range m.Label {
				l[pair.GetName()] = pair.GetValue()
			}
			all[fmt.Sprintf("%s/%s %s %s %s", l["namespace"], l["function"], l["revision"], l["pool"], l["outcome"])] = m.Counter.GetValue()
		}
	}
	return all
}
