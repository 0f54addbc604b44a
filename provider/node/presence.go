package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// presence is the node's object in the cluster: what virtual-kubelet's node controller
// asks of a provider. It is said to be there as long as healthy says nil.
type presence struct {
	id      Identity
	nodes   typedcorev1.NodeInterface
	healthy func() error
	log     *slog.Logger
	wake    chan struct{}     // holds one while there is something to publish
	mail    chan *corev1.Node // holds the latest that the node controller has not taken

	mu       sync.Mutex
	wanted   Room
	said     Room // what the node controller was told last
	before   []corev1.NodeCondition
	notify   func(*corev1.Node)
	answered time.Time // when the API server last did
}

func newPresence(o Options) *presence {
	return &presence{id: o.Identity, nodes: o.Client.CoreV1().Nodes(), log: o.Log, wake: make(chan struct{}, 1), mail: make(chan *corev1.Node, 1)}
}

// earlier returns the node as an earlier life has left it, or nil. A node of that name
// that is another's is an error.
func (p *presence) earlier(ctx context.Context) (*corev1.Node, error) {
	there, err := p.read(ctx)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for the node %s: %w", p.id.Name, err)
	case there.Spec.ProviderID != ProviderScheme+p.id.Name:
		return nil, fmt.Errorf("node %s is another's: its providerID is %q; give this one another name (--node-name)", p.id.Name, there.Spec.ProviderID)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = there.Status.Conditions
	return there, nil
}

// read asks the API server, and notes that it answers.
func (p *presence) read(ctx context.Context) (*corev1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	there, err := p.nodes.Get(ctx, p.id.Name, metav1.GetOptions{})
	if err == nil || apierrors.IsNotFound(err) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.answered = time.Now()
	}
	return there, err
}

// Ping is asked before each heartbeat: a node that cannot look after its pods lets its
// lease run out, and is NotReady.
func (p *presence) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.healthy()
}

// NotifyNodeStatus takes what is called when the room changes.
func (p *presence) NotifyNodeStatus(_ context.Context, notify func(*corev1.Node)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notify = notify
}

// promise makes room what the node will say that it has. It waits for nobody.
func (p *presence) promise(room Room) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sameRoom(p.wanted, room) {
		return
	}
	p.wanted = room
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

const (
	answerWithin = 5 * time.Second        // what is asked of the API server
	lookEvery    = 10 * time.Second       // at the node's object, whether it says what it should
	lookAgain    = 200 * time.Millisecond // after something was written
	retryAfter   = time.Second
)

// run publishes what was promised until ctx ends.
func (p *presence) run(ctx context.Context) error {
	go p.deliver(ctx)
	failing := false
	for ctx.Err() == nil {
		again, err := p.publish(ctx)
		if failed := err != nil && ctx.Err() == nil; failed != failing {
			if failing = failed; failed {
				p.log.Warn("the node's room is not published", "err", err)
			}
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-p.wake:
		}
		timer.Stop()
	}
	return nil
}

// publish makes the next step from what the node's object says to what was promised,
// and returns when to look again: the taint comes before a smaller number, and goes
// when the object has the new one.
func (p *presence) publish(ctx context.Context) (time.Duration, error) {
	there, err := p.read(ctx)
	if apierrors.IsNotFound(err) { // the node controller makes it anew when it writes the status
		there, err = &corev1.Node{}, nil
	}
	if err != nil {
		return retryAfter, fmt.Errorf("read the node: %w", err)
	}
	p.mu.Lock()
	wanted, said := p.wanted, p.said
	p.mu.Unlock()
	if wanted.Allocatable == nil {
		return lookEvery, nil // nothing was promised yet
	}
	if wanted.Reclaiming && there.Name != "" {
		if err := p.taint(ctx, there, true); err != nil {
			return retryAfter, err
		}
	}
	if !says(there, wanted) || !sameRoom(said, wanted) {
		p.post(p.now(wanted))
		return lookAgain, nil
	}
	if !wanted.Reclaiming {
		if err := p.taint(ctx, there, false); err != nil {
			return retryAfter, err
		}
	}
	return lookEvery, nil
}

// says reports whether a node's object has what room says.
func says(n *corev1.Node, room Room) bool {
	for _, pair := range [][2]corev1.ResourceList{{n.Status.Allocatable, room.Allocatable}, {n.Status.Capacity, room.Capacity}} {
		for name, want := range pair[1] {
			if has, ok := pair[0][name]; !ok || has.Cmp(want) != 0 {
				return false
			}
		}
	}
	return true
}

// post hands n to the node controller when that has time, in place of what waits.
func (p *presence) post(n *corev1.Node) {
	select {
	case <-p.mail:
	default:
	}
	p.mail <- n // publish is the only one that posts
}

// deliver hands on what was posted. The node controller takes it when it has written
// what it had before, and nothing at all once it has ended.
func (p *presence) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-p.mail:
			p.mu.Lock()
			notify := p.notify
			p.mu.Unlock()
			if notify != nil {
				notify(n)
			}
		}
	}
}

func (p *presence) now(room Room) *corev1.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = room
	n := p.id.object(room, time.Now())
	n.Status.Conditions = conditions(room, p.before, time.Now())
	p.before = n.Status.Conditions
	return n
}

func (p *presence) taint(ctx context.Context, n *corev1.Node, reclaiming bool) error {
	taints, changed := withTaint(n.Spec.Taints, reclaiming, time.Now())
	if !changed {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": n.ResourceVersion},
		"spec":     map[string]any{"taints": taints},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if _, err := p.nodes.Patch(ctx, p.id.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("write the node's taints: %w", err)
	}
	return nil
}

// remade registers the node anew when somebody has deleted it: its pods would be
// deleted with it otherwise.
func (p *presence) remade(ctx context.Context, failed error) error {
	if !apierrors.IsNotFound(failed) {
		return failed
	}
	p.mu.Lock()
	n := p.id.object(p.said, time.Now())
	p.mu.Unlock()
	_, err := p.nodes.Create(ctx, n, metav1.CreateOptions{})
	return err
}

// silence is how long the API server may not answer before nothing that is known of
// pods counts any longer.
const silence = 30 * time.Second

// heard says that the API server does not answer, or nil.
func (p *presence) heard() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answered.IsZero() {
		return errors.New("the cluster has not been read yet")
	}
	if since := time.Since(p.answered); since > silence {
		return fmt.Errorf("the API server has not answered for %s", since.Round(time.Second))
	}
	return nil
}
