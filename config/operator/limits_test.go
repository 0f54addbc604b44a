package operator

import (
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
)

func retail(slots int) string {
	return "kind: Quota\nmetadata: {name: retail}\nspec: {parent: company, namespaces: [shop, media], nominal: {onPrem: {slots: " + strconv.Itoa(slots) +
		", cpu: 2, memory: 1Gi}}, borrowingLimit: {onPrem: {slots: 2}}}"
}

// hard waits until the limit of pods in a namespace is n.
func (l *lab) hard(namespace string, n int64) *corev1.ResourceQuota {
	l.Helper()
	q := resourceQuota(namespace)
	l.within(func() string {
		if gone(l, q) {
			return "no ResourceQuota in " + namespace
		}
		if pods := q.Spec.Hard[corev1.ResourcePods]; pods.Value() != n {
			return namespace + " has pods " + pods.String()
		}
		return ""
	})
	return q
}

func TestLimitsOfNamespaces(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop", "media")
	l.apply(platform, functionText("shop", "pay", "a", "resources: {cpu: 250m, memory: 128Mi}"), "kind: Quota\nmetadata: {name: company}\nspec: {}", retail(4))
	l.run(Options{})
	retailQuota := quota("retail")
	l.contains(l.condition(retailQuota, kube.QuotaProjected, "Projected"), "ResourceQuota shop/spillway", "media/spillway")
	l.condition(retailQuota, kube.Drifted, "AsProjected")
	shop := l.hard("shop", 6)
	// Six pods: each asks for 10m and 32Mi beside its function.
	for name, want := range map[corev1.ResourceName]string{corev1.ResourceRequestsCPU: "2060m", corev1.ResourceRequestsMemory: "1216Mi"} {
		if got := shop.Spec.Hard[name]; got.Cmp(resource.MustParse(want)) != 0 {
			t.Errorf("%s %s, want %s", name, got.String(), want)
		}
	}
	if s := scopeText(shop.Spec); s != "PriorityClass In spillway-instance" || shop.Labels[QuotaLabel] != "retail" || len(shop.OwnerReferences) > 0 {
		t.Errorf("scope %s, labels %v", s, shop.Labels)
	}
	l.quiet(retailQuota, shop)

	edit := func(n string) {
		t.Helper()
		l.must(l.Patch(t.Context(), resourceQuota("shop"), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"hard":{"pods":"`+n+`","limits.cpu":"3"}}}`))))
	}
	t.Run("an edit is shown and left", func(t *testing.T) {
		edit("50")
		l.contains(l.condition(retailQuota, kube.Drifted, "ChangedElsewhere"), "pods: 6 wanted, 50 found", "limits.cpu: none wanted, 3 found", RestoreAnnotation)
		l.hard("shop", 50)
		l.quiet(retailQuota, resourceQuota("shop"))
		if p := retailQuota.Status.Projected; len(p) != 2 || p[1].Found == nil || *p[1].Found.Slots != 50 || *p[1].Want.Slots != 6 {
			t.Errorf("projected %+v", p)
		}
		l.within(func() string { return want(len(l.eventsOf("retail", "ChangedElsewhere")), 1, "events of a change") })
	})
	t.Run("the annotation restores once", func(t *testing.T) {
		l.must(l.Patch(t.Context(), quota("retail"), client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"`+RestoreAnnotation+`":"now"}}}`))))
		q := l.hard("shop", 6)
		l.condition(retailQuota, kube.Drifted, "AsProjected")
		if _, left := q.Spec.Hard["limits.cpu"]; left {
			t.Error("what was added is still there")
		}
		l.within(func() string {
			if len(get(l, retailQuota).Annotations) > 0 {
				return "the annotation is still there"
			}
			return ""
		})
	})
	t.Run("what is deleted is shown, and comes with the next change", func(t *testing.T) {
		l.must(l.Delete(t.Context(), resourceQuota("shop")))
		l.contains(l.condition(retailQuota, kube.Drifted, "ChangedElsewhere"), "shop/spillway was deleted")
		l.apply(retail(5))
		l.hard("shop", 7)
		l.hard("media", 7)
		l.condition(retailQuota, kube.Drifted, "AsProjected")
	})
	t.Run("lowered below use", func(t *testing.T) {
		q := l.hard("shop", 7)
		q.Status.Hard, q.Status.Used = q.Spec.Hard, corev1.ResourceList{corev1.ResourcePods: resource.MustParse("7")}
		l.must(l.Status().Update(t.Context(), q))
		l.apply(retail(1))
		l.hard("shop", 3)
		l.contains(l.condition(retailQuota, kube.QuotaProjected, "InUseAbove"), "7 pods in shop, of 3")
		get(l, q).Status.Used[corev1.ResourcePods] = resource.MustParse("2")
		l.must(l.Status().Update(t.Context(), q))
		l.condition(retailQuota, kube.QuotaProjected, "Projected")
	})
	t.Run("out of the tree", func(t *testing.T) {
		l.apply("kind: Quota\nmetadata: {name: retail}\nspec: {namespaces: [shop], nominal: {onPrem: {slots: 1}}}")
		l.within(func() string {
			if !gone(l, resourceQuota("media")) {
				return "the limit is still there"
			}
			return ""
		})
		l.hard("shop", 1)
		l.must(l.Delete(t.Context(), quota("retail")))
		l.within(func() string {
			if !gone(l, resourceQuota("shop")) {
				return "the limit is still there"
			}
			return ""
		})
	})
}

// TestLimitsWithoutNamespace has a namespace that comes late, one that has a
// ResourceQuota of somebody else, and one that is deleted.
func TestLimitsWithoutNamespace(t *testing.T) {
	l := newLab(t)
	l.namespaces("taken", "dying")
	l.apply("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: spillway, namespace: taken}\nspec: {hard: {pods: '1'}}",
		"kind: Quota\nmetadata: {name: late}\nspec: {namespaces: [late], nominal: {onPrem: {slots: 2}}}",
		"kind: Quota\nmetadata: {name: taken}\nspec: {namespaces: [taken], nominal: {onPrem: {slots: 2}}}",
		"kind: Quota\nmetadata: {name: dying}\nspec: {namespaces: [dying], nominal: {onPrem: {slots: 2}}}",
		"kind: Quota\nmetadata: {name: none}\nspec: {nominal: {cloud: {slots: 2}}}")
	l.run(Options{})
	l.contains(l.condition(quota("late"), kube.QuotaProjected, "NamespaceMissing"), "namespace late")
	l.contains(l.condition(quota("taken"), kube.QuotaProjected, "NotOurs"), "in taken")
	l.condition(quota("none"), kube.QuotaProjected, "NothingToProject")
	l.condition(quota("dying"), kube.QuotaProjected, "Projected")
	l.namespaces("late")
	l.condition(quota("late"), kube.QuotaProjected, "Projected")
	l.hard("late", 2)
	if q := get(l, resourceQuota("taken")); q.Spec.Hard.Pods().Value() != 1 {
		t.Error("somebody else's was changed")
	}
	l.must(l.Delete(t.Context(), &corev1.Namespace{ObjectMeta: quota("dying").ObjectMeta}))
	l.contains(l.condition(quota("dying"), kube.QuotaProjected, "NamespaceMissing"), "namespace dying")
}
