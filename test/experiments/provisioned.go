package main

import (
	"fmt"
	"time"

	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// slowStart is that of a runtime whose start shows: its median is near the claim.
func slowStart(m *simulator.PoolModel) {
	m.Cold = []simulator.ColdStep{{Name: "start", P50: 2 * time.Second, P99: 3 * time.Second}}
}

func provisioned(l *lab) error {
	l.say(`The claim (a shop's payment function, as retold by a guide to private FaaS): keeping 10 %% of the peak's instances started took its P99 from 2.3 s to 350 ms.

Method: one function of the online workload (daily and weekly season, bursts), a week, at five rates. A start takes 2 s in the median and 3 s at P99, as the claim suggests. Idle instances are kept for two minutes; then a share of the peak of the last one to two hours stays started as well (keepAlivePolicy provisioned). Latency is from admission to answer.
`)
	l.head("calls a day", "policy", "calls that met a start, %", "P95", "P99", "P99.9", "idle GiB·h")
	for _, perDay := range []int64{20, 300, 3_000, 30_000, 300_000} {
		if err := l.provisionedAt(perDay); err != nil {
			return err
		}
	}
	l.say(`
## What holds

- The shape of the claim holds in between: at 3,000 calls a day 2.9 %% of calls meet a start, so P99 is a start; with a tenth of the peak it is the execution. Where more than 1 %% of calls meet a start and the provisioned instances take most of them, and only there, P99 moves by a factor like the claimed one.
- How much is provisioned decides little, how often the function is called decides nearly all: a tenth of the peak, rounded up, is one instance here, and one is all there is to gain. Half or all of the peak buys next to nothing more and costs memory.
- It does not hold for a busy function: from 30,000 calls a day on, two minutes of keep-alive leave no starts at P99, with or without a share provisioned.
- It does not hold for a function that is called some times a day: a peak that is forgotten after two hours keeps nothing for the first call after that. A fixed minimum (minWarm) is meant for it, and costs an instance all day.
- The 350 ms themselves say nothing of a policy: they are the execution time of that shop's function, as 0.6 s is of this one.
`)
	return nil
}

func (l *lab) provisionedAt(perDay int64) error {
	t, err := trace.New(trace.Workload{Preset: trace.Online, Seed: 1, Spread: trace.SpreadRandom, Days: 7, Functions: 1, Tenants: 1, CallsPerDay: perDay})
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }() // it was only read
	for _, p := range []struct{ name, yaml string }{
		{"fixed 2 min", ""},
		{"10 % of the peak", "{kind: provisioned, share: 10}"},
		{"50 % of the peak", "{kind: provisioned, share: 50}"},
		{"100 % of the peak", "{kind: provisioned, share: 100}"},
	} {
		r, err := l.simulate(t, setup{boundless: true, mode: "OnPremOnly", keepAlive: 2 * time.Minute, policy: p.yaml, cold: true, model: slowStart})
		if err != nil {
			return err
		}
		own, _ := onPrem(r)
		l.row(perDay, p.name, fmt.Sprintf("%.2f", 100*float64(own.Cold)/float64(r.Placed)), millis(r.Latency.Quantile(.95)), millis(r.Latency.Quantile(.99)),
			millis(r.Latency.Quantile(.999)), fmt.Sprintf("%.1f", own.HeldGiBHours-own.BusyGiBHours))
	}
	return nil
}

func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
