package idle

import (
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
)

// State is where a shrink of the virtual node stands.
type State uint8

const (
	// Steady: nothing is to be given back.
	Steady State = iota
	// Announced: the reclaiming taint stands, the amounts are still the old ones.
	Announced
	// Shrunk: the amounts are the new ones. The taint stands until guests hold no
	// more than is idle and nothing has fallen for a while.
	Shrunk
)

func (s State) String() string { return [...]string{"steady", "announced", "shrunk"}[s] }

// damping follows targets: down after a notice, up when a rise has held.
//
// What was announced happens, also if the target has recovered meanwhile, and a rise
// leaves half a quantum to spare. So between two rises a resource falls at most once
// per quantum of noise, rises are GrowAfter apart, and noise of less than half a
// quantum comes to rest.
type damping struct {
	config   Damping
	started  bool
	state    State
	since    spillway.Instant // of the state; of the last fall while shrunk
	plain    [plainCount]damper
	extended []namedDamper // sorted by name
}

type namedDamper struct {
	name string
	damper
}

type damper struct {
	offered int64
	low     int64 // the least target since the announcement
	rising  bool
	since   spillway.Instant // of the rise
	floor   int64            // the least goal of the rise
}

// motion is what one resource is to follow.
type motion struct {
	*damper
	target int64 // rounded down to the quantum
	goal   int64 // of a rise: what leaves half a quantum to spare
	step   int64 // the most that one rise adds
}

// down rounds n down to a multiple of quantum, and to zero from below.
func down(n, quantum int64) int64 { return max(0, n-n%quantum) }

// motions pairs every damper with its target.
func (d *damping) motions(target, allocatable Quantities) []motion {
	for _, c := range target.Extended {
		i, ok := slices.BinarySearchFunc(d.extended, c.Name, func(n namedDamper, name string) int { return strings.Compare(n.name, name) })
		if !ok {
			d.extended = slices.Insert(d.extended, i, namedDamper{name: c.Name})
		}
	}
	out := make([]motion, 0, plainCount+len(d.extended))
	add := func(at *damper, target, allocatable, quantum int64) {
		quantum = max(1, quantum, allocatable*d.config.QuantumPercent/100)
		out = append(out, motion{
			damper: at, target: down(target, quantum), goal: down(target-quantum/2, quantum),
			step: max(quantum, down(allocatable*d.config.GrowPercent/100, quantum)),
		})
	}
	for i := range plainCount {
		add(&d.plain[i], *target.plain(i), *allocatable.plain(i), *d.config.Quantum.plain(i))
	}
	for i := range d.extended {
		n := &d.extended[i]
		add(&n.damper, target.Extended.Of(n.name), allocatable.Extended.Of(n.name), d.config.Quantum.Extended.Of(n.name))
	}
	return out
}

// start offers what there is, or what was offered before this process began.
func (d *damping) start(now spillway.Instant, target, allocatable Quantities, resumed *Quantities) {
	d.started, d.since = true, now
	if resumed != nil {
		target = *resumed
	}
	for _, m := range d.motions(target, allocatable) {
		m.offered = m.target
	}
}

// follow moves what is offered. pressed says that guests must give something back.
func (d *damping) follow(now spillway.Instant, target, allocatable Quantities, pressed bool) {
	motions := d.motions(target, allocatable)
	short := func(m motion) bool { return m.target < m.offered }
	if d.state == Steady && (pressed || slices.ContainsFunc(motions, short)) {
		d.state, d.since = Announced, now
		for _, m := range motions {
			m.low = m.offered
		}
	}
	if d.state == Announced {
		for _, m := range motions {
			m.low = min(m.low, m.target)
		}
		if now.Sub(d.since) >= d.config.Notice {
			d.state, d.since = Shrunk, now
			for _, m := range motions {
				m.offered = min(m.offered, m.low)
			}
		}
	}
	if d.state == Shrunk {
		d.settle(now, motions, pressed)
	}
	for _, m := range motions {
		m.rise(now, d.config.GrowAfter, d.state != Announced)
	}
	d.extended = slices.DeleteFunc(d.extended, func(n namedDamper) bool {
		return n.offered == 0 && target.Extended.Of(n.name) == 0
	})
}

func (d *damping) settle(now spillway.Instant, motions []motion, pressed bool) {
	for _, m := range motions {
		if m.target < m.offered {
			m.offered, d.since = m.target, now
		}
	}
	if pressed {
		d.since = now
	} else if now.Sub(d.since) >= d.config.Settle {
		d.state, d.since = Steady, now
	}
}

func (m motion) rise(now spillway.Instant, after time.Duration, allowed bool) {
	if m.goal <= m.offered {
		m.rising = false
		return
	}
	if !m.rising {
		m.rising, m.since, m.floor = true, now, m.goal
	}
	m.floor = min(m.floor, m.goal)
	if allowed && now.Sub(m.since) >= after {
		m.offered = min(m.floor, m.offered+m.step)
		m.since, m.floor, m.rising = now, m.goal, m.goal > m.offered
	}
}

// offered is what is promised of what is idle.
func (d *damping) offered() Quantities {
	var q Quantities
	for i := range plainCount {
		*q.plain(i) = d.plain[i].offered
	}
	for i := range d.extended {
		if n := &d.extended[i]; n.offered != 0 {
			q.Extended = append(q.Extended, Count{n.name, n.offered})
		}
	}
	return q
}

// again is when something moves by itself.
func (d *damping) again() spillway.Instant {
	at := spillway.Never
	switch d.state {
	case Announced:
		return d.since.Add(d.config.Notice) // nothing rises before
	case Shrunk:
		at = d.since.Add(d.config.Settle)
	}
	wait := func(m *damper) {
		if m.rising {
			at = min(at, m.since.Add(d.config.GrowAfter))
		}
	}
	for i := range d.plain {
		wait(&d.plain[i])
	}
	for i := range d.extended {
		wait(&d.extended[i].damper)
	}
	return at
}
