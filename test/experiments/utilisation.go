package main

import (
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

const onPremClass = spillway.ClassOnPrem

func utilisation(l *lab) error {
	t, err := mixed()
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }() // it was only read
	own, teams := int64(0), []string{}
	seen := map[string]bool{}
	for _, f := range t.Functions() {
		if !seen[f.Tenant] {
			seen[f.Tenant] = true
			teams = append(teams, f.Tenant)
		}
	}
	for _, team := range teams {
		n, _, err := l.peakNodes(t, func(f trace.Function) bool { return f.Tenant == team })
		if err != nil {
			return err
		}
		own += n
	}
	peak, r, err := l.peakNodes(t, nil)
	if err != nil {
		return err
	}
	memory, cpu := used(r)
	l.say(`The claim (a finance company's own platform): elastic scaling on Kubernetes raised the utilisation of resources by 40 %%.

Method: %s. `+nodesAre+` Utilisation is what executions used of the scarcer resource, on the mean over the week, as a share of what is owned.
`, mixedIs, ownedHourly)
	l.head("platform", "nodes", "busy share, %", "against the first line, %", "calls in the cloud, %")
	first := busyShare(memory, cpu, own)
	line := func(name string, n int64, busy, cloud float64) {
		l.row(name, n, fmt.Sprintf("%.1f", 100*busy), fmt.Sprintf("%+.0f", 100*(busy/first-1)), fmt.Sprintf("%.2f", cloud))
	}
	line(fmt.Sprintf("each of %d teams owns nodes for its own peak", len(teams)), own, first, 0)
	line("one platform, nodes for the joint peak", peak, busyShare(memory, cpu, peak), 0)
	type point struct {
		nodes int64
		busy  float64
	}
	var half point
	for _, percent := range []int64{75, 50, 35, 25, 15} {
		n := max(1, (peak*percent+50)/100)
		r, err := l.simulate(t, setup{nodes: n, step: 15 * time.Minute})
		if err != nil {
			return err
		}
		memory, cpu := used(r)
		busy := busyShare(memory, cpu, n)
		if percent == 50 {
			half = point{n, busy}
		}
		line(fmt.Sprintf("hybrid, %d %% of the joint peak owned", percent), n, busy, cloudShare(r))
	}
	l.say(`
## What holds

- A gain of 40 %% is reached here already by sharing: from nodes per team to one platform it is %+.0f %%. It depends on when the teams' peaks fall: teams that peak together gain nothing.
- Overflow gains more than sharing: with half of the joint peak owned the gain is %+.0f %%. That is not magic but the missing half, which stood idle most of the time.
- "+40 %%" without a base says little. From %.0f %% busy it is a good deal to gain; a platform at 60 %% has no such gain left. XFaaS (SOSP 2023) reports a daily mean of 66 %% by moving work in time, which is not modelled here.
- Not counted: memory of idle instances, which keep-alive takes from the same nodes (see the page on keep-alive), and packing: a node is taken to be full at 100 %%.
`, 100*(busyShare(memory, cpu, peak)/first-1), 100*(half.busy/first-1), 100*first)
	return nil
}

func busyShare(mib, milliCPU float64, nodes int64) float64 {
	return max(mib/float64(nodes*nodeMiB), milliCPU/float64(nodes*nodeMilliCPU))
}

func cloudShare(r *simulator.Result) float64 {
	return 100 * float64(pool(r, "lambda").Executed) / float64(r.Placed)
}
