package idle

import (
	"slices"

	"github.com/spillway-dev/spillway"
)

// terms are the parts of one node's resources, or of all nodes'.
//
//	allocatable = online + margin + stranded + idle, over eligible nodes
type terms struct {
	allocatable Quantities
	online      Quantities // as the rule counts it, at most the allocatable
	margin      Quantities // what is left of it
	stranded    Quantities // free, but of a node that has too little of something
	idle        Quantities // what guests may have; what they have is part of it

	guests        Quantities // what guests and instances hold
	instances     Quantities
	offer         Quantities // idle, but never less than guests hold
	unschedulable Quantities // idle that the scheduler holds for requests

	eligible int64 // nodes
	pressed  int64 // nodes whose guests must give something back
}

func (t *terms) apply(o *terms, f func(a, b int64) int64) {
	for _, p := range [...][2]*Quantities{
		{&t.allocatable, &o.allocatable}, {&t.online, &o.online}, {&t.margin, &o.margin},
		{&t.stranded, &o.stranded}, {&t.idle, &o.idle}, {&t.guests, &o.guests},
		{&t.instances, &o.instances}, {&t.offer, &o.offer}, {&t.unschedulable, &o.unschedulable},
	} {
		*p[0] = combine(*p[0], *p[1], f)
	}
	t.eligible, t.pressed = f(t.eligible, o.eligible), f(t.pressed, o.pressed)
}

func (t *terms) add(o *terms)      { t.apply(o, func(a, b int64) int64 { return a + b }) }
func (t *terms) subtract(o *terms) { t.apply(o, func(a, b int64) int64 { return a - b }) }

// refresh works out the terms of nodes that changed or whose terms lapsed, and says
// when the next ones lapse.
func (e *Estimator) refresh(now spillway.Instant) spillway.Instant {
	again := spillway.Never
	for _, n := range e.nodes {
		if n.dirty || n.recheck <= now {
			e.total.subtract(&n.terms)
			e.work(n, now)
			e.total.add(&n.terms)
			n.dirty = false
		}
		again = min(again, n.recheck)
	}
	return again
}

func (e *Estimator) work(n *node, now spillway.Instant) {
	n.recheck = spillway.Never
	t := terms{guests: n.guests, instances: n.instances, offer: n.guests}
	n.need = Quantities{}
	if !n.known || !n.Eligible {
		n.terms = t
		return
	}
	t.eligible, t.allocatable = 1, n.Allocatable
	t.online = e.onlineOf(n, now).Smaller(n.Allocatable)
	free := n.Allocatable.Minus(t.online)
	margin := e.config.Margin.of(n.Allocatable)
	t.margin = margin.Smaller(free)
	t.idle = free.Minus(t.margin)
	if !e.useful(t.idle) {
		t.idle, t.stranded = t.stranded, t.idle
	}
	t.offer = t.idle.Larger(n.guests)
	t.unschedulable = t.idle.Smaller(t.idle.Minus(n.Allocatable.Beyond(n.online))).Larger(Quantities{})
	kept := combine(margin, margin, func(a, _ int64) int64 { return ceilPercent(a, e.config.Margin.KeptPercent) })
	if !n.guests.Within(free.Minus(kept)) {
		t.pressed = 1
		n.need = n.guests.Beyond(free.Minus(margin))
	}
	n.terms = t
}

// useful reports whether a guest can use what a node has idle: cpu, memory and a pod's
// place, and no less than the smallest that counts.
func (e *Estimator) useful(q Quantities) bool {
	return q.MilliCPU > 0 && q.MiB > 0 && q.Pods > 0 && e.config.Smallest.Within(q)
}

// onlineOf is the online part of a node by the rule; where samples say too little it
// is what pods asked for, or the newest sample if that is more.
func (e *Estimator) onlineOf(n *node, now spillway.Instant) Quantities {
	if e.config.Rule == RuleRequests {
		return n.online
	}
	out := n.online
	p := n.peaks
	if p == nil {
		return out
	}
	// The oldest bucket leaves the window when a new one begins.
	n.recheck = spillway.Instant((int64(now)/int64(e.width) + 1) * int64(e.width))
	stale := p.newest.At.Add(e.config.Forecast.Fresh + 1)
	if stale <= now {
		return out
	}
	n.recheck = min(n.recheck, stale)
	cpu, mib, known := p.expected(now, &e.config.Forecast, e.width)
	if !known {
		return out.Larger(Quantities{MilliCPU: p.newest.MilliCPU, MiB: p.newest.MiB})
	}
	n.young = slices.DeleteFunc(n.young, func(y young) bool { return y.until <= now })
	for i := range n.young {
		cpu, mib = cpu+n.young[i].needs.MilliCPU, mib+n.young[i].needs.MiB
		n.recheck = min(n.recheck, n.young[i].until)
	}
	if e.config.Rule == RuleLarger {
		cpu, mib = max(cpu, out.MilliCPU), max(mib, out.MiB)
	}
	out.MilliCPU, out.MiB = cpu, mib
	return out
}
