package node

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/gate"
	"github.com/spillway-dev/spillway/provider/guest"
	"github.com/spillway-dev/spillway/provider/idle"
)

// Gate is the dispatcher, which decides who gets a place.
type Gate interface {
	Admit(context.Context, gate.Request) (gate.Answer, error)
	End(ctx context.Context, uid string, e gate.End) error
	// Run calls sent, from any goroutine, when the attempt may run from then on.
	Run(ctx context.Context, uid string, r gate.RunRequest, sent func()) (gate.Ran, error)
	// Open returns what it holds open for a node's pods.
	Open(ctx context.Context, node string) ([]gate.Held, error)
}

// Meter is told what the node has.
type Meter interface {
	Measure(ctx context.Context, node string, c gate.Capacity) error
}

// courses runs the course of every virtual pod: it gathers the facts, has package
// course decide and does what that says, one step of a pod at a time.
type courses struct {
	node     string
	client   kubernetes.Interface
	gate     Gate
	recorder record.EventRecorder
	virtual  corelisters.PodLister
	nodes    corelisters.NodeLister
	guests   cache.Indexer
	tracked  *tracked
	room     *room
	log      *slog.Logger
	line     *line
	queue    workqueue.TypedRateLimitingInterface[virtual] // in the order of line
	moved    atomic.Int64                                  // when a worker last took a pod, in nanoseconds since 1970

	mu    sync.Mutex
	known map[types.UID]*memory
	runs  sync.WaitGroup // in clouds
}

// virtual names a virtual pod, of which there is one with the UID.
type virtual struct {
	types.NamespacedName
	uid types.UID
}

func newCourses(o Options, w *watched, t *tracked, recorder record.EventRecorder) *courses {
	l := newLine()
	return &courses{
		line: l, queue: l.queue(workqueue.NewTypedItemExponentialFailureRateLimiter[virtual](50*time.Millisecond, 30*time.Second)),
		node: o.Name, client: o.Client, gate: o.Gate, recorder: recorder, log: o.Log, tracked: t,
		virtual: w.own.Core().V1().Pods().Lister(), nodes: w.cluster.Core().V1().Nodes().Lister(), guests: w.cluster.Core().V1().Pods().Informer().GetIndexer(),
		known: map[types.UID]*memory{},
	}
}

// memory is what of a pod's facts no API server knows.
type memory struct {
	answer  *course.Answer
	reclaim *course.Reclaim
	cloud   *course.Run
	noRoom  *course.NoRoom
	last    *corev1.Pod // as course.Facts has it
	begun   int         // as course.Facts has it
	vain    int         // as course.Facts has it
	written *corev1.Pod // the pod as it was after its status was written last; nil: no newer than the cache
	sent    int         // the attempt that is being run in a cloud; 0: none
	waits   string      // why its guest is not made, as an event said last
	waitsAt time.Time   // when
}

func (c *courses) follow(all, own cache.SharedIndexInformer) error {
	gone := func(p *corev1.Pod) { c.soon(virtual{nameOf(p), p.UID}) }
	if _, err := own.AddEventHandler(handler(c.look, gone)); err != nil {
		return err
	}
	changed := func(g *corev1.Pod) { c.guest(g, false) }
	_, err := all.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc:    func(o any, _ bool) { changed(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { changed(o.(*corev1.Pod)) },
		DeleteFunc: func(o any) {
			gone, missed := o.(cache.DeletedFinalStateUnknown)
			if missed {
				o = gone.Obj
			}
			g := o.(*corev1.Pod)
			c.guest(g, !missed || guest.Terminal(g))
		},
	})
	return err
}

// guest has the course looked at that p is a guest of, if it is one; gone says that it
// was removed, and was last as p is.
func (c *courses) guest(p *corev1.Pod, gone bool) {
	of := types.UID(p.Labels[guest.LabelOf])
	if of == "" || p.Labels[guest.LabelNode] != c.node {
		return
	}
	if gone {
		c.mu.Lock()
		if m := c.memory(of); m.last == nil || guest.Attempt(p) >= guest.Attempt(m.last) {
			m.last = p
		}
		c.mu.Unlock()
	}
	c.soon(c.of(p))
}

// of names the virtual pod of a guest, also if somebody has taken its owners away; without
// a name if there is none.
func (c *courses) of(g *corev1.Pod) virtual {
	v := virtual{types.NamespacedName{Namespace: g.Namespace, Name: ownerName(g)}, types.UID(g.Labels[guest.LabelOf])}
	if v.Name != "" {
		return v
	}
	all, err := c.virtual.Pods(v.Namespace).List(labels.Everything())
	if err != nil {
		return v
	}
	for _, p := range all {
		if p.UID == v.uid {
			v.Name = p.Name
		}
	}
	return v
}

// ownerName is the name of a guest's virtual pod; empty if that is gone, and the cluster
// has noted it.
func ownerName(g *corev1.Pod) string {
	for _, o := range g.OwnerReferences {
		if o.Kind == "Pod" && string(o.UID) == g.Labels[guest.LabelOf] {
			return o.Name
		}
	}
	return ""
}

// look has a pod's course looked at, and soon if it is deleted.
func (c *courses) look(p *corev1.Pod) {
	v := virtual{nameOf(p), p.UID}
	if p.DeletionTimestamp != nil {
		c.soon(v)
		return
	}
	c.queue.Add(v)
}

// soon has a pod's course looked at before those that begin.
func (c *courses) soon(v virtual) {
	c.line.hurry(v)
	c.queue.Add(v)
}

// reclaim tells the guests that are chosen to go.
func (c *courses) reclaim(choice idle.Choice) {
	chosen := map[string]bool{}
	for _, uid := range choice.UIDs {
		chosen[uid] = true
	}
	for _, o := range c.guests.List() {
		g := o.(*corev1.Pod)
		if !chosen[string(g.UID)] {
			continue
		}
		v := c.of(g)
		c.mu.Lock()
		c.memory(v.uid).reclaim = &course.Reclaim{Attempt: guest.Attempt(g), Text: "online work needs the room on node " + nodeOf(g)}
		c.mu.Unlock()
		c.soon(v)
	}
}

// wanted reports that the room of a pod's guest is wanted back.
func (c *courses) wanted(v virtual) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.known[v.uid]
	return m != nil && m.reclaim != nil
}

// memory must be called with mu held.
func (c *courses) memory(uid types.UID) *memory {
	m := c.known[uid]
	if m == nil {
		m = &memory{}
		c.known[uid] = m
	}
	return m
}

// resume asks the dispatcher what it holds open, so that nothing is asked twice, and has
// all of it looked at: of a pod that is gone nothing else tells.
func (c *courses) resume(ctx context.Context) error {
	open, err := c.gate.Open(ctx, c.node)
	if err != nil {
		return fmt.Errorf("ask the dispatcher what it holds open: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range open {
		v := virtual{types.NamespacedName{Namespace: h.Namespace, Name: h.Pod}, types.UID(h.UID)}
		m := c.memory(v.uid)
		m.answer = answerOf(h.Answer, time.Now())
		m.begun = m.answer.Attempt
		if h.Namespace != "" && h.Pod != "" {
			c.queue.Add(v)
		}
	}
	return nil
}
