package node

import (
	"context"
	"fmt"
	"sync"

	"github.com/virtual-kubelet/virtual-kubelet/errdefs"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// tracked are the virtual pods that the node looks after, by UID: names are used again.
// Safe for use by many goroutines.
type tracked struct {
	mu     sync.RWMutex
	pods   map[types.UID]*corev1.Pod // never changed, only replaced
	byName map[types.NamespacedName]types.UID
}

func newTracked() *tracked {
	return &tracked{pods: map[types.UID]*corev1.Pod{}, byName: map[types.NamespacedName]types.UID{}}
}

func nameOf(p *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
}

func (t *tracked) put(p *corev1.Pod) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pods[p.UID], t.byName[nameOf(p)] = p, p.UID
}

// seen notes what the API server has of a pod that is looked after.
func (t *tracked) seen(p *corev1.Pod) {
	if _, ok := t.get(p.UID); ok {
		t.put(p)
	}
}

func (t *tracked) remove(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.pods[uid]
	if !ok {
		return
	}
	delete(t.pods, uid)
	if t.byName[nameOf(p)] == uid {
		delete(t.byName, nameOf(p))
	}
}

func (t *tracked) get(uid types.UID) (*corev1.Pod, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	p, ok := t.pods[uid]
	return p, ok
}

func (t *tracked) named(namespace, name string) (*corev1.Pod, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if p, ok := t.pods[t.byName[types.NamespacedName{Namespace: namespace, Name: name}]]; ok {
		return p, nil
	}
	return nil, errdefs.AsNotFound(fmt.Errorf("this node has no pod %s/%s", namespace, name))
}

func (t *tracked) all() []*corev1.Pod {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make([]*corev1.Pod, 0, len(t.pods))
	for _, p := range t.pods {
		out = append(out, p)
	}
	return out
}

// lifecycle is what virtual-kubelet's pod controller asks of a provider. Nothing is
// done here but noted: the course of each pod is run by its own worker, and no lack of
// room is ever an error of CreatePod, which would fail the pod.
type lifecycle struct {
	*tracked
	look func(*corev1.Pod) // has the pod's course looked at
}

// CreatePod is called for each pod that is bound to the node and again after a restart.
func (l *lifecycle) CreatePod(_ context.Context, p *corev1.Pod) error {
	l.put(p.DeepCopy())
	l.look(p)
	return nil
}

// UpdatePod is called when labels, annotations or deadline of a pod change.
func (l *lifecycle) UpdatePod(_ context.Context, p *corev1.Pod) error { return l.note(p) }

// DeletePod is called when somebody deletes a pod, with its grace; also for pods that
// are no longer there.
func (l *lifecycle) DeletePod(_ context.Context, p *corev1.Pod) error { return l.note(p) }

// note has a pod that is looked after looked at as it is now.
func (l *lifecycle) note(p *corev1.Pod) error {
	was, ok := l.get(p.UID)
	if !ok {
		return errdefs.NotFoundf("this node has no pod %s/%s with UID %s", p.Namespace, p.Name, p.UID)
	}
	p = p.DeepCopy()
	p.Status = was.Status
	l.put(p)
	l.look(p)
	return nil
}

// GetPod returns a pod with its status.
func (l *lifecycle) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	p, err := l.named(namespace, name)
	if err != nil {
		return nil, err
	}
	return p.DeepCopy(), nil
}

// GetPodStatus returns the status of a pod.
func (l *lifecycle) GetPodStatus(ctx context.Context, namespace, name string) (*corev1.PodStatus, error) {
	p, err := l.GetPod(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return &p.Status, nil
}

// GetPods returns this node's pods and no others.
func (l *lifecycle) GetPods(context.Context) ([]*corev1.Pod, error) {
	all := l.all()
	for i := range all {
		all[i] = all[i].DeepCopy()
	}
	return all, nil
}

// NotifyPods makes the pod controller leave statuses to this package, which writes them
// as they come. Without it the controller would ask for them every five seconds, and
// report pods that are gone as succeeded.
func (l *lifecycle) NotifyPods(context.Context, func(*corev1.Pod)) {}
