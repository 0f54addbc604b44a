package admission

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/spillway-dev/spillway/internal/safetext"
	"github.com/spillway-dev/spillway/provider/guest"
)

const (
	// Offline is the label of the virtual node, the key of its taint, and, on a pod that
	// belongs to nothing, the wish to run there.
	Offline = "spillway.dev/offline"
	// AnnotationNode says which virtual node a pod was sent to by the webhook.
	AnnotationNode = "spillway.dev/offline-node"
	// AnnotationLeft says why a pod that was meant for it was left where it is.
	AnnotationLeft = "spillway.dev/offline-left"

	maxLeft = 1000 // bytes of why
)

// jobOf returns the Job that p belongs to, or p's own name if it is bare and asks to run
// on idle capacity; false for all others, and for those that ask not to.
func jobOf(p *corev1.Pod) (string, bool) {
	if _, is := p.Labels[guest.LabelOf]; is || p.Spec.NodeName != "" || p.Labels[Offline] == "false" {
		return "", false
	}
	if owner := metav1.GetControllerOf(p); owner != nil {
		return owner.Name, owner.Kind == "Job" && strings.HasPrefix(owner.APIVersion, "batch/")
	}
	return nameOf(p), p.Labels[Offline] == "true"
}

// nameOf is p's name, or what it will begin with.
func nameOf(p *corev1.Pod) string {
	if p.Name != "" {
		return p.Name
	}
	if name := strings.TrimRight(p.GenerateName, "-."); name != "" {
		return name
	}
	return "pod"
}

// fits says what p asks of its node that n does not have; "" if nothing.
func fits(p *corev1.Pod, n *corev1.Node) string {
	for key, value := range p.Spec.NodeSelector {
		if has, ok := n.Labels[key]; (!ok || has != value) && key != Offline {
			return fmt.Sprintf("spec.nodeSelector asks for %s=%s, which node %s does not have", key, value, n.Name)
		}
	}
	if a := p.Spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
			if holds(term, n) {
				return ""
			}
		}
		return "spec.affinity.nodeAffinity asks for other nodes than " + n.Name
	}
	return ""
}

// holds reports whether a term, which must ask for something, holds for n.
func holds(term corev1.NodeSelectorTerm, n *corev1.Node) bool {
	all := func(asked []corev1.NodeSelectorRequirement, of labels.Set) bool {
		for _, a := range asked {
			r, err := labels.NewRequirement(a.Key, operators[a.Operator], a.Values)
			if err != nil || !r.Matches(of) {
				return false
			}
		}
		return true
	}
	return len(term.MatchExpressions)+len(term.MatchFields) > 0 &&
		all(term.MatchExpressions, n.Labels) && all(term.MatchFields, labels.Set{metav1.ObjectNameField: n.Name})
}

var operators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn: selection.In, corev1.NodeSelectorOpNotIn: selection.NotIn,
	corev1.NodeSelectorOpExists: selection.Exists, corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
	corev1.NodeSelectorOpGt: selection.GreaterThan, corev1.NodeSelectorOpLt: selection.LessThan,
}

// operation is one of a JSON patch. What is written names fields one by one, so that
// fields of a pod which this program does not know stay.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// patchOf sends p to the virtual node.
func patchOf(p *corev1.Pod, n *corev1.Node) ([]byte, error) {
	all := entry(nil, "/spec/nodeSelector", p.Spec.NodeSelector, Offline, "true")
	all = entry(all, "/metadata/annotations", p.Annotations, AnnotationNode, n.Name)
	t := corev1.Toleration{Key: Offline, Operator: corev1.TolerationOpEqual, Value: "true", Effect: corev1.TaintEffectNoSchedule}
	switch {
	case tolerated(p.Spec.Tolerations):
	case len(p.Spec.Tolerations) == 0:
		all = append(all, operation{"add", "/spec/tolerations", []corev1.Toleration{t}})
	default:
		all = append(all, operation{"add", "/spec/tolerations/-", t})
	}
	if bound(p, n) {
		all = append(all, operation{"add", "/spec/nodeName", n.Name})
	}
	return json.Marshal(all)
}

// bound reports that p is bound to the virtual node as it is made. What may go to a cloud
// waits for idle capacity with the dispatcher, which knows for how long: the scheduler
// would keep it for as long as nothing is idle.
func bound(p *corev1.Pod, n *corev1.Node) bool {
	if p.Annotations[guest.AnnotationBurst] == "" || len(p.Spec.SchedulingGates) > 0 || n.Spec.Unschedulable || n.DeletionTimestamp != nil {
		return false
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// leftAs writes why p is not sent there.
func leftAs(p *corev1.Pod, why string) ([]byte, error) {
	why = safetext.Line(why)
	why = strings.ToValidUTF8(why[:min(len(why), maxLeft)], "")
	return json.Marshal(entry(nil, "/metadata/annotations", p.Annotations, AnnotationLeft, why))
}

// entry sets one of a map's.
func entry(all []operation, at string, is map[string]string, key, value string) []operation {
	switch has, ok := is[key]; {
	case len(is) == 0:
		return append(all, operation{"add", at, map[string]string{key: value}})
	case !ok || has != value:
		return append(all, operation{"add", at + "/" + pointer.Replace(key), value})
	}
	return all
}

func tolerated(by []corev1.Toleration) bool {
	for _, t := range by {
		exists := t.Operator == corev1.TolerationOpExists
		if (t.Key == Offline && (exists || t.Value == "true") || t.Key == "" && exists) && (t.Effect == "" || t.Effect == corev1.TaintEffectNoSchedule) {
			return true
		}
	}
	return false
}
