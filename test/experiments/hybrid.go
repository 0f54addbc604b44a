package main

import (
	"fmt"
	"time"

	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// mixed is a week of all presets together.
func mixed() (*trace.Trace, error) {
	return trace.New(trace.Workload{Preset: trace.Mixed, Seed: 1, Spread: trace.SpreadRandom, Days: 7, CallsPerDay: 1_200_000})
}

const mixedIs = "a week of the mixed workload of `trace generate` (online, near-line, inspection and settlement functions of 12 teams, seed 1, about 1.2 million calls a day)"

const nodesAre = "A node has 6.2 cores and 25 GiB and costs $%s an hour, a tenth of the price book's example server (bought, powered and maintained; no people). The cloud is AWS Lambda x86 in us-east-1 at list price. No instances are modelled here: starts cost time, not nodes."

// peakNodes is how many nodes hold the peak of the trace.
func (l *lab) peakNodes(t *trace.Trace, only func(trace.Function) bool) (int64, *simulator.Result, error) {
	r, err := l.simulate(t, setup{boundless: true, mode: "OnPremOnly", step: 15 * time.Minute, only: only})
	if err != nil {
		return 0, nil, err
	}
	own, _ := onPrem(r)
	return nodesFor(float64(own.Peak.MilliCPU), float64(own.Peak.MiB)), r, nil
}

func nodesFor(milliCPU, mib float64) int64 {
	need := max(milliCPU/nodeMilliCPU, mib/nodeMiB)
	n := int64(need)
	if float64(n) < need {
		n++
	}
	return max(n, 1)
}

func hybrid(l *lab) error {
	t, err := mixed()
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }() // it was only read
	peak, _, err := l.peakNodes(t, nil)
	if err != nil {
		return err
	}
	l.say("Method: %s, on platforms of every size from none owned to the peak's. "+nodesAre+"\n", mixedIs, ownedHourly)
	l.head("owned nodes", "calls in the cloud, %", "owned $/month", "cloud $/month", "sum", "of all-cloud, %", "busy share of owned memory and CPU, %")
	type point struct {
		nodes int64
		sum   float64
	}
	var best, none, most point
	for n := int64(0); n <= peak; n = next(n, peak) {
		s := setup{nodes: n}
		if n == 0 {
			s.mode = "CloudOnly"
		}
		r, err := l.simulate(t, s)
		if err != nil {
			return err
		}
		owned, cloud := monthly(r, amount(&r.OwnedCost)), monthly(r, amount(&r.CloudCost))
		p := point{nodes: n, sum: owned + cloud}
		if n == 0 {
			none = p
		}
		if most = p; n == 0 || p.sum < best.sum {
			best = p
		}
		share := 100 * float64(pool(r, "lambda").Executed) / float64(r.Placed)
		l.row(n, fmt.Sprintf("%.2f", share), fmt.Sprintf("%.0f", owned), fmt.Sprintf("%.0f", cloud), fmt.Sprintf("%.0f", p.sum), fmt.Sprintf("%.1f", 100*p.sum/none.sum), busyOf(r))
	}
	l.say(`
## What holds

- Both halves hold on this workload. The best of the sizes tried is %d nodes: %.0f %% cheaper than all in the cloud, and %.0f %% cheaper than owning the %d nodes of the peak. Published hybrids say −53 %% (LIBRA) and 40.5 %% of the public-only cost (Skedulix).
- Most of it comes from owning what is busy all day; the burst then is a small bill for the few hours that would have needed the last nodes.
- What does not hold is "hybrid is cheaper" by itself: beyond the best size every further node costs more than the calls that it takes back.
- The ratio to all-cloud depends on the load filling nodes: a node that is busy less than its break-even share of the time is dearer than Lambda. A team far smaller than one node has nothing to gain from owning it.
- Not counted: people, network, and the room that packing and warm instances need on nodes. Each moves the best size down or the owned cost up.
`, best.nodes, 100*(1-best.sum/none.sum), 100*(1-best.sum/most.sum), most.nodes)
	return nil
}

// next visits every size while they are few, and ever fewer of more.
func next(n, last int64) int64 {
	step := max(1, n/6)
	if n < last && n+step > last {
		return last
	}
	return n + step
}

// busyOf is how much of the owned memory and CPU executions used on the mean.
func busyOf(r *simulator.Result) string {
	own, p := onPrem(r)
	if own == nil {
		return "–"
	}
	memory, cpu := used(r)
	return fmt.Sprintf("%.0f, %.0f", 100*memory/float64(p.Capacity.MiB), 100*cpu/float64(p.Capacity.MilliCPU))
}

// used is the mean of what executions used on-prem, in MiB and milliCPU.
func used(r *simulator.Result) (mib, milliCPU float64) {
	for i := range r.Series {
		u := r.Series[i].Use[onPremClass]
		mib += float64(u.MiB)
		milliCPU += float64(u.MilliCPU)
	}
	micros := float64(r.Length.Microseconds())
	return mib / micros, milliCPU / micros
}
