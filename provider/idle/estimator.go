package idle

import (
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
)

// Role says what a pod is to the idle capacity.
type Role uint8

const (
	// Online pods come first. A guest whose virtual pod is gone counts as one until
	// it has ended, since nobody accounts for it.
	Online Role = iota
	// Guest pods run for a virtual pod.
	Guest
	// Instance pods run functions of class offline: reclaimed as guests are, but of no
	// virtual pod.
	Instance
	// Virtual pods are bound to the virtual node.
	Virtual
	// Cloud pods are virtual pods that run in a cloud: they hold the virtual node's
	// capacity and no room of any real one.
	Cloud
)

// Node is what a real node has.
type Node struct {
	Name        string
	Eligible    bool // new guests may go there
	Away        bool // not now, but at other times, as when it is cordoned or not ready
	Allocatable Quantities
}

// Pod is what one pod holds from when it is bound until it has ended.
type Pod struct {
	UID   string
	Node  string // the real node it is bound to; "" for none yet, and for virtual pods
	Role  Role
	Needs Quantities       // effective requests; Pods counts as 1
	Since spillway.Instant // when it was bound
}

// Estimator keeps sums per node, so that a change costs what it changes and a Look
// a walk over the nodes.
type Estimator struct {
	config    Config
	width     time.Duration // of one bucket of samples
	nodes     map[string]*node
	pods      map[string]Pod
	allocated Quantities // by virtual pods, those in clouds too
	cloud     Quantities
	total     terms
	damping   damping
	resumed   *Quantities
}

type node struct {
	Node
	known     bool // it was told of, not only of its pods
	pods      int
	online    Quantities // requests
	guests    Quantities // of guests and instances
	instances Quantities
	young     []young
	peaks     *peaks

	dirty   bool
	recheck spillway.Instant // when terms lapse without a change
	terms   terms
	need    Quantities // what guests must give back; zero if nothing
}

// young is a pod that samples may not have in full yet.
type young struct {
	uid   string
	until spillway.Instant
	needs Quantities
}

// New makes an Estimator that knows of no node. It fails as Config.Check does.
func New(c Config) (*Estimator, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	return &Estimator{
		config: c, width: max(1, c.Forecast.Window/bucketCount),
		nodes: map[string]*node{}, pods: map[string]Pod{},
		damping: damping{config: c.Damping},
	}, nil
}

// Resume tells, before the first Look, what the virtual node said when this process
// began: less is announced and more is damped, as if it had always run.
func (e *Estimator) Resume(published Quantities) { e.resumed = &published }

// SetNode adds or replaces a real node.
func (e *Estimator) SetNode(n Node) {
	at := e.node(n.Name)
	at.Node, at.known, at.dirty = n, true, true
}

// RemoveNode forgets a node and its samples. Pods bound to it are kept until they are
// removed, in case it comes back.
func (e *Estimator) RemoveNode(name string) {
	n := e.nodes[name]
	if n == nil {
		return
	}
	n.Node, n.known, n.peaks, n.dirty = Node{Name: name}, false, nil, true
	e.forget(n)
}

func (e *Estimator) node(name string) *node {
	n := e.nodes[name]
	if n == nil {
		n = &node{Node: Node{Name: name}, dirty: true}
		e.nodes[name] = n
	}
	return n
}

// forget drops a node that is neither known nor has pods.
func (e *Estimator) forget(n *node) {
	if !n.known && n.pods == 0 {
		e.total.subtract(&n.terms)
		delete(e.nodes, n.Name)
	}
}

// SetPod adds or replaces a pod that has not ended.
func (e *Estimator) SetPod(p Pod) {
	p.Needs.Pods = 1
	if old, ok := e.pods[p.UID]; ok {
		if old.Node == p.Node && old.Role == p.Role && old.Since == p.Since && old.Needs.Equal(p.Needs) {
			return
		}
		e.RemovePod(p.UID)
	}
	e.pods[p.UID] = p
	switch {
	case p.Role == Virtual || p.Role == Cloud:
		e.allocated = e.allocated.Plus(p.Needs)
		if p.Role == Cloud {
			e.cloud = e.cloud.Plus(p.Needs)
		}
	case p.Node != "":
		n := e.node(p.Node)
		n.add(&p)
		if p.Role == Online && e.config.Rule != RuleRequests {
			n.young = append(n.young, young{p.UID, p.Since.Add(e.config.Forecast.Warm), p.Needs})
		}
	}
}

// RemovePod forgets a pod: it ended, or it is gone.
func (e *Estimator) RemovePod(uid string) {
	p, ok := e.pods[uid]
	if !ok {
		return
	}
	delete(e.pods, uid)
	switch {
	case p.Role == Virtual || p.Role == Cloud:
		e.allocated = e.allocated.Minus(p.Needs)
		if p.Role == Cloud {
			e.cloud = e.cloud.Minus(p.Needs)
		}
	case p.Node != "":
		n := e.nodes[p.Node]
		n.remove(&p)
		e.forget(n)
	}
}

func (n *node) add(p *Pod) {
	n.pods++
	n.dirty = true
	if p.Role == Online {
		n.online = n.online.Plus(p.Needs)
		return
	}
	n.guests = n.guests.Plus(p.Needs)
	if p.Role == Instance {
		n.instances = n.instances.Plus(p.Needs)
	}
}

func (n *node) remove(p *Pod) {
	n.pods--
	n.dirty = true
	if p.Role == Online {
		n.online = n.online.Minus(p.Needs)
		n.young = slices.DeleteFunc(n.young, func(y young) bool { return y.uid == p.UID })
		return
	}
	n.guests = n.guests.Minus(p.Needs)
	if p.Role == Instance {
		n.instances = n.instances.Minus(p.Needs)
	}
}

// Sample adds what everything on a node but its guests used. Samples of unknown nodes
// and those older than the window say nothing.
func (e *Estimator) Sample(name string, u Usage) {
	n := e.nodes[name]
	if n == nil || !n.known || e.config.Rule == RuleRequests || u.At <= 0 {
		return
	}
	if n.peaks == nil {
		n.peaks = new(peaks)
	}
	n.peaks.add(u, e.width)
	n.dirty = true
}
