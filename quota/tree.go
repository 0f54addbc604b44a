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
	name    string
	parent  int
	nominal [spillway.ClassCount]spillway.Resources
	used    [spillway.ClassCount]spillway.Resources
	budgets []account
}

// New builds an empty tree over the nodes, parents before children.
func New(nodes []spillway.QuotaNode) *Tree {
	t := &Tree{nodes: make([]node, len(nodes))}
	for i, n := range nodes {
		t.nodes[i] = node{name: n.Name, parent: n.Parent, nominal: n.Nominal}
		for _, b := range n.Budgets {
			t.nodes[i].budgets = append(t.nodes[i].budgets, account{Budget: b})
		}
	}
	return t
}

// Ask is what one attempt wants to hold.
type Ask struct {
	Leaf     int // node of the namespace, or None
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

// Check reports whether the ask fits now, and if not, the first limit in its
// way, from the leaf upwards.
func (t *Tree) Check(ask *Ask) (Blocked, bool) {
	funded := ask.Money == 0
	for i := ask.Leaf; i != None; i = t.nodes[i].parent {
		n := &t.nodes[i]
		nominal, used := n.nominal[ask.Class], n.used[ask.Class]
		if dim := nominal.Exceeds(used, ask.Need); dim != spillway.DimNone {
			return Blocked{Limit: spillway.Limit{
				Kind: spillway.LimitQuota, Name: n.name, Class: ask.Class, Dim: dim,
				Used: used.Of(dim), Need: ask.Need.Of(dim), Max: nominal.Of(dim),
			}}, false
		}
		if ask.Money == 0 {
			continue
		}
		for b := range n.budgets {
			funded = true
			if l, ok := n.budgets[b].check(ask); !ok {
				l.Name = n.name
				return Blocked{Limit: l, Redirect: n.budgets[b].AtLimit == spillway.AtLimitRedirect}, false
			}
		}
	}
	if !funded {
		return Blocked{Limit: spillway.Limit{Kind: spillway.LimitNoBudget, Class: ask.Class, Need: int64(ask.Money)}}, false
	}
	return Blocked{}, true
}

// Reserve takes what the ask needs at the leaf and at every ancestor. The caller
// has passed Check for it in the same event, or restores what was reserved before
// a restart, which is held whatever the limits say now.
func (t *Tree) Reserve(ask *Ask) {
	for i := ask.Leaf; i != None; i = t.nodes[i].parent {
		n := &t.nodes[i]
		n.used[ask.Class] = n.used[ask.Class].Add(ask.Need)
		for b := range n.budgets {
			if w := n.budgets[b].window(ask.Admitted); w != nil {
				w.reserved += ask.Money
			}
		}
	}
}

// Release ends an ask: its slots are free, its reserved money is given back and
// spent is booked instead, at most what was reserved in normal work.
func (t *Tree) Release(ask *Ask, spent spillway.Nano) {
	for i := ask.Leaf; i != None; i = t.nodes[i].parent {
		n := &t.nodes[i]
		n.used[ask.Class] = n.used[ask.Class].Sub(ask.Need)
		if ask.Money == 0 && spent == 0 {
			continue
		}
		for b := range n.budgets {
			if w := n.budgets[b].window(ask.Admitted); w != nil {
				w.reserved -= ask.Money
				w.spent += spent
			}
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
