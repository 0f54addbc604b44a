package kube

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/spillway-dev/spillway"
)

// node is what the pool knows of a machine.
type node struct {
	allocatable spillway.Resources // Slots are pods
	usable      bool               // it may run pods of the pool
}

// claim is what one pod asks of the node that it is bound to, "" if of none yet.
type claim struct {
	node    string
	need    spillway.Resources
	earlier bool // an earlier run of the dispatcher made it for the pool
}

// nodeOf reads a node. One that is not ready, is cordoned, is no machine, is tainted
// against all, or that the selector leaves out is not usable.
func nodeOf(n *corev1.Node, selector map[string]string) node {
	a := n.Status.Allocatable
	out := node{
		allocatable: spillway.Resources{Slots: a.Pods().Value(), MilliCPU: a.Cpu().MilliValue(), MiB: a.Memory().Value() >> 20},
		usable:      !n.Spec.Unschedulable && n.Labels[virtual] != "virtual-kubelet" && labels.SelectorFromSet(selector).Matches(labels.Set(n.Labels)),
	}
	ready := false
	for _, c := range n.Status.Conditions {
		ready = ready || c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	}
	for _, t := range n.Spec.Taints {
		out.usable = out.usable && t.Effect == corev1.TaintEffectPreferNoSchedule
	}
	out.usable = out.usable && ready
	return out
}

// needOf is what a pod asks for: the larger of what its containers ask for together
// and what its largest init container does; init containers that keep running count
// with the others. Limits and overheads of runtime classes count as the scheduler
// counts them.
func needOf(p *corev1.Pod) spillway.Resources {
	var all, most spillway.Resources
	for i := range p.Spec.Containers {
		all = all.Add(requests(&p.Spec.Containers[i].Resources))
	}
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		r := requests(&c.Resources)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = all.Add(r)
			continue
		}
		most = spillway.Resources{MilliCPU: max(most.MilliCPU, r.MilliCPU), MiB: max(most.MiB, r.MiB)}
	}
	need := spillway.Resources{Slots: 1, MilliCPU: max(all.MilliCPU, most.MilliCPU), MiB: max(all.MiB, most.MiB)}
	if o := p.Spec.Overhead; o != nil {
		need.MilliCPU += o.Cpu().MilliValue()
		need.MiB += roundUpMiB(o.Memory().Value())
	}
	return need
}

func requests(r *corev1.ResourceRequirements) spillway.Resources {
	return spillway.Resources{MilliCPU: r.Requests.Cpu().MilliValue(), MiB: roundUpMiB(r.Requests.Memory().Value())}
}

func roundUpMiB(bytes int64) int64 { return (bytes + 1<<20 - 1) >> 20 }

// capacityOf is what instances may hold together: what they hold, what the pods that
// wait for a package offer, and what is left on usable nodes. A claim that is bound to
// no node yet lessens what is left. What is left is summed over nodes, so that a large
// instance may still find no place.
func capacityOf(nodes map[string]node, claims func(yield func(claim) bool), held, waiting spillway.Resources) spillway.Resources {
	used := make(map[string]spillway.Resources, len(nodes))
	var floating spillway.Resources
	for c := range claims {
		if c.node == "" {
			floating = floating.Add(c.need)
			continue
		}
		used[c.node] = used[c.node].Add(c.need)
	}
	var left spillway.Resources
	for name, n := range nodes {
		if !n.usable {
			continue
		}
		free := n.allocatable.Sub(used[name])
		if free.Slots <= 0 || free.MilliCPU <= 0 || free.MiB <= 0 {
			continue
		}
		left = left.Add(free)
	}
	left = left.Sub(floating)
	return held.Add(waiting).Add(positive(left))
}

func positive(r spillway.Resources) spillway.Resources {
	return spillway.Resources{Slots: max(0, r.Slots), MilliCPU: max(0, r.MilliCPU), MiB: max(0, r.MiB)}
}

// least is the smaller of both in each dimension, and never less than nothing.
func least(a, b spillway.Resources) spillway.Resources {
	return positive(spillway.Resources{Slots: min(a.Slots, b.Slots), MilliCPU: min(a.MilliCPU, b.MilliCPU), MiB: min(a.MiB, b.MiB)})
}
