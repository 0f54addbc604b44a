package node

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// hosts has events tell virtual pods what becomes of the real nodes that their guests
// are on.
func (n *Node) hosts(nodes cache.SharedIndexInformer) error {
	_, err := nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(was, is any) { n.host(was.(*corev1.Node), is.(*corev1.Node)) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			n.onHost(o.(*corev1.Node).Name, "NodeGone", "is no more: the guest is lost with it, and the pod goes on elsewhere when the cluster has removed it")
		},
	})
	return err
}

func (n *Node) host(was, is *corev1.Node) {
	if ready(was) && !ready(is) {
		n.onHost(is.Name, "NodeNotReady", "is not ready: its guest goes on there or is lost, and never runs twice; the pod goes on elsewhere when the guest is surely over")
	}
	if !was.Spec.Unschedulable && is.Spec.Unschedulable {
		n.onHost(is.Name, "NodeCordoned", "takes no new guests; this one goes on until it ends or is evicted")
	}
}

func ready(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// onHost tells every pod whose guest is on a node.
func (n *Node) onHost(name, reason, text string) {
	running, err := n.Running(context.Background())
	if err != nil {
		return
	}
	for _, p := range running {
		if g := n.latest(p); g != nil && g.Spec.NodeName == name {
			n.recorder.Event(p, corev1.EventTypeWarning, reason, "node "+name+" "+text)
		}
	}
}
