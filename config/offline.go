package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// defaultNode is the virtual node of an offline pool.
const defaultNode = "spillway-offline"

// checkOffline checks a pool whose capacity is what is left over: it has no size, no
// instances and no limits of its own.
func checkOffline(s *source, spec *v1alpha1.PoolSpec) {
	s.label("spec.offline.node", spec.Offline.Node)
	s.onlyOf("lambda", "spec.lambda")
	s.onlyOf("scf", "spec.scf")
	s.onlyOf("lambda or scf", "spec.limits")
	s.onlyOf("process or kubernetes", "spec.capacity", "spec.keepAlivePolicy")
	if spec.Kubernetes == nil {
		for _, path := range []string{"spec.keepAlive", "spec.initTimeout"} {
			if s.written(path) {
				s.fault(path, "means nothing without instances of functions", "only with spec.kubernetes")
			}
		}
		return
	}
	s.duration("spec.keepAlive", spec.KeepAlive, v1alpha1.Duration(time.Millisecond), 24*3600*second)
	s.duration("spec.initTimeout", spec.InitTimeout, v1alpha1.Duration(time.Millisecond), 300*second)
	s.onlyOf("kubernetes", "spec.kubernetes.sizes", "spec.kubernetes.namespace")
	checkKubernetes(s, spec.Kubernetes)
}

// checkOfflineClass checks what class offline leaves of a function: it runs when there is
// room, so nothing waits for its calls and nobody browses it.
func checkOfflineClass(s *source, spec *v1alpha1.FunctionSpec) {
	if spec.Class != "offline" {
		return
	}
	if spec.Contract == "http" {
		s.fault("spec.contract", "http is for callers who wait, and class offline runs when there is room", "lambda, or class: online")
	}
	if *spec.MinWarm > 0 && !s.faulty("spec.minWarm") {
		s.fault("spec.minWarm", fmt.Sprintf("%d would keep idle capacity that nothing uses", *spec.MinWarm), "0, or class: online")
	}
}

// makesPods reports whether an offline pool runs functions, and not only pods of its
// node.
func makesPods(p *spillway.Pool) bool { return p.Kubernetes.RuntimeImage != "" }

// checkNodes refuses two pools for the pods of one node.
func (l *loading) checkNodes() {
	first := map[string]string{}
	for _, e := range l.all.pools {
		if e.object.Spec.Kind != "offline" || e.object.Spec.Offline == nil {
			continue
		}
		node := e.object.Spec.Offline.Node
		if other, taken := first[node]; taken {
			e.fault("spec.offline.node", fmt.Sprintf("pool %s already runs the pods of %s", quoteShort(other), quoteShort(node)), "a node of its own for each offline pool")
			continue
		}
		first[node] = e.Metadata.Name
	}
}

// offlineBefore are the offline pools that an order does not name; they come first.
func offlineBefore(p *spillway.Platform, order []string) []int {
	var first []int
	for _, pool := range p.Pools {
		if pool.Kind == spillway.PoolOffline && !pool.Retired && !slices.Contains(order, pool.Name) {
			first = append(first, pool.Index)
		}
	}
	return first
}
