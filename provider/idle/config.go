package idle

import (
	"fmt"
	"time"
)

// Rule says what counts as the online part of a node.
type Rule uint8

const (
	// RuleRequests counts what pods asked for.
	RuleRequests Rule = iota
	// RuleUsage counts what they are expected to use. What they asked for and do not
	// use is then idle too, so guests must ask the scheduler for less than they use:
	// it binds by requests. Report.Unschedulable is how much that concerns.
	RuleUsage
	// RuleLarger counts the larger of both, resource by resource.
	RuleLarger
	ruleCount
)

func (r Rule) String() string { return [ruleCount]string{"requests", "usage", "larger"}[r] }

// Margin is what is kept free on every node: of cpu, memory and local storage the
// larger of Percent of the allocatable, rounded up, and Least; of pods and extended
// resources Least.
type Margin struct {
	Percent int64 // 0 to 100
	Least   Quantities
	// KeptPercent, 0 to 100, is the part of the margin that guests never take from
	// online work: with less left, guests go until the whole margin is free again.
	// New guests always leave all of it, so that noise within the rest moves nobody.
	KeptPercent int64
}

// Forecast says how expected use follows from samples.
type Forecast struct {
	Window           time.Duration // samples that count; at least a minute
	CPUPercentile    int64         // 1 to 100, of the maxima of each sixtieth of the window
	MemoryPercentile int64
	SafetyPercent    int64         // added to the percentile; 0 to 1000
	Warm             time.Duration // history that a node needs, and age from which samples have a pod
	Fresh            time.Duration // with the newest sample older than this, requests count
}

// Damping says how the published amounts follow the idle ones.
type Damping struct {
	Notice      time.Duration // the taint stands for this long before the amounts fall
	Settle      time.Duration // and for this long after they last fell
	GrowAfter   time.Duration // a rise is offered when it has held for this long
	GrowPercent int64         // of the nodes' allocatable that one rise offers at most; 1 to 100
	// Amounts are offered in multiples of the larger of Quantum, where zero counts as 1,
	// and QuantumPercent, 0 to 50, of the nodes' allocatable. Coarser means fewer shrinks.
	Quantum        Quantities
	QuantumPercent int64
}

// Config is the policy of an Estimator.
type Config struct {
	Rule     Rule
	Margin   Margin
	Forecast Forecast // unused by RuleRequests
	Damping  Damping
	// Smallest is what a node must have idle, in each resource, to count at all:
	// crumbs of many nodes add up to what no pod can use.
	Smallest Quantities
}

// Defaults returns the policy of those who set nothing.
func Defaults() Config {
	return Config{
		Margin:   Margin{Percent: 10, KeptPercent: 50},
		Forecast: Forecast{Window: time.Hour, CPUPercentile: 95, MemoryPercentile: 98, SafetyPercent: 10, Warm: 10 * time.Minute, Fresh: 2 * time.Minute},
		Damping: Damping{
			Notice: 5 * time.Second, Settle: 10 * time.Second, GrowAfter: 30 * time.Second, GrowPercent: 50,
			QuantumPercent: 2, Quantum: Quantities{MilliCPU: 100, MiB: 128, EphemeralMiB: 1024, Pods: 10},
		},
		Smallest: Quantities{MilliCPU: 100, MiB: 128, Pods: 1},
	}
}

// Check returns what is wrong with c: the field, its value and what is allowed.
func (c *Config) Check() error {
	type bounded struct {
		field            string
		value, low, high int64
	}
	const day = int64(24 * time.Hour)
	checks := []bounded{
		{"rule", int64(c.Rule), 0, int64(ruleCount) - 1},
		{"margin percent", c.Margin.Percent, 0, 100},
		{"margin kept percent", c.Margin.KeptPercent, 0, 100},
		{"notice in nanoseconds", int64(c.Damping.Notice), 0, day},
		{"settle in nanoseconds", int64(c.Damping.Settle), 0, day},
		{"growAfter in nanoseconds", int64(c.Damping.GrowAfter), 0, day},
		{"quantum percent", c.Damping.QuantumPercent, 0, 50},
		{"grow percent", c.Damping.GrowPercent, 1, 100},
	}
	if c.Rule != RuleRequests {
		checks = append(checks,
			bounded{"forecast window in nanoseconds", int64(c.Forecast.Window), int64(time.Minute), 31 * day},
			bounded{"cpu percentile", c.Forecast.CPUPercentile, 1, 100},
			bounded{"memory percentile", c.Forecast.MemoryPercentile, 1, 100},
			bounded{"safety percent", c.Forecast.SafetyPercent, 0, 1000},
			bounded{"warm in nanoseconds", int64(c.Forecast.Warm), 0, int64(c.Forecast.Window)},
			bounded{"fresh in nanoseconds", int64(c.Forecast.Fresh), 1, day})
	}
	for _, b := range checks {
		if b.value < b.low || b.value > b.high {
			return fmt.Errorf("idle capacity: %s is %d: must be %d to %d", b.field, b.value, b.low, b.high)
		}
	}
	for _, q := range []struct {
		field string
		Quantities
	}{{"margin", c.Margin.Least}, {"quantum", c.Damping.Quantum}, {"smallest", c.Smallest}} {
		if !(Quantities{}).Beyond(q.Quantities).Zero() {
			return fmt.Errorf("idle capacity: %s of %s: must not be below zero", q.field, q.Quantities)
		}
	}
	return nil
}

// of returns what the margin is on a node.
func (m *Margin) of(allocatable Quantities) Quantities {
	out := m.Least
	for i := range plainCount {
		if p := out.plain(i); p != &out.Pods {
			*p = max(*p, ceilPercent(*allocatable.plain(i), m.Percent))
		}
	}
	return out
}

// ceilPercent returns percent of n, rounded up; it does not overflow for percents up
// to 1100 and n up to 2^52.
func ceilPercent(n, percent int64) int64 { return (n*percent + 99) / 100 }
