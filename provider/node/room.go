package node

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/gate"
	"github.com/spillway-dev/spillway/provider/guest"
	"github.com/spillway-dev/spillway/provider/idle"
)

// instanceLabel marks pods that run functions of class offline; its value is their pool.
const instanceLabel = "spillway.dev/offline-instance"

// retryLabel is on those whose calls may be repeated.
const retryLabel = "spillway.dev/retry"

// room feeds the estimator with what the cluster has and pods hold, and promises what
// comes out. Safe for use by many goroutines.
type room struct {
	name     string // of the virtual node
	eligible labels.Selector
	inCloud  func(*corev1.Pod) bool
	virtual  corelisters.PodLister
	pods     cache.Indexer // all, guests by their virtual pod
	// instances of functions of class offline, which are told to go as guests are.
	instances *instances
	promise   func(Room)
	reclaim   func(idle.Choice)
	terms     func(idle.Report)
	log       *slog.Logger

	mu       sync.Mutex
	estimate *idle.Estimator
	guests   map[string]idle.GuestFacts // and instances
	keeps    map[string]time.Time       // until when, by UIDs as kept has them
	last     idle.Report
	meter    Meter
	news     chan struct{} // holds one while the dispatcher knows something else
	changed  chan struct{} // holds one while something has changed
}

func newRoom(o Options, w *watched, estimate *idle.Estimator, promise func(Room), reclaim func(idle.Choice)) *room {
	return &room{
		name: o.Name, eligible: o.Eligible, inCloud: course.InCloud, virtual: w.own.Core().V1().Pods().Lister(), pods: w.cluster.Core().V1().Pods().Informer().GetIndexer(), promise: promise, reclaim: reclaim, terms: o.Terms, meter: o.Meter, log: o.Log,
		instances: newInstances(o), estimate: estimate, guests: map[string]idle.GuestFacts{}, keeps: map[string]time.Time{}, changed: make(chan struct{}, 1), news: make(chan struct{}, 1),
	}
}

func (r *room) touch() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// follow has the informers tell r of all nodes and pods, and of the node's own. It returns
// what reports that r was told of all that there was at first: before, the largest node
// may be missing.
func (r *room) follow(nodes, pods, own cache.SharedIndexInformer) (told []cache.InformerSynced, err error) {
	for _, f := range []struct {
		of   cache.SharedIndexInformer
		tell cache.ResourceEventHandler
	}{
		{nodes, handler(r.setNode, r.removeNode)},
		{own, cache.ResourceEventHandlerFuncs{AddFunc: func(o any) { r.setGuests(o.(*corev1.Pod)) }}},
		{pods, handler(r.setPod, r.removePod)},
	} {
		is, err := f.of.AddEventHandler(f.tell)
		if err != nil {
			return nil, err
		}
		told = append(told, is.HasSynced)
	}
	return told, nil
}

// handler calls set for what is there and remove for what is gone.
func handler[T any](set, remove func(T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { set(o.(T)) },
		UpdateFunc: func(_, o any) { set(o.(T)) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			remove(o.(T))
		},
	}
}

func (r *room) setNode(n *corev1.Node) {
	if n.Labels["type"] == "virtual-kubelet" {
		return
	}
	r.mu.Lock()
	r.estimate.SetNode(idle.Node{Name: n.Name, Eligible: r.mayHost(n), Away: r.hosts(n), Allocatable: has(n.Status.Allocatable)})
	r.mu.Unlock()
	r.touch()
}

// hosts reports a node that takes guests, if not now: selected, here to stay, and of the
// machine that the virtual node says it is.
func (r *room) hosts(n *corev1.Node) bool {
	for label, is := range map[string]string{corev1.LabelArchStable: runtime.GOARCH, corev1.LabelOSStable: "linux"} {
		if of, said := n.Labels[label]; said && of != is {
			return false
		}
	}
	controls := func(t corev1.Taint) bool { return t.Key == controlPlane }
	return n.DeletionTimestamp == nil && r.eligible.Matches(labels.Set(n.Labels)) && !slices.ContainsFunc(n.Spec.Taints, controls)
}

// controlPlane is the taint of nodes that are not for work.
const controlPlane = "node-role.kubernetes.io/control-plane"

// mayHost reports a node that new guests may go to now: it is ready, and not cordoned or
// tainted against pods like them.
func (r *room) mayHost(n *corev1.Node) bool {
	if n.Spec.Unschedulable || !r.hosts(n) {
		return false
	}
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule {
			return false
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (r *room) removeNode(n *corev1.Node) {
	r.mu.Lock()
	r.estimate.RemoveNode(n.Name)
	r.mu.Unlock()
	r.touch()
}

func (r *room) setPod(p *corev1.Pod) {
	if guest.Terminal(p) {
		r.removePod(p)
		return
	}
	role := r.role(p)
	told := idle.Pod{UID: string(p.UID), Node: nodeOf(p), Role: role, Needs: needs(guest.Effective(p)), Since: since(p)}
	if role == idle.Virtual || role == idle.Cloud {
		told.Node = ""
	}
	r.mu.Lock()
	r.keepNot(kept(p))
	r.estimate.SetPod(told)
	if (role == idle.Guest || role == idle.Instance) && told.Node != "" {
		facts := factsOf(p, told)
		if role == idle.Instance {
			r.instances.set(p)
			facts.Movable = p.Labels[retryLabel] != "" // its call begins again elsewhere
		}
		facts.Leaving = facts.Leaving || r.guests[told.UID].Leaving
		r.guests[told.UID] = facts
	} else {
		delete(r.guests, told.UID)
	}
	r.mu.Unlock()
	r.touch()
}

func (r *room) role(p *corev1.Pod) idle.Role {
	switch {
	case p.Spec.NodeName == r.name && r.inCloud(p):
		return idle.Cloud
	case p.Spec.NodeName == r.name:
		return idle.Virtual
	case p.Labels[guest.LabelNode] == r.name && p.Spec.PriorityClassName == guest.PriorityClass && r.alive(p):
		return idle.Guest
	case p.Labels[instanceLabel] != "" && p.Spec.PriorityClassName == guest.PriorityClass:
		return idle.Instance
	}
	return idle.Online
}

// alive reports whether a guest has its virtual pod; nobody accounts for one without.
func (r *room) alive(g *corev1.Pod) bool {
	v, err := r.virtual.Pods(g.Namespace).Get(ownerName(g))
	return err == nil && string(v.UID) == g.Labels[guest.LabelOf]
}

func (r *room) removePod(p *corev1.Pod) {
	r.mu.Lock()
	r.keepNot(kept(p))
	r.estimate.RemovePod(string(p.UID))
	delete(r.guests, string(p.UID))
	r.instances.forget(p.UID)
	r.mu.Unlock()
	r.touch()
}

func since(p *corev1.Pod) spillway.Instant {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue {
			return spillway.InstantOf(c.LastTransitionTime.Time)
		}
	}
	return spillway.InstantOf(p.CreationTimestamp.Time)
}

// factsOf says of a guest what counts when some must go.
func factsOf(g *corev1.Pod, told idle.Pod) idle.GuestFacts {
	f := idle.GuestFacts{
		UID: told.UID, Node: told.Node, Holds: told.Needs, Started: told.Since,
		Deadline: spillway.Never, Movable: movable(g), Leaving: g.DeletionTimestamp != nil,
	}
	f.Holds.Pods = 1
	if within := g.Spec.ActiveDeadlineSeconds; within != nil {
		f.Duration = time.Duration(*within) * time.Second
	}
	if terms, refused := guest.TermsOf(g); len(refused) == 0 && !terms.Deadline.IsZero() {
		f.Deadline = spillway.InstantOf(terms.Deadline)
	}
	return f
}

// movable reports that a guest's work can begin again elsewhere: none of its
// containers has come to an end that may not be taken back.
func movable(g *corev1.Pod) bool {
	for _, c := range g.Status.ContainerStatuses {
		if c.State.Terminated != nil && !guest.MayRestart(g, c.Name, c.State.Terminated.ExitCode) {
			return false
		}
	}
	return true
}

// calm is the shortest time between two looks: what changes within it is looked at once.
const calm = 50 * time.Millisecond

// run promises what there is, and asks back what is missing, until ctx ends.
func (r *room) run(ctx context.Context) error {
	for ctx.Err() == nil {
		again := r.look()
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-r.changed:
			r.pause(ctx)
		}
		timer.Stop()
	}
	return nil
}

func (r *room) pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(calm):
	}
}

// first is what the node begins with: what it said before, or what there is.
func (r *room) first(before *corev1.Node) Room {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before != nil {
		r.estimate.Resume(has(before.Status.Allocatable))
	}
	r.last = r.estimate.Look(spillway.InstantOf(time.Now()))
	return promised(r.last)
}

// look returns when to look again if nothing changes. It waits for no server: those
// that must go are told at once.
func (r *room) look() time.Duration {
	now := spillway.InstantOf(time.Now())
	r.mu.Lock()
	r.lapse(time.Now())
	report := r.estimate.Look(now)
	choices := r.victims(now)
	if !report.Present.Equal(r.last.Present) {
		select {
		case r.news <- struct{}{}:
		default:
		}
	}
	r.last = report
	r.mu.Unlock()
	for _, c := range choices {
		r.reclaim(c)
		r.instances.reclaim(c)
	}
	if r.terms != nil {
		r.terms(report)
	}
	r.promise(promised(report))
	return max(calm, min(tellEvery, report.Again.Sub(now)))
}

// tellEvery is how often the dispatcher is told what it knows already.
const tellEvery = 5 * time.Second

// tell has the dispatcher know what guests and instances may hold together now, until ctx
// ends. It is apart from look, which waits for nobody.
func (r *room) tell(ctx context.Context) error {
	deaf := false
	for ctx.Err() == nil {
		r.mu.Lock()
		o := r.last.Present
		r.mu.Unlock()
		err := r.meter.Measure(ctx, r.name, gate.Capacity{MilliCPU: o.MilliCPU, MemoryMiB: o.MiB, Pods: o.Pods})
		if failed := err != nil && ctx.Err() == nil; failed != deaf {
			if deaf = failed; failed {
				r.log.Warn("the dispatcher does not know what the node has, and admits nobody new", "err", err)
			} else {
				r.log.Info("the dispatcher knows what the node has")
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(tellEvery):
		case <-r.news:
			r.pause(ctx)
		}
	}
	return nil
}

// victims says which guests go; whoever is told to go is counted as going from then on.
func (r *room) victims(now spillway.Instant) []idle.Choice {
	var out []idle.Choice
	for _, p := range r.estimate.Pressures() {
		var here []idle.GuestFacts
		for _, g := range r.guests {
			if g.Node == p.Node {
				here = append(here, g)
			}
		}
		c := idle.Victims(now, p, here)
		for _, uid := range c.UIDs {
			g := r.guests[uid]
			g.Leaving = true
			r.guests[uid] = g
		}
		if len(c.UIDs) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func promised(r idle.Report) Room {
	message := fmt.Sprintf("%d nodes take guests", r.Eligible)
	if r.Reclaiming {
		message += "; online work needs room, and guests are asked to go"
	}
	return Room{Capacity: list(r.Allocatable.Larger(r.Published)), Allocatable: list(r.Published), Reclaiming: r.Reclaiming, Message: message}
}

const mebi = 1 << 20

// has is what a list amounts to in whole units, rounded down.
func has(l corev1.ResourceList) idle.Quantities { return quantities(l, 0) }

// needs is what a list amounts to in whole units, rounded up.
func needs(l corev1.ResourceList) idle.Quantities { return quantities(l, mebi-1) }

func quantities(l corev1.ResourceList, round int64) idle.Quantities {
	q := idle.Quantities{}
	named := map[string]int64{}
	for name, quantity := range l {
		switch name {
		case corev1.ResourceCPU:
			q.MilliCPU = quantity.MilliValue() // what is less than a thousandth counts as one
		case corev1.ResourceMemory:
			q.MiB = (quantity.Value() + round) / mebi
		case corev1.ResourceEphemeralStorage:
			q.EphemeralMiB = (quantity.Value() + round) / mebi
		case corev1.ResourcePods:
			q.Pods = quantity.Value()
		default:
			named[string(name)] = quantity.Value()
		}
	}
	q.Extended = idle.ExtendedOf(named)
	return q
}

func list(q idle.Quantities) corev1.ResourceList {
	l := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewMilliQuantity(q.MilliCPU, resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(q.MiB*mebi, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(q.EphemeralMiB*mebi, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(q.Pods, resource.DecimalSI),
	}
	for _, c := range q.Extended {
		l[corev1.ResourceName(c.Name)] = *resource.NewQuantity(c.N, resource.DecimalSI)
	}
	return l
}
