package operator

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestGuestsCountOnce: of a pod on idle capacity and its guest, a ResourceQuota of the
// quota tree counts neither, and one of the team's own that leaves out guests counts one.
func TestGuestsCountOnce(t *testing.T) {
	l := newLab(t)
	classes, err := os.ReadFile("../../manifests/base/priorityclass.yaml")
	l.must(err)
	l.apply(string(classes))
	l.namespaces("shop")
	l.apply("kind: Quota\nmetadata: {name: retail}\nspec: {namespaces: [shop], nominal: {onPrem: {slots: 4}}}",
		`{apiVersion: v1, kind: ResourceQuota, metadata: {name: team, namespace: shop}, spec: {hard: {pods: "4"},
scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: NotIn, values: [spillway-guest]}]}}}`)
	l.run(Options{})
	l.hard("shop", 4)
	team := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "team"}}
	for _, q := range []*corev1.ResourceQuota{resourceQuota("shop"), team} { // no controller counts here, only the API server
		get(l, q)
		q.Status.Hard, q.Status.Used = q.Spec.Hard, corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}
		l.must(l.Status().Update(t.Context(), q))
	}
	used := func(q *corev1.ResourceQuota) int64 { n := get(l, q).Status.Used[corev1.ResourcePods]; return n.Value() }
	n := 0
	create := func(class string) {
		n++
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pod-" + string(rune('a'+n))},
			Spec: corev1.PodSpec{PriorityClassName: class, Containers: []corev1.Container{{Name: "c", Image: "localhost/x:dev"}}}}
		l.within(func() string { // the API server knows classes and quotas from a cache
			if err := l.Create(t.Context(), p); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	create(PriorityClass)
	if a, b := used(resourceQuota("shop")), used(team); a != 1 || b != 1 {
		t.Fatalf("an instance counts as %d and %d", a, b)
	}
	create("")
	create("spillway-guest")
	if a, b := used(resourceQuota("shop")), used(team); a != 1 || b != 2 {
		t.Errorf("after a pod and its guest %d and %d are counted", a, b)
	}
}
