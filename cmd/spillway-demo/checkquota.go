package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spillway-dev/spillway"
)

// peak is the most spans at once. One that ends when another begins does not
// count with it.
func peak(spans []span) int {
	type edge struct {
		at    int64
		delta int
	}
	edges := make([]edge, 0, 2*len(spans))
	for _, s := range spans {
		edges = append(edges, edge{s.from, 1}, edge{s.to, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.delta, b.delta)) })
	now, most := 0, 0
	for _, e := range edges {
		now += e.delta
		most = max(most, now)
	}
	return most
}

// checkQuota compares the most that ran at once, as the executors saw it, with
// every limit on slots: quota nodes and pools.
func checkQuota(e *evidence) check {
	var f findings
	var seen [spillway.ClassCount][]string
	hold := func(class spillway.Class, name string, got int, limit int64) {
		if limit == spillway.Unlimited {
			return
		}
		seen[class] = append(seen[class], fmt.Sprintf("%s %d/%d", name, got, limit))
		if int64(got) > limit {
			f.miss("%s, %s: %d at once, the limit is %d", name, class, got, limit)
		}
	}
	for class, spans := range [spillway.ClassCount][]span{spillway.ClassOnPrem: e.onPrem, spillway.ClassCloud: e.remote()} {
		under := e.spansByNode(spans)
		for i, node := range e.platform.Quotas {
			hold(spillway.Class(class), node.Name, peak(under[i]), node.Nominal[class].Slots)
		}
	}
	for _, p := range e.platform.Pools {
		if !p.Kind.Cloud() {
			hold(p.Class(), "pool "+p.Name, peak(e.onPrem), p.Capacity.Slots)
		}
	}
	for i := range e.clouds {
		e.holdStandIn(&f, &e.clouds[i])
	}
	unended := 0
	for _, s := range slices.Concat(e.onPrem, e.remote()) {
		if !s.ended {
			unended++
		}
	}
	detail := "most at once: on-prem " + strings.Join(seen[spillway.ClassOnPrem], " ") + "; cloud " + strings.Join(seen[spillway.ClassCloud], " ")
	if unended > 0 {
		detail += fmt.Sprintf("; %d killed before they logged an end", unended)
	}
	return f.check("quota overshoot 0, as seen by the executors", "%s", detail)
}

// spansByNode puts each span under the quota nodes of its call's namespace.
func (e *evidence) spansByNode(spans []span) map[int][]span {
	leaf := map[string]int{}
	for _, ns := range e.platform.Namespaces {
		leaf[ns.Name] = ns.Quota
	}
	answers, under := e.byInvocation(), map[int][]span{}
	for _, s := range spans {
		a := answers[s.Invocation]
		if a == nil {
			continue // reported by checkExecutions
		}
		for q := leaf[a.Namespace]; q >= 0; q = e.platform.Quotas[q].Parent {
			under[q] = append(under[q], s)
		}
	}
	return under
}

// holdStandIn compares a stand-in's own peaks: of each function with the quota of
// its namespace, of the account with the roots of the tree.
func (e *evidence) holdStandIn(f *findings, c *cloudSide) {
	cloudSlots := func(q int) int64 { return e.platform.Quotas[q].Nominal[spillway.ClassCloud].Slots }
	for _, fn := range e.platform.Functions {
		q := e.platform.Namespaces[fn.Namespace].Quota
		for _, seen := range c.state.Functions {
			if q >= 0 && e.pool(c.pool) != nil && fn.Bindings[e.pool(c.pool).Index].Name == seen.Name && int64(seen.PeakConcurrency) > cloudSlots(q) {
				f.miss("%s saw %d of %s at once, %s has %d cloud slots", c.pool, seen.PeakConcurrency, fn, e.platform.Quotas[q].Name, cloudSlots(q))
			}
		}
	}
	var all int64
	for q, node := range e.platform.Quotas {
		switch {
		case node.Parent >= 0:
		case cloudSlots(q) == spillway.Unlimited:
			return
		default:
			all += cloudSlots(q)
		}
	}
	if int64(c.state.PeakConcurrency) > all {
		f.miss("%s saw %d calls at once, all quotas together have %d cloud slots", c.pool, c.state.PeakConcurrency, all)
	}
}
