package simulator_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/policy"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// platform loads YAML; nothing of it will run.
func platform(tb testing.TB, yaml string) *spillway.Platform {
	tb.Helper()
	dir := tb.TempDir()
	writeFile(tb, dir+"/all.yaml", yaml)
	l, err := config.Load(dir, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), config.Checks{WithoutCode: true})
	if err != nil {
		tb.Fatal(err)
	}
	return l.Platform
}

type permitAll struct{}

func (permitAll) Evaluate(context.Context, spillway.Instant, policy.Input) *policy.Verdict {
	return &policy.Verdict{ID: "v", Revision: "r", Permitted: ^spillway.PoolSet(0)}
}

// calls is a trace in memory.
type calls struct{ left []trace.Call }

func (c *calls) Next(into []trace.Call) (int, error) {
	if len(c.left) == 0 {
		return 0, io.EOF
	}
	n := copy(into, c.left)
	c.left = c.left[n:]
	return n, nil
}

const twoPools = `
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec: {kind: process, capacity: {slots: %d, cpu: "64", memory: 256Gi}, keepAlive: 60s}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: cloud}
spec: {kind: lambda, region: us-east-1}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: default}
spec: {mode: Hybrid, order: [onprem, cloud]}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec: {namespaces: [shop], budgets: [{window: month, amount: "1000000"}]}
`

const shopFunction = `
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: %s, namespace: shop}
spec:
  revisions: [{name: v1, package: {path: .}}]
  burst: allow
  timeout: 10s
  cloud: [{pool: cloud}]
`

// constant is a pool that takes as long every time.
func constant(cold time.Duration) simulator.PoolModel {
	return simulator.PoolModel{Cold: []simulator.ColdStep{{Name: "start", P50: cold, P99: cold}}, IdleFor: time.Minute}
}

func hundred(functions int, count int, every time.Duration) *calls {
	c := &calls{}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range count {
		c.left = append(c.left, trace.Call{At: time.Duration(i) * every, Duration: time.Duration(random.IntN(200)) * time.Millisecond, Init: -1, Function: int32(random.IntN(functions))})
	}
	return c
}

func BenchmarkRun(b *testing.B) {
	yaml := fmt.Sprintf(twoPools, 1000)
	mapping := []int{}
	for i := range 100 {
		yaml += fmt.Sprintf(shopFunction, fmt.Sprintf("f%02d", i))
		mapping = append(mapping, i)
	}
	p := platform(b, yaml)
	all := hundred(100, 1_000_000, 4700*time.Microsecond)
	for _, warm := range []bool{true, false} {
		b.Run(fmt.Sprintf("warm=%t", warm), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c := *all
				r, err := simulator.Run(b.Context(), simulator.Config{Platform: p, Policy: permitAll{}, Calls: &c, Functions: mapping,
					Start: spillway.InstantOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)), Length: time.Hour, Seed: 1, Warm: warm, Step: time.Minute,
					Pools: []simulator.PoolModel{constant(200 * time.Millisecond), constant(300 * time.Millisecond)}})
				if err != nil || r.Placed+r.Refused != 1_000_000 {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(1e6*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mcalls/s")
		})
	}
}
