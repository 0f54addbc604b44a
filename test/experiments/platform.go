package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/scenario"
	"github.com/spillway-dev/spillway/simulator/trace"
)

var pricesAt = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// A node is a small server: a tenth of the cores and of the memory of the price book's
// example, at a tenth of its price.
const (
	nodeMilliCPU = 6_200
	nodeMiB      = 25 * 1024
	ownedHourly  = "0.045429"
)

// setup is a platform: what is owned, and what a call does that finds no place.
type setup struct {
	nodes     int64  // owned; zero: no pool on-prem
	boundless bool   // as many places on-prem as anybody wants; nodes does not count
	mode      string // of the burst policy; default Hybrid
	keepAlive time.Duration
	policy    string                     // YAML of Pool.spec.keepAlivePolicy
	model     func(*simulator.PoolModel) // changes that of the pool on-prem
	cold      bool                       // model instances
	step      time.Duration
	seed      uint64
	only      func(trace.Function) bool // whose calls come; nil: all
	source    simulator.Source          // of calls; nil: the trace
}

func (s *setup) yaml() string {
	var b strings.Builder
	object := func(kind, name, spec string) {
		fmt.Fprintf(&b, "---\napiVersion: spillway.dev/v1alpha1\nkind: %s\nmetadata: {name: %s}\nspec: %s\n", kind, name, spec)
	}
	order := "[lambda]"
	if s.nodes > 0 || s.boundless {
		slots, cpu, mib := s.nodes*10_000, s.nodes*nodeMilliCPU, s.nodes*nodeMiB
		if s.boundless {
			slots, cpu, mib = 1_000_000, 1_000_000_000, 1<<30
		}
		order = "[onprem, lambda]"
		if s.mode == "OnPremOnly" {
			order = "[onprem]"
		}
		keep := max(s.keepAlive, time.Minute)
		policy := s.policy
		if policy == "" {
			policy = "{kind: fixed}"
		}
		object("Pool", "onprem", fmt.Sprintf("{kind: process, capacity: {slots: %d, cpu: %dm, memory: %dMi}, keepAlive: %s, keepAlivePolicy: %s, pricePlan: nodes}", slots, cpu, mib, keep, policy))
		object("PriceBook", "prices", fmt.Sprintf("{plans: [{plan: nodes, version: x, kind: owned, source: experiment, owned: {hourly: %q, allocatable: {cpu: %dm, memory: %dMi}}}]}", s.total(), cpu, mib))
	}
	object("Pool", "lambda", "{kind: lambda, region: us-east-1, limits: {concurrency: 100000, rampPer10s: 100000, requestsPerSecond: 1000000}}")
	object("Quota", "company", `{budgets: [{window: month, amount: "1000000000"}]}`)
	mode := s.mode
	if mode == "" {
		mode = "Hybrid"
	}
	object("BurstPolicy", "default", fmt.Sprintf("{mode: %s, order: %s}", mode, order))
	return b.String()
}

// total is the price of all nodes an hour.
func (s *setup) total() string {
	if s.boundless {
		return "0"
	}
	one, _, err := apd.NewFromString(ownedHourly)
	if err != nil {
		panic(err) // it is written in this program
	}
	out := new(apd.Decimal)
	if _, err := apd.BaseContext.WithPrecision(30).Mul(out, one, apd.New(s.nodes, 0)); err != nil {
		panic(err) // neither is large
	}
	return out.Text('f')
}

// simulate replays the trace from its beginning.
func (l *lab) simulate(t *trace.Trace, s setup) (r *simulator.Result, err error) {
	dir, err := os.MkdirTemp("", "spillway-experiment-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.WriteFile(filepath.Join(dir, "platform.yaml"), []byte(s.yaml()), 0o644); err != nil {
		return nil, err
	}
	if err := t.Rewind(); err != nil {
		return nil, err
	}
	sc, err := scenario.Load(t, scenario.Options{Dir: dir, Adopt: "company", PricesAt: pricesAt, Seed: max(s.seed, 1), Warm: !s.cold, Step: s.step, Longest: 15 * time.Minute})
	if err != nil {
		return nil, err
	}
	for i, p := range sc.Platform.Pools {
		if s.model != nil && !p.Kind.Cloud() {
			s.model(&sc.Pools[i])
		}
	}
	for i, f := range t.Functions() {
		if s.only != nil && !s.only(f) {
			sc.Functions[i] = -1
		}
	}
	if s.source != nil {
		sc.Calls = s.source
	}
	began := time.Now()
	r, err = simulator.Run(l.ctx, sc.Config)
	if err != nil {
		return nil, err
	}
	if n := r.Reasons[spillway.ReasonDenied]; n > 0 {
		return nil, fmt.Errorf("%d calls were denied, though the default policy permits all", n)
	}
	l.runs++
	l.calls += r.Calls - r.Skipped
	l.took += time.Since(began)
	l.progress(r.Calls-r.Skipped, time.Since(began))
	return r, nil
}

// pool returns what became of a pool, or nil.
func pool(r *simulator.Result, name string) *simulator.PoolResult {
	for i, p := range r.Platform.Pools {
		if p.Name == name {
			return &r.Pools[i]
		}
	}
	return nil
}

func onPrem(r *simulator.Result) (*simulator.PoolResult, *spillway.Pool) {
	for i, p := range r.Platform.Pools {
		if !p.Kind.Cloud() {
			return &r.Pools[i], p
		}
	}
	return nil, nil
}

// amount makes a figure to show of an exact one.
func amount(d *apd.Decimal) float64 {
	n, err := d.Float64()
	if err != nil {
		panic(err) // sums of money are finite
	}
	return n
}

// monthly scales what a trace cost to 730 hours.
func monthly(r *simulator.Result, cost float64) float64 {
	return cost * 730 / r.Length.Hours()
}
