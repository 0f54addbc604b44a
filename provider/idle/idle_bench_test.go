package idle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/provider/idle"
)

const benchNodes, benchPods = 1000, 10_000

func benchCluster(b *testing.B, rule idle.Rule) *idle.Estimator {
	b.Helper()
	c := idle.Defaults()
	c.Rule = rule
	e, err := idle.New(c)
	if err != nil {
		b.Fatal(err)
	}
	for i := range benchNodes {
		n := idle.Node{Name: fmt.Sprint("n", i), Eligible: true, Allocatable: idle.Quantities{MilliCPU: 16_000, MiB: 65_536, EphemeralMiB: 100_000, Pods: 110}}
		if i%10 == 0 {
			n.Allocatable.Extended = idle.ExtendedOf(map[string]int64{gpu: 8})
		}
		e.SetNode(n)
	}
	for i := range benchPods {
		p := idle.Pod{UID: fmt.Sprint("p", i), Node: fmt.Sprint("n", i%benchNodes), Needs: idle.Quantities{MilliCPU: 500, MiB: 1024}, Since: epoch}
		if i%10 == 9 {
			p.Role = idle.Guest
		}
		e.SetPod(p)
	}
	return e
}

// BenchmarkLook is one pod that changes and a Look.
func BenchmarkLook(b *testing.B) {
	e := benchCluster(b, idle.RuleRequests)
	now := epoch
	for b.Loop() {
		now = now.Add(time.Second)
		e.SetPod(idle.Pod{UID: "p1", Node: "n1", Needs: idle.Quantities{MilliCPU: 500 + int64(now)%2, MiB: 1024}})
		e.Look(now)
	}
}

// BenchmarkLookAllSampled is a Look after a sample of every node, by usage.
func BenchmarkLookAllSampled(b *testing.B) {
	e := benchCluster(b, idle.RuleUsage)
	names := make([]string, benchNodes)
	for i := range names {
		names[i] = fmt.Sprint("n", i)
	}
	now := epoch
	for b.Loop() {
		now = now.Add(15 * time.Second)
		for _, name := range names {
			e.Sample(name, idle.Usage{At: now, MilliCPU: int64(now) % 9000, MiB: 9000})
		}
		e.Look(now)
	}
}

// BenchmarkTold is an estimator told of the whole cluster, and its first Look.
func BenchmarkTold(b *testing.B) {
	for b.Loop() {
		benchCluster(b, idle.RuleRequests).Look(epoch)
	}
}

// BenchmarkVictims is a node of twelve guests, of which every set is looked at.
func BenchmarkVictims(b *testing.B) {
	var guests []idle.GuestFacts
	for i := range 12 {
		guests = append(guests, idle.GuestFacts{UID: fmt.Sprint(i), Node: "n", Holds: idle.Quantities{MilliCPU: int64(500 + 100*i), MiB: 512, Pods: 1}, Started: epoch, Movable: true})
	}
	for b.Loop() {
		idle.Victims(epoch.Add(time.Minute), idle.Pressure{Node: "n", Need: idle.Quantities{MilliCPU: 5000, MiB: 1000}}, guests)
	}
}
