package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/spillway-dev/spillway/provider/guest"
	"github.com/spillway-dev/spillway/provider/usage"
)

// Healthy says why the node cannot look after its pods, or nil.
func (n *Node) Healthy() error {
	if err := n.presence.heard(); err != nil {
		return err
	}
	return n.courses.healthy(silence)
}

// hungFor is how long nothing may move before only another process helps.
const hungFor = 3 * time.Minute

// Hung says that the node does nothing any more and will not by itself, or nil.
func (n *Node) Hung() error { return n.courses.healthy(hungFor) }

// Guest names the pod that runs the containers of a virtual pod, or ran them last.
func (n *Node) Guest(namespace, name string) (string, error) {
	p, err := n.watched.own.Core().V1().Pods().Lister().Pods(namespace).Get(name)
	if err != nil {
		return "", fmt.Errorf("this node has no pod %s/%s", namespace, name)
	}
	if g := n.latest(p); g != nil {
		return g.Name, nil
	}
	return "", fmt.Errorf("pod %s/%s has no guest now, so nothing of it runs: %s", namespace, name, p.Status.Message)
}

// latest is the newest guest of p, or nil.
func (n *Node) latest(p *corev1.Pod) *corev1.Pod {
	found, err := n.courses.guests.ByIndex(byVirtual, ofVirtual(p.Namespace, string(p.UID)))
	if err != nil {
		return nil
	}
	var latest *corev1.Pod
	for _, o := range found {
		if g := o.(*corev1.Pod); latest == nil || guest.Attempt(g) > guest.Attempt(latest) {
			latest = g
		}
	}
	return latest
}

// Pods are those that are bound to the node.
func (n *Node) Pods(context.Context) ([]*corev1.Pod, error) {
	return n.watched.own.Core().V1().Pods().Lister().List(labels.Everything())
}

// Running are those of them that have something running.
func (n *Node) Running(ctx context.Context) ([]*corev1.Pod, error) {
	all, err := n.Pods(ctx)
	if err != nil {
		return nil, err
	}
	var running []*corev1.Pod
	for _, p := range all {
		if g := n.latest(p); g != nil && !guest.Terminal(g) && !guest.Terminal(p) && p.DeletionTimestamp == nil && runs(g) {
			running = append(running, p)
		}
	}
	return running, nil
}

func runs(g *corev1.Pod) bool {
	return slices.ContainsFunc(slices.Concat(g.Status.InitContainerStatuses, g.Status.ContainerStatuses), func(c corev1.ContainerStatus) bool {
		return c.State.Running != nil
	})
}

// Guests are the running guests, and whose kubelets know what they use.
func (n *Node) Guests() []usage.Guest {
	running, err := n.Running(context.Background())
	if err != nil {
		return nil
	}
	var out []usage.Guest
	for _, p := range running {
		g := n.latest(p)
		if g == nil || g.Spec.NodeName == "" {
			continue
		}
		if kubelet := n.kubelet(g.Spec.NodeName); kubelet != "" {
			out = append(out, usage.Guest{Pod: p, Name: g.Name, Kubelet: kubelet})
		}
	}
	return out
}

// kubelet is where the kubelet of a real node is reached, as HOST:PORT.
func (n *Node) kubelet(name string) string {
	real, err := n.watched.cluster.Core().V1().Nodes().Lister().Get(name)
	if err != nil || real.Status.DaemonEndpoints.KubeletEndpoint.Port == 0 {
		return ""
	}
	for _, a := range real.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return net.JoinHostPort(a.Address, strconv.Itoa(int(real.Status.DaemonEndpoints.KubeletEndpoint.Port)))
		}
	}
	return ""
}
