// Package quota is the tree of limits that every call reserves from: vectors of
// what runs at once, and money per calendar window. It is pure: callers pass the
// time, nothing is locked, nothing blocks.
//
// The words are those of two-phase accounting. Check asks, Reserve takes slots and
// money at the worst case, Release gives slots back and settles the money. What is reserved or spent never exceeds a limit.
package quota

import "github.com/spillway-dev/spillway"

// None is the leaf of a namespace outside every quota: it is not limited in
// slots, and may not spend.
const None = -1

// Tree holds the use of every node. It is not safe for concurrent use.
type Tree struct {
	nodes []node
}

type node struct {
	name   string
	parent int
	// limit is what the node may hold at most: its nominal and what it may borrow.
	// keep is the part of its nominal that others may not use.
	limit, keep [spillway.ClassCount]spillway.Resources
	// used is what calls hold at the node and below; held counts a child that keeps
	// more than it uses with what it keeps.
	used, held [spillway.ClassCount]spillway.Resources
	budgets    []account
}

// New builds an empty tree over the nodes, parents before children. A node without
// a nominal of its own, whose children borrow, has what they have together.
func New(nodes []spillway.QuotaNode) *Tree {
	t := &Tree{nodes: make([]node, len(nodes))}
	for i, n := range nodes {
		t.nodes[i] = node{name: n.Name, parent: n.Parent, limit: n.Nominal}
		for _, b := range n.Budgets {
			t.nodes[i].budgets = append(t.nodes[i].budgets, account{Budget: b})
		}
	}
	for class := range spillway.ClassCount {
		t.lend(nodes, class)
	}
	return t
}

// lend works out limits and what is kept, children before parents.
func (t *Tree) lend(nodes []spillway.QuotaNode, class spillway.Class) {
	children := make([]spillway.Resources, len(nodes)) // nominals, summed
	borrow := make([]bool, len(nodes))                 // whether a child does
	for i := len(nodes) - 1; i >= 0; i-- {
		n, q := &t.nodes[i], &nodes[i]
		nominal := q.Nominal[class]
		if borrow[i] {
			nominal = orElse(nominal, children[i])
		}
		n.limit[class] = plus(nominal, q.Borrowing[class])
		n.keep[class] = q.Keep[class]
		if p := n.parent; p != None {
			children[p] = plus(children[p], nominal)
			borrow[p] = borrow[p] || q.Borrowing[class] != spillway.Resources{}
			t.nodes[p].held[class] = t.nodes[p].held[class].Add(most(n.held[class], n.keep[class]))
		}
	}
}

// Ask is what one attempt wants to hold.
type Ask struct {
	Leaf     int // node of the namespace, or None
	Purse    int // position plus one of a node whose budgets bind beside those of Leaf; zero: none
	Class    spillway.Class
	Need     spillway.Resources
	Money    spillway.Nano    // worst case; zero for pools that are not paid per call
	Admitted spillway.Instant // decides the budget windows
}

// Blocked says which limit an Ask would break.
type Blocked struct {
	Limit    spillway.Limit
	Redirect bool // a budget that sends calls on-prem rather than refusing them
}

// Check reports whether the ask fits now, and if not, writes the first limit in
// its way, from the leaf upwards, to blocked.
func (t *Tree) Check(ask *Ask, blocked *Blocked) bool {
	funded := ask.Money == 0
	more := ask.Need
	for i := ask.Leaf; i != None; i = t.nodes[i].parent {
		n := &t.nodes[i]
		limit, held := n.limit[ask.Class], n.held[ask.Class]
		if dim := limit.Exceeds(held, more); dim != spillway.DimNone {
			*blocked = Blocked{Limit: spillway.Limit{
				Kind: spillway.LimitQuota, Name: n.name, Class: ask.Class, Dim: dim,
				Used: held.Of(dim), Need: more.Of(dim), Max: limit.Of(dim),
			}}
			return false
		}
		more = n.passOn(ask.Class, held, more)
		if ask.Money == 0 {
			continue
		}
		funded = funded || len(n.budgets) > 0
		if !n.afford(ask, spillway.LimitBudget, blocked) {
			return false
		}
	}
	if !funded {
		*blocked = Blocked{Limit: spillway.Limit{Kind: spillway.LimitNoBudget, Class: ask.Class, Need: int64(ask.Money)}}
		return false
	}
	return ask.Purse == 0 || ask.Money == 0 || t.nodes[ask.Purse-1].afford(ask, spillway.LimitBurstSpend, blocked)
}

// passOn is what holding more at n adds to its parent: nothing while n stays
// within what it keeps.
func (n *node) passOn(class spillway.Class, held, more spillway.Resources) spillway.Resources {
	keep := n.keep[class]
	if keep == (spillway.Resources{}) {
		return more
	}
	return most(held.Add(more), keep).Sub(most(held, keep))
}

// afford reports whether the ask's money fits every budget of n. A spent purse only stops
// bursting.
func (n *node) afford(ask *Ask, kind spillway.LimitKind, blocked *Blocked) bool {
	for b := range n.budgets {
		if a := &n.budgets[b]; !a.fits(ask) {
			*blocked = Blocked{Limit: a.limit(ask), Redirect: kind == spillway.LimitBurstSpend || a.AtLimit == spillway.AtLimitRedirect}
			blocked.Limit.Kind, blocked.Limit.Name = kind, n.name
			return false
		}
	}
	return true
}

// Reserve takes what the ask needs at the leaf and at every ancestor. The caller
// has passed Check for it in the same event, or restores what was reserved before
// a restart or a change of limits, which is held whatever the limits say now.
func (t *Tree) Reserve(ask *Ask) {
	more := ask.Need
	for i := ask.Leaf; i != None; i = t.nodes[i].parent {
		n := &t.nodes[i]
		n.used[ask.Class] = n.used[ask.Class].Add(ask.Need)
		held := n.held[ask.Class]
		n.held[ask.Class] = held.Add(more)
		more = n.passOn(ask.Class, held, more)
		n.book(ask, ask.Money, 0)
	}
	if ask.Purse > 0 {
		t.nodes[ask.Purse-1].book(ask, ask.Money, 0)
	}
}

// Release ends an ask: its slots are free, its reserved money is given back and
// spent is booked instead, at most what was reserved in normal work.
func (t *Tree) Release(ask *Ask, spent spillway.Nano) {
	less := ask.Need
	for i := ask.Leaf; i != None; i = t.nodes[i].parent {
		n := &t.nodes[i]
		n.used[ask.Class] = n.used[ask.Class].Sub(ask.Need)
		held := n.held[ask.Class].Sub(less)
		n.held[ask.Class] = held
		less = n.passOn(ask.Class, held, less)
		n.book(ask, -ask.Money, spent)
	}
	if ask.Purse > 0 {
		t.nodes[ask.Purse-1].book(ask, -ask.Money, spent)
	}
}

// book moves money in the window that the ask belongs to.
func (n *node) book(ask *Ask, reserved, spent spillway.Nano) {
	if reserved == 0 && spent == 0 {
		return
	}
	for b := range n.budgets {
		if w := n.budgets[b].window(ask.Admitted); w != nil {
			w.reserved += reserved
			w.spent += spent
		}
	}
}

// Restore books money spent before a restart into one budget of one node.
func (t *Tree) Restore(node, budget int, at spillway.Instant, spent spillway.Nano) {
	if w := t.nodes[node].budgets[budget].window(at); w != nil {
		w.spent += spent
	}
}

// Used returns what is held at a node.
func (t *Tree) Used(node int, class spillway.Class) spillway.Resources {
	return t.nodes[node].used[class]
}

// Spending returns what one budget of a node has spent and reserved in the
// window that holds at.
func (t *Tree) Spending(node, budget int, at spillway.Instant) (spent, reserved spillway.Nano) {
	if w := t.nodes[node].budgets[budget].window(at); w != nil {
		return w.spent, w.reserved
	}
	return 0, 0
}

// Headroom returns what one more call could take at a node at most, its
// ancestors not asked; Unlimited where it is not limited.
func (t *Tree) Headroom(node int, class spillway.Class) spillway.Resources {
	n := &t.nodes[node]
	left := func(limit, held int64) int64 {
		if limit == spillway.Unlimited {
			return limit
		}
		return max(0, limit-held)
	}
	l, h := n.limit[class], n.held[class]
	return spillway.Resources{Slots: left(l.Slots, h.Slots), MilliCPU: left(l.MilliCPU, h.MilliCPU), MiB: left(l.MiB, h.MiB)}
}

// Inherit takes over what the budgets of an earlier tree have spent, for those of
// t that account gives a place in it. What was reserved is not taken over: the
// caller reserves it again.
func (t *Tree) Inherit(from *Tree, account func(node, budget int) (int, int, bool)) {
	for i := range t.nodes {
		for b := range t.nodes[i].budgets {
			if n, m, ok := account(i, b); ok {
				old, mine := &from.nodes[n].budgets[m], &t.nodes[i].budgets[b]
				mine.current, mine.previous = old.current, old.previous
				mine.current.reserved, mine.previous.reserved = 0, 0
			}
		}
	}
}
