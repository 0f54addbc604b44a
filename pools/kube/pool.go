package kube

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/internal/exits"
)

var _ pools.Measurer = (*Pool)(nil)

// Config is what a pool needs.
type Config struct {
	Client kubernetes.Interface
	Pool   *spillway.Pool // of kind kubernetes
	// CA is who agents trust. Another dispatcher with the same one can call them.
	CA *remote.CA
	// Owner names this run of the dispatcher in labels: a DNS label, different for each
	// run. Pods of others are deleted.
	Owner string
	// PriorityClass of the pods in namespaces of functions; "" is the cluster's default.
	// Quotas of the cluster can count these pods alone by it.
	PriorityClass string
	// Idle has pods run in what online work leaves idle: they are marked with LabelIdle,
	// may only finish calls that end within ten seconds when somebody takes them away, and
	// others end with CauseReclaimed. How much that is, is not theirs to find out.
	Idle bool
	// Packed has packages as they are quickest to send; nil: their zip files are sent.
	Packed Packed
	// Dial reaches pods; nil is the usual network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log has what cannot be said to a caller; nil: nothing.
	Log *slog.Logger
}

// Packed keeps packages as unpack.Pack writes them; *deployed.Packs is one.
type Packed interface {
	// Open returns nil for one that there is not, or not yet. sum is the SHA-256 of what
	// is in the file, size its bytes.
	Open(spillway.Package) (file *os.File, sum string, size int64)
	// Forget is told that the file with this sum was no good.
	Forget(p spillway.Package, sum string)
}

// Pool makes pods and calls them. It is safe for concurrent use.
type Pool struct {
	client kubernetes.Interface
	config Config
	spec   specOf
	tls    *tls.Config
	log    *slog.Logger
	exits  *exits.Queue
	placed *exits.Queue
	found  chan spillway.Resources // of one; the latest
	wake   chan struct{}           // the stock or the capacity may be other

	life       context.Context
	stop       context.CancelFunc
	background sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	nodes     map[string]node
	claims    map[types.UID]claim                // of all pods that have not ended
	unseen    map[*corev1.Pod]spillway.Resources // of pods that are to be made, until they are
	limit     spillway.Resources                 // what its object leaves it
	retired   bool                               // its object is gone
	instances map[spillway.InstanceID]*instance
	pods      map[types.UID]*pod // ours
	early     map[types.UID]early
	swept     map[types.UID]bool // pods that earlier runs left
	oldAgents bool               // they know zip files only
	ready     []*pod             // that wait for a package, the oldest first
	coming    []int              // by size: pods that are being made to wait
	hurry     hurry
	roomless  []time.Time // by size: no pod of it is made before
	resting   map[revision]*resting
	shutUntil time.Time // no pod is made before, because of shutBy
	shutBy    error
}

// stopWithin bounds how long Close waits for pods to be gone: the next dispatcher serves
// callers after that, who are refused connections until then.
const stopWithin = 3 * time.Second

// Open begins to watch the cluster and returns when it has seen all of it. Pods that
// earlier runs left are deleted.
func Open(ctx context.Context, c Config) (*Pool, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
		c.Dial = d.DialContext
	}
	client, err := c.CA.Client()
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", c.Pool.Name, err)
	}
	k := c.Pool.Kubernetes
	p := &Pool{
		client: c.Client, config: c, tls: client, log: c.Log.With("pool", c.Pool.Name),
		spec:  specOf{pool: c.Pool.Name, owner: c.Owner, agent: k.RuntimeImage, ca: string(c.CA.Certificate()), priority: c.PriorityClass, region: c.Pool.Region, idle: c.Idle, pods: k},
		found: make(chan spillway.Resources, 1), wake: make(chan struct{}, 1),
		limit: c.Pool.Capacity, unseen: map[*corev1.Pod]spillway.Resources{},
		nodes: map[string]node{}, claims: map[types.UID]claim{}, instances: map[spillway.InstanceID]*instance{}, pods: map[types.UID]*pod{}, early: map[types.UID]early{}, swept: map[types.UID]bool{},
		resting: map[revision]*resting{}, roomless: make([]time.Time, len(k.Sizes)), coming: make([]int, len(k.Sizes)),
	}
	p.life, p.stop = context.WithCancel(context.Background())
	p.exits, p.placed = exits.New(), exits.New()
	if err := errors.Join(p.sweep(ctx), p.watch(ctx)); err != nil {
		p.stop()
		p.background.Wait()
		p.exits.Close()
		p.placed.Close()
		return nil, fmt.Errorf("pool %s: %w", c.Pool.Name, err)
	}
	p.background.Go(p.tend)
	return p, nil
}

// Exits delivers idle instances whose pods ended by themselves; closed by Close.
func (p *Pool) Exits() <-chan spillway.InstanceID { return p.exits.Out() }

// Placed implements pools.Measurer: an instance has its place when its container runs.
func (p *Pool) Placed() <-chan spillway.InstanceID { return p.placed.Out() }

// Capacity implements pools.Measurer.
func (p *Pool) Capacity() (spillway.Resources, <-chan spillway.Resources) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.capacity(), p.found
}

// capacity is what instances may hold; mu is held. Pods of earlier runs, and those that
// should have ended, lessen what the pool may have at most until they are gone.
func (p *Pool) capacity() spillway.Resources {
	var held, waiting, undead spillway.Resources
	for _, i := range p.instances {
		held = held.Add(i.function.Instance)
	}
	for uid, c := range p.claims {
		if w := p.pods[uid]; c.earlier || w != nil && w.undead {
			undead = undead.Add(c.need)
		}
	}
	nodes := p.nodes
	if p.closed || p.retired || time.Now().Before(p.shutUntil) {
		nodes = nil
	}
	for _, w := range p.ready {
		if !p.closed && !p.retired {
			waiting = waiting.Add(p.spec.pods.Sizes[w.size].Resources)
		}
	}
	has := capacityOf(nodes, func(yield func(claim) bool) {
		for _, c := range p.claims {
			if !yield(c) {
				return
			}
		}
		for _, need := range p.unseen {
			if !yield(claim{need: need}) {
				return
			}
		}
	}, held, waiting)
	return least(has, p.limit.Sub(undead))
}

// Renew takes what the pool's object says now: its capacity, and that it is gone. Then no
// pods wait any more, and what runs runs on. The rest holds from the next Open on.
func (p *Pool) Renew(now *spillway.Pool) {
	p.mu.Lock()
	p.limit, p.retired = now.Capacity, now.Retired
	p.mu.Unlock()
	p.changed()
}

// changed lets tend look again.
func (p *Pool) changed() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// settle is how often what the pool has is told at most, and lookAgain how often it is
// at least.
const (
	settle    = 50 * time.Millisecond
	lookAgain = time.Second
	// strayAfter is when a pod whose making nobody was told of is deleted.
	strayAfter = 30 * time.Second
)

// tend keeps the stock of waiting pods and tells what the pool has.
func (p *Pool) tend() {
	defer close(p.found)
	for p.life.Err() == nil {
		p.mu.Lock()
		now := time.Now()
		stranded := p.stranded()
		has, orders, strays, cooling := p.capacity(), p.orders(now), p.unanswered(now), p.cooling(now)
		wait := p.hurry.left(now)
		p.rested(now)
		p.mu.Unlock()
		select { // the latest replaces one that nobody has taken
		case <-p.found:
		default:
		}
		p.found <- has
		for _, size := range orders {
			p.background.Go(func() { p.order(size) })
		}
		for _, w := range stranded {
			p.background.Go(func() { p.drop(w) })
		}
		for _, o := range strays {
			p.background.Go(func() { p.discard(o) })
		}
		for _, w := range cooling {
			p.background.Go(func() { p.warm(w) })
		}
		pause(p.life, settle)
		if wait == 0 {
			wait = lookAgain
		}
		select {
		case <-p.wake:
		case <-time.After(wait):
		case <-p.life.Done():
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// sweep deletes what earlier runs left.
func (p *Pool) sweep(ctx context.Context) error {
	left, err := p.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: fmt.Sprintf("%s=%s,%s!=%s", LabelPool, p.spec.pool, LabelOwner, p.spec.owner)})
	if err != nil {
		return fmt.Errorf("list the pods of earlier runs: %w", err)
	}
	var all []error
	for i := range left.Items {
		p.swept[left.Items[i].UID] = true
		all = append(all, p.remove(ctx, &left.Items[i]))
	}
	return errors.Join(all...)
}

// Close deletes every pod, waits until they are gone, for stopWithin at the longest, and
// ends the watch. Calls in flight end with their pods. What a node takes longer to end is
// gone soon: the next run does not use its room before. The error is of pods of whose end
// the API server could not be told.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	var own []*pod
	for _, w := range p.pods {
		own = append(own, w)
	}
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	var deleting sync.WaitGroup
	failed := make([]error, len(own))
	for i, w := range own {
		deleting.Go(func() {
			if failed[i] = p.end(ctx, w); errors.Is(failed[i], errThere) {
				p.log.Warn("a pod takes long to end", "error", failed[i])
				failed[i] = nil
			}
		})
	}
	deleting.Wait()
	p.stop()
	p.background.Wait()
	p.exits.Close()
	p.placed.Close()
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("close pool %s: %w; the next run deletes what is left", p.spec.pool, err)
	}
	return nil
}
