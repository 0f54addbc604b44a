package node

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/guest"
)

// facts are what is known of v; live ones are read from the API server itself.
func (c *courses) facts(ctx context.Context, v virtual, live bool) (course.Facts, error) {
	f := course.Facts{Node: c.node, Live: live}
	var err error
	if live {
		f.Pod, f.Guests, err = c.read(ctx, v)
	} else {
		f.Pod, f.Guests, err = c.cached(v)
	}
	if err != nil {
		return f, fmt.Errorf("read pod %s and its guests: %w", v, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.known[v.uid]; m != nil {
		f.Pod = m.newer(f.Pod)
		f.Answer, f.Reclaim, f.Cloud, f.Last, f.Begun = m.answer, m.reclaim, m.cloud, m.last, m.begun
		f.NoRoom, f.Vain = m.noRoom, m.vain
	}
	return f, nil
}

// newer is p, or what was written of it since: a cache learns of that a moment later. A
// pod that is gone stays gone.
func (m *memory) newer(p *corev1.Pod) *corev1.Pod {
	if p == nil || m.written == nil {
		return p
	}
	if order, err := resourceversion.CompareResourceVersion(m.written.ResourceVersion, p.ResourceVersion); err == nil && order > 0 {
		return m.written
	}
	m.written = nil
	return p
}

func (c *courses) cached(v virtual) (*corev1.Pod, []*corev1.Pod, error) {
	p, err := c.virtual.Pods(v.Namespace).Get(v.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, nil, err
	}
	found, err := c.guests.ByIndex(byVirtual, ofVirtual(v.Namespace, string(v.uid)))
	if err != nil {
		return nil, nil, err
	}
	guests := make([]*corev1.Pod, len(found))
	for i := range found {
		guests[i] = found[i].(*corev1.Pod)
	}
	return c.ofNode(p, v), guests, nil
}

func (c *courses) read(ctx context.Context, v virtual) (*corev1.Pod, []*corev1.Pod, error) {
	p, err := c.readPod(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	found, err := c.client.CoreV1().Pods(v.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: guest.LabelOf + "=" + string(v.uid) + "," + guest.LabelNode + "=" + c.node,
	})
	if err != nil {
		return nil, nil, err
	}
	guests := make([]*corev1.Pod, len(found.Items))
	for i := range found.Items {
		guests[i] = &found.Items[i]
	}
	return c.ofNode(p, v), guests, nil
}

// readPod returns nil for a pod that is gone.
func (c *courses) readPod(ctx context.Context, v virtual) (*corev1.Pod, error) {
	if v.Name == "" {
		return nil, nil
	}
	p, err := c.client.CoreV1().Pods(v.Namespace).Get(ctx, v.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return p, err
}

// ofNode is p if it is the pod v and bound to this node; names are used again.
func (c *courses) ofNode(p *corev1.Pod, v virtual) *corev1.Pod {
	if p == nil || p.UID != v.uid || p.Spec.NodeName != c.node {
		return nil
	}
	return p
}
