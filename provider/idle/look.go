package idle

import "github.com/spillway-dev/spillway"

// Report is what one Look found.
type Report struct {
	State      State
	Since      spillway.Instant // of the state; while shrunk of the last fall
	Reclaiming bool             // the taint spillway.dev/reclaiming is wanted

	// Published is what the virtual node has: Offered without what instances of offline
	// functions hold, with what virtual pods in clouds do, and never less than what its
	// pods ask for together.
	Published Quantities
	// Offered is what guests and instances may hold together: Idle or what they hold
	// already, node by node, damped.
	Offered Quantities
	// Present is the part of Offered that is there now: a fall that is only announced is
	// in Offered still, and nobody new is to be admitted into it.
	Present Quantities

	// The terms, over eligible nodes. Allocatable is the sum of the four below it.
	Allocatable Quantities
	Online      Quantities // as the rule counts it, no more than each node has
	Margin      Quantities // what is left of it
	Stranded    Quantities // free on nodes that have too little of something to count
	Idle        Quantities

	Guests        Quantities // what guests and instances hold, on all nodes
	Instances     Quantities // the part of instances
	Allocated     Quantities // what virtual pods ask for
	Cloud         Quantities // the part of those that run in clouds
	Damped        Quantities // idle and not offered yet
	Owed          Quantities // offered and not idle: to fall after the notice, or held by guests
	Unschedulable Quantities // idle that pods have asked for, so that the scheduler binds nothing there
	// Largest is what one more guest finds at most, on the node of that name: by cpu,
	// then memory, then name.
	Largest Piece

	Eligible int64            // nodes
	Pressed  int64            // nodes whose guests must give something back: see Pressures
	Again    spillway.Instant // when to look again if nothing changes; Never if nothing will
}

// Piece is what one node has for guests.
type Piece struct {
	Node string
	Idle Quantities // with what guests hold of it
	Free Quantities // without
}

// Look works out what the virtual node has at now, which must not run backwards. It
// moves the damping on, so it is called after changes and when the last Report says.
func (e *Estimator) Look(now spillway.Instant) Report {
	lapse := e.refresh(now)
	t, d := &e.total, &e.damping
	if !d.started {
		d.start(now, t.offer, t.allocatable, e.earlier())
	}
	d.follow(now, t.offer, t.allocatable, t.pressed > 0)
	offered := d.offered()
	return Report{
		State: d.state, Since: d.since, Reclaiming: d.state != Steady,
		Published:   offered.Beyond(t.instances).Plus(e.cloud).Larger(e.allocated),
		Offered:     offered,
		Present:     offered.Smaller(t.offer),
		Allocatable: t.allocatable, Online: t.online, Margin: t.margin, Stranded: t.stranded, Idle: t.idle,
		Guests: t.guests, Instances: t.instances, Allocated: e.allocated, Cloud: e.cloud,
		Damped: t.idle.Beyond(offered), Owed: offered.Beyond(t.idle), Unschedulable: t.unschedulable,
		Largest:  e.largest(),
		Eligible: t.eligible, Pressed: t.pressed,
		Again: min(lapse, d.again()),
	}
}

// earlier is what was offered when this process began, read from what was published.
func (e *Estimator) earlier() *Quantities {
	if e.resumed == nil {
		return nil
	}
	q := e.resumed.Beyond(e.cloud).Plus(e.total.instances)
	return &q
}

func (n *node) piece() Piece {
	return Piece{Node: n.Name, Idle: n.terms.idle, Free: n.terms.idle.Beyond(n.guests)}
}

func (e *Estimator) largest() Piece {
	var most *node
	var free Quantities
	for _, n := range e.nodes {
		if n.terms.idle.MilliCPU == 0 {
			continue
		}
		q := n.terms.idle.Beyond(n.guests)
		if q.MilliCPU > 0 && (most == nil || larger(q, n.Name, free, most.Name)) {
			most, free = n, q
		}
	}
	if most == nil {
		return Piece{}
	}
	return most.piece()
}

func larger(q Quantities, name string, than Quantities, thanName string) bool {
	switch {
	case q.MilliCPU != than.MilliCPU:
		return q.MilliCPU > than.MilliCPU
	case q.MiB != than.MiB:
		return q.MiB > than.MiB
	}
	return name < thanName
}
