package idle

import (
	"cmp"
	"slices"
)

// Pieces returns what each eligible node had for guests at the last Look, by name.
// Nodes without anything are not in it.
func (e *Estimator) Pieces() []Piece {
	out := make([]Piece, 0, len(e.nodes))
	for _, n := range e.nodes {
		if !n.terms.idle.Zero() {
			out = append(out, n.piece())
		}
	}
	slices.SortFunc(out, func(a, b Piece) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// Room says where a pod of some size could run.
type Room uint8

const (
	// RoomNever: of the nodes that are eligible or away none is as large, even with nothing
	// on it but the margin.
	RoomNever Room = iota
	// RoomAway: no eligible node is as large; one that is away is, or none is known.
	RoomAway
	// RoomReclaimed: it would fit where online pods or other guests are now.
	RoomReclaimed
	// RoomNow: it fits into what is free on one node.
	RoomNow
)

func (r Room) String() string { return [...]string{"never", "away", "later", "now"}[r] }

// Fits says, as of the last Look, whether one node has room for a pod, and which one
// it would fill best: least cpu left, then least memory, then by name. The sum over
// nodes may hold a pod that no node does, and the scheduler sees the sum only; whoever
// admits pods asks this first and lets the others wait.
func (e *Estimator) Fits(needs Quantities) (Room, string) {
	needs.Pods = 1
	room, best, some := RoomNever, "", false
	var left Quantities
	for _, n := range e.nodes {
		if !n.known || !n.Eligible && !n.Away {
			continue
		}
		some = true
		if free := n.terms.idle.Beyond(n.guests); n.Eligible && needs.Within(free) {
			rest := free.Minus(needs)
			if room != RoomNow || larger(left, n.Name, rest, best) {
				room, best, left = RoomNow, n.Name, rest
			}
			continue
		}
		could := RoomAway
		if n.Eligible {
			could = RoomReclaimed
		}
		if room < could && needs.Within(n.Allocatable.Minus(e.config.Margin.of(n.Allocatable))) {
			room = could
		}
	}
	if !some {
		room = RoomAway
	}
	return room, best
}

// Pressure is what guests of one node must give back to online work.
type Pressure struct {
	Node string
	Need Quantities
}

// Pressures returns, as of the last Look, the nodes whose guests hold more than the
// kept part of the margin allows, by name, and what frees the whole margin again.
func (e *Estimator) Pressures() []Pressure {
	var out []Pressure
	for _, n := range e.nodes {
		if n.terms.pressed > 0 {
			out = append(out, Pressure{n.Name, n.need})
		}
	}
	slices.SortFunc(out, func(a, b Pressure) int { return cmp.Compare(a.Node, b.Node) })
	return out
}
