package guest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// place leads a guest to real nodes only, at the priority of guests.
func place(spec *corev1.PodSpec, node string) {
	spec.NodeName = ""
	spec.PriorityClassName, spec.Priority, spec.PreemptionPolicy = PriorityClass, nil, nil
	spec.EphemeralContainers, spec.SchedulingGates, spec.ReadinessGates = nil, nil, nil
	spec.SchedulingGroup, spec.EvictionResponders = nil, nil
	spec.Overhead = nil // the runtime class sets it again
	spec.Tolerations = slices.DeleteFunc(spec.Tolerations, toVirtual)
	for key, value := range spec.NodeSelector {
		if virtual(key, value, node) {
			delete(spec.NodeSelector, key)
		}
	}
	affinity(spec, node)
	once(spec)
}

// toVirtual reports a toleration that opens virtual nodes: of their taints, or of
// every taint.
func toVirtual(t corev1.Toleration) bool {
	if t.Effect != "" && t.Effect != corev1.TaintEffectNoSchedule {
		return false
	}
	return t.Key == "" || t.Key == taintOffline || t.Key == taintReclaiming || t.Key == taintProvider
}

// virtual reports whether a label is one that only virtual nodes have.
func virtual(key, value, node string) bool {
	switch key {
	case labelType:
		return value == typeVirtual
	case corev1.LabelHostname, metav1.ObjectNameField:
		return value == node
	}
	return key == taintOffline || key == labelNoBalancer
}

// affinity takes out what asks for virtual nodes and asks for others in every term.
func affinity(spec *corev1.PodSpec, node string) {
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	if spec.Affinity.NodeAffinity == nil {
		spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	nodes := spec.Affinity.NodeAffinity
	for i := range nodes.PreferredDuringSchedulingIgnoredDuringExecution {
		narrow(&nodes.PreferredDuringSchedulingIgnoredDuringExecution[i].Preference, node)
	}
	nodes.PreferredDuringSchedulingIgnoredDuringExecution = slices.DeleteFunc(nodes.PreferredDuringSchedulingIgnoredDuringExecution,
		func(p corev1.PreferredSchedulingTerm) bool { return empty(p.Preference) })
	if nodes.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		nodes.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{}
	}
	required := nodes.RequiredDuringSchedulingIgnoredDuringExecution
	required.NodeSelectorTerms = slices.DeleteFunc(required.NodeSelectorTerms, empty) // such a term matches no node
	if len(required.NodeSelectorTerms) == 0 {
		required.NodeSelectorTerms = []corev1.NodeSelectorTerm{{}}
	}
	for i := range required.NodeSelectorTerms {
		term := &required.NodeSelectorTerms[i]
		narrow(term, node)
		term.MatchExpressions = append(term.MatchExpressions,
			corev1.NodeSelectorRequirement{Key: labelType, Operator: corev1.NodeSelectorOpNotIn, Values: []string{typeVirtual}})
	}
}

func empty(t corev1.NodeSelectorTerm) bool { return len(t.MatchExpressions)+len(t.MatchFields) == 0 }

// narrow takes virtual nodes out of what a term asks for.
func narrow(t *corev1.NodeSelectorTerm, node string) {
	t.MatchExpressions = narrowed(t.MatchExpressions, node)
	t.MatchFields = narrowed(t.MatchFields, node)
}

func narrowed(asked []corev1.NodeSelectorRequirement, node string) []corev1.NodeSelectorRequirement {
	var kept []corev1.NodeSelectorRequirement
	for _, r := range asked {
		switch r.Operator {
		case corev1.NodeSelectorOpIn:
			r.Values = slices.DeleteFunc(r.Values, func(value string) bool { return virtual(r.Key, value, node) })
			if len(r.Values) == 0 {
				continue
			}
		case corev1.NodeSelectorOpExists:
			if r.Key != corev1.LabelHostname && virtual(r.Key, typeVirtual, node) {
				continue
			}
		}
		kept = append(kept, r)
	}
	return kept
}

// once undoes what the API server has merged into selectors of v, because it merges
// it again: a key may not be in both.
func once(spec *corev1.PodSpec) {
	each(spec, func(t *corev1.PodAffinityTerm) {
		t.MatchLabelKeys = unmerged(t.MatchLabelKeys, t.LabelSelector)
		t.MismatchLabelKeys = unmerged(t.MismatchLabelKeys, t.LabelSelector)
	})
	for i := range spec.TopologySpreadConstraints {
		t := &spec.TopologySpreadConstraints[i]
		t.MatchLabelKeys = unmerged(t.MatchLabelKeys, t.LabelSelector)
	}
}

// each visits all terms of affinity and anti-affinity between pods.
func each(spec *corev1.PodSpec, visit func(*corev1.PodAffinityTerm)) {
	if near := spec.Affinity.PodAffinity; near != nil {
		visitTerms(near.RequiredDuringSchedulingIgnoredDuringExecution, near.PreferredDuringSchedulingIgnoredDuringExecution, visit)
	}
	if apart := spec.Affinity.PodAntiAffinity; apart != nil {
		visitTerms(apart.RequiredDuringSchedulingIgnoredDuringExecution, apart.PreferredDuringSchedulingIgnoredDuringExecution, visit)
	}
}

func visitTerms(required []corev1.PodAffinityTerm, preferred []corev1.WeightedPodAffinityTerm, visit func(*corev1.PodAffinityTerm)) {
	for i := range required {
		visit(&required[i])
	}
	for i := range preferred {
		visit(&preferred[i].PodAffinityTerm)
	}
}

func unmerged(keys []string, selector *metav1.LabelSelector) []string {
	return slices.DeleteFunc(keys, func(key string) bool { return owned(key) || asksFor(selector, func(k string) bool { return k == key }) })
}

// asksFor reports whether a selector has a requirement on a key for which is holds.
func asksFor(selector *metav1.LabelSelector, is func(key string) bool) bool {
	if selector == nil {
		return false
	}
	for key := range selector.MatchLabels {
		if is(key) {
			return true
		}
	}
	return slices.ContainsFunc(selector.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool { return is(r.Key) })
}
