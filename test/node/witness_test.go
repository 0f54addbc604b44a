package node

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

// witness is told by the work of pods that it has come to its end.
type witness struct {
	address string

	mu   sync.Mutex
	ends map[string]int // by name
}

func newWitness(t *testing.T, c *kubetest.Cluster) *witness {
	t.Helper()
	l, err := c.Listen(t.Context(), "tcp", kubetest.NodeAddress+":0")
	must(t, err)
	w := &witness{address: "http://" + l.Addr().String() + "/", ends: map[string]int{}}
	server := &http.Server{Handler: http.HandlerFunc(w.note)} //nolint:gosec // a test's
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return w
}

func (w *witness) note(answer http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[r.URL.Path[1:]]++
	answer.WriteHeader(http.StatusNoContent)
}

func (w *witness) of(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ends[name]
}

// trail is what became of pods, and when it was seen.
type trail struct {
	mu      sync.Mutex
	bound   map[string]time.Time // by name
	deleted map[string]time.Time
	over    map[string]time.Time
	lies    []string // what the node said less of without its taint
}

// watched follows pods of every namespace and the virtual node.
func (w *world) watched(ctx context.Context) *trail {
	w.t.Helper()
	t := &trail{bound: map[string]time.Time{}, deleted: map[string]time.Time{}, over: map[string]time.Time{}}
	pods, err := w.client.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{})
	must(w.t, err)
	nodes, err := w.client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	must(w.t, err)
	go t.follow(pods)
	go t.heed(nodes)
	w.t.Cleanup(func() { pods.Stop(); nodes.Stop() })
	return t
}

func (t *trail) follow(pods watch.Interface) {
	for e := range pods.ResultChan() {
		p, ok := e.Object.(*corev1.Pod)
		if !ok {
			continue
		}
		t.mu.Lock()
		first(t.bound, p.Name, p.Spec.NodeName != "")
		first(t.deleted, p.Name, p.DeletionTimestamp != nil)
		first(t.over, p.Name, e.Type == watch.Deleted || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed)
		t.mu.Unlock()
	}
}

func first(at map[string]time.Time, name string, is bool) {
	if _, ok := at[name]; is && !ok {
		at[name] = time.Now()
	}
}

// heed sees to it that less is said only under the taint.
func (t *trail) heed(nodes watch.Interface) {
	var cpu int64
	for e := range nodes.ResultChan() {
		n, ok := e.Object.(*corev1.Node)
		if !ok {
			continue
		}
		now := n.Status.Allocatable.Cpu().MilliValue()
		if now < cpu && !tainted(n) && e.Type == watch.Modified {
			t.mu.Lock()
			t.lies = append(t.lies, n.Status.Allocatable.Cpu().String())
			t.mu.Unlock()
		}
		cpu = now
	}
}

func tainted(n *corev1.Node) bool {
	for _, t := range n.Spec.Taints {
		if t.Key == "spillway.dev/reclaiming" {
			return true
		}
	}
	return false
}

// between is how long after one thing another was seen.
func (t *trail) between(a map[string]time.Time, of string, b map[string]time.Time, then string) (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, ok := a[of]
	to, also := b[then]
	return to.Sub(from), ok && also
}
