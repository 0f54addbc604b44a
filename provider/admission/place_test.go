package admission

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

func readyNode() *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse}, {Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return n
}

// TestBound: what may go to a cloud is bound as it is made, to a node that takes pods.
func TestBound(t *testing.T) {
	for _, one := range []struct {
		name   string
		change func(*corev1.Pod, *corev1.Node)
		want   bool
	}{
		{"may go to a cloud", func(*corev1.Pod, *corev1.Node) {}, true},
		{"may not", func(p *corev1.Pod, _ *corev1.Node) { delete(p.Annotations, guest.AnnotationBurst) }, false},
		{"held by a gate", func(p *corev1.Pod, _ *corev1.Node) {
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "queue"}}
		}, false},
		{"cordoned", func(_ *corev1.Pod, n *corev1.Node) { n.Spec.Unschedulable = true }, false},
		{"leaves", func(_ *corev1.Pod, n *corev1.Node) { n.DeletionTimestamp = new(metav1.NewTime(time.Unix(1, 0))) }, false},
		{"not ready", func(_ *corev1.Pod, n *corev1.Node) { n.Status.Conditions[1].Status = corev1.ConditionUnknown }, false},
		{"never said", func(_ *corev1.Pod, n *corev1.Node) { n.Status.Conditions = nil }, false},
	} {
		p, n := jobPod("p"), readyNode()
		p.Annotations = map[string]string{guest.AnnotationBurst: "crunch"}
		one.change(p, n)
		patch, err := patchOf(p, n)
		must(t, err)
		var all []operation
		must(t, json.Unmarshal(patch, &all))
		got := false
		for _, o := range all {
			got = got || o.Path == "/spec/nodeName" && o.Value == node
		}
		if got != one.want {
			t.Errorf("%s: bound %v: %s", one.name, got, patch)
		}
	}
}

// TestLeftAs: why is one line of bounded length, and good UTF-8.
func TestLeftAs(t *testing.T) {
	patch, err := leftAs(jobPod("p"), "refused: a\nb"+strings.Repeat("界", maxLeft))
	must(t, err)
	var all []struct {
		Path  string
		Value map[string]string
	}
	must(t, json.Unmarshal(patch, &all))
	said := all[0].Value[AnnotationLeft]
	if len(all) != 1 || all[0].Path != "/metadata/annotations" || !strings.HasPrefix(said, "refused: a·b界") || len(said) > maxLeft || strings.ContainsRune(said, '\uFFFD') {
		t.Errorf("%s", patch)
	}
}
