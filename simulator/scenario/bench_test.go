package scenario_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/scenario"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// BenchmarkTraces replays every trace below TRACE_DIR on the default platform, with
// and without instances.
func BenchmarkTraces(b *testing.B) {
	dir := os.Getenv("TRACE_DIR")
	if dir == "" {
		b.Skip("TRACE_DIR names no traces")
	}
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range found {
		for _, warm := range []bool{true, false} {
			name := filepath.Base(path) + "/instances"
			if warm {
				name = filepath.Base(path) + "/warm"
			}
			b.Run(name, func(b *testing.B) { replay(b, path, warm) })
		}
	}
}

func replay(b *testing.B, path string, warm bool) {
	calls := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		t, err := trace.Open(b.Context(), path, trace.Options{Seed: 1})
		if err != nil {
			b.Skip(err)
		}
		b.StopTimer()
		sum, err := trace.Inspect(b.Context(), t)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		s, err := scenario.Load(t, scenario.Options{Standard: scenario.StandardFor(sum), Longest: sum.Duration.At(1), PricesAt: time.Now(), Seed: 1, Warm: warm})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(b.Context(), 20*time.Minute)
		r, err := simulator.Run(ctx, s.Config)
		cancel()
		if err != nil {
			b.Fatal(err)
		}
		calls += r.Calls
		if err := t.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(calls)/b.Elapsed().Seconds()/1e6, "Mcalls/s")
}

// BenchmarkMonth replays a synthetic month of MONTH_CALLS calls (10 million if it is
// not set) on the default platform, without instances.
func BenchmarkMonth(b *testing.B) {
	calls := int64(10_000_000)
	if text := os.Getenv("MONTH_CALLS"); text != "" {
		var err error
		if calls, err = strconv.ParseInt(text, 10, 64); err != nil {
			b.Fatal(err)
		}
	}
	done := int64(0)
	for b.Loop() {
		t, err := trace.New(trace.Workload{Preset: trace.Online, Seed: 1, Days: 30, Functions: 200, Tenants: 20, CallsPerDay: calls / 30})
		if err != nil {
			b.Fatal(err)
		}
		s, err := scenario.Load(t, scenario.Options{Standard: scenario.Standard{Nodes: 40, Concurrency: 10_000}, Longest: time.Minute, PricesAt: time.Now(), Seed: 1, Warm: true})
		if err != nil {
			b.Fatal(err)
		}
		r, err := simulator.Run(b.Context(), s.Config)
		if err != nil {
			b.Fatal(err)
		}
		done += r.Calls
		b.Logf("%d calls: %d placed, %d refused, peak %s", r.Calls, r.Placed, r.Refused, r.Pools[1].Peak)
		if err := t.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(done)/b.Elapsed().Seconds()/1e6, "Mcalls/s")
}
