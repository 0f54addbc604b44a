package node

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

// pin has the scheduler bind g to one node, beside what g asks itself.
func pin(g *corev1.Pod, node string) {
	field := corev1.NodeSelectorRequirement{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}
	if g.Spec.Affinity == nil {
		g.Spec.Affinity = &corev1.Affinity{}
	}
	if g.Spec.Affinity.NodeAffinity == nil {
		g.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	affinity := g.Spec.Affinity.NodeAffinity
	if affinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		affinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}}}
	}
	terms := affinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	for i := range terms { // any one of them is enough
		terms[i].MatchFields = append(terms[i].MatchFields, field)
	}
}

// chosen is the node that g was pinned to, or "".
func chosen(g *corev1.Pod) string {
	if g.Spec.Affinity == nil || g.Spec.Affinity.NodeAffinity == nil || g.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range g.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, f := range term.MatchFields {
			if f.Key == metav1.ObjectNameField && f.Operator == corev1.NodeSelectorOpIn && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}

// nodeOf is where p is, or where it is bound to go: a guest holds the room of the node
// that was chosen for it from the moment it is made.
func nodeOf(p *corev1.Pod) string {
	if p.Spec.NodeName != "" || p.Labels[guest.LabelNode] == "" {
		return p.Spec.NodeName
	}
	return chosen(p)
}
