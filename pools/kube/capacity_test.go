package kube

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway"
)

func of(slots, milliCPU, mib int64) spillway.Resources {
	return spillway.Resources{Slots: slots, MilliCPU: milliCPU, MiB: mib}
}

func TestCapacityOf(t *testing.T) {
	usable := func(slots, cpu, mib int64) node { return node{of(slots, cpu, mib), true} }
	for _, c := range []struct {
		name          string
		nodes         map[string]node
		claims        []claim
		held, waiting spillway.Resources
		want          spillway.Resources
	}{
		{name: "nothing"},
		{name: "an empty node", nodes: map[string]node{"a": usable(110, 2000, 4000)}, want: of(110, 2000, 4000)},
		{name: "two nodes, others on one", nodes: map[string]node{"a": usable(110, 2000, 4000), "b": usable(10, 1000, 1000)},
			claims: []claim{{node: "a", need: of(1, 500, 3000)}, {node: "elsewhere", need: of(1, 500, 1)}}, want: of(119, 2500, 2000)},
		{name: "a node without any memory left offers nothing", nodes: map[string]node{"a": usable(110, 2000, 4000)},
			claims: []claim{{node: "a", need: of(1, 1, 4000)}}},
		{name: "more claimed than there is", nodes: map[string]node{"a": usable(110, 2000, 4000), "b": usable(1, 100, 100)},
			claims: []claim{{node: "a", need: of(1, 1, 5000)}}, want: of(1, 100, 100)},
		{name: "a cordoned node", nodes: map[string]node{"a": {of(110, 2000, 4000), false}, "b": usable(1, 100, 100)}, want: of(1, 100, 100)},
		{name: "what instances hold and pods that wait", nodes: map[string]node{"a": usable(10, 1000, 1000)},
			claims: []claim{{node: "a", need: of(1, 110, 160)}, {node: "a", need: of(1, 110, 160)}}, held: of(1, 100, 128), waiting: of(1, 100, 128), want: of(10, 980, 936)},
		{name: "a pod on no node yet", nodes: map[string]node{"a": usable(10, 1000, 1000)}, claims: []claim{{node: "", need: of(1, 100, 100)}}, want: of(9, 900, 900)},
		{name: "more on no node than is left", nodes: map[string]node{"a": usable(10, 1000, 1000)}, claims: []claim{{node: "", need: of(1, 2000, 100)}}, want: of(9, 0, 900)},
	} {
		if got := capacityOf(c.nodes, slices.Values(c.claims), c.held, c.waiting); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestNodeOf(t *testing.T) {
	ready := func() *corev1.Node {
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"disk": "fast"}},
			Status: corev1.NodeStatus{
				Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
				Allocatable: list("2", "1Gi", "110"),
			}}
	}
	for name, c := range map[string]struct {
		change   func(*corev1.Node)
		selector map[string]string
		usable   bool
	}{
		"ready":        {usable: true},
		"selected":     {selector: map[string]string{"disk": "fast"}, usable: true},
		"left out":     {selector: map[string]string{"disk": "slow"}},
		"cordoned":     {change: func(n *corev1.Node) { n.Spec.Unschedulable = true }},
		"not ready":    {change: func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }},
		"says nothing": {change: func(n *corev1.Node) { n.Status.Conditions = nil }},
		"tainted":      {change: func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectNoSchedule}} }},
		"preferably not": {change: func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: corev1.TaintEffectPreferNoSchedule}}
		}, usable: true},
		"a node that is not": {change: func(n *corev1.Node) { n.Labels["type"] = "virtual-kubelet" }},
	} {
		n := ready()
		if c.change != nil {
			c.change(n)
		}
		if got := nodeOf(n, c.selector); got.usable != c.usable || got.allocatable != of(110, 2000, 1024) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func list(cpu, memory, pods string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for name, q := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory, corev1.ResourcePods: pods} {
		if q != "" {
			l[name] = resource.MustParse(q)
		}
	}
	return l
}

// TestNeedOf counts as the scheduler does.
func TestNeedOf(t *testing.T) {
	container := func(cpu, memory string) corev1.Container {
		return corev1.Container{Resources: corev1.ResourceRequirements{Requests: list(cpu, memory, "")}}
	}
	sidecar := func(c corev1.Container) corev1.Container {
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		return c
	}
	for name, c := range map[string]struct {
		spec corev1.PodSpec
		want spillway.Resources
	}{
		"nothing asked":     {corev1.PodSpec{Containers: []corev1.Container{{}}}, of(1, 0, 0)},
		"two containers":    {corev1.PodSpec{Containers: []corev1.Container{container("100m", "10Mi"), container("1", "1Mi")}}, of(1, 1100, 11)},
		"a part of a MiB":   {corev1.PodSpec{Containers: []corev1.Container{container("1m", "1k")}}, of(1, 1, 1)},
		"a large init":      {corev1.PodSpec{InitContainers: []corev1.Container{container("2", "5Mi"), container("1", "7Mi")}, Containers: []corev1.Container{container("1", "6Mi")}}, of(1, 2000, 7)},
		"a native sidecar":  {corev1.PodSpec{InitContainers: []corev1.Container{sidecar(container("1", "5Mi"))}, Containers: []corev1.Container{container("1", "6Mi")}}, of(1, 2000, 11)},
		"a runtime's share": {corev1.PodSpec{Overhead: list("250m", "120Mi", ""), Containers: []corev1.Container{container("1", "8Mi")}}, of(1, 1250, 128)},
	} {
		if got := needOf(&corev1.Pod{Spec: c.spec}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
