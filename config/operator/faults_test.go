package operator

import (
	"context"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/policy/rego"
)

func pod(namespace, name, function string, finalizers ...string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Finalizers: finalizers,
		Labels: map[string]string{"spillway.dev/tenant": "shop", "spillway.dev/function": function}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "function", Image: "localhost/runtime:dev"}}, AutomountServiceAccountToken: new(false)}}
}

func TestFunctionsGoAfterTheirPods(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop", "spillway-pool")
	l.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: shop}", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: spillway-pool}",
		platform, functionText("shop", "pay", "a", "timeout: 1s"), functionText("shop", "cart", "a", "timeout: 1s"), functionText("shop", "idle", "a", "timeout: 1s"))
	// The last one is held by somebody, and the clean-up does not wait for ever.
	mine, pooled, other, stuck := pod("shop", "pay-1", "pay"), pod("spillway-pool", "ready-1", "pay"), pod("shop", "other-1", "other"), pod("shop", "cart-1", "cart", "example.com/held")
	for _, p := range []*corev1.Pod{mine, pooled, other, stuck} {
		l.must(l.Create(t.Context(), p))
	}
	l.Cleanup(func() {
		l.must(l.Patch(context.Background(), stuck, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
	})
	l.run(Options{Drain: time.Second, Cleanup: 20 * time.Second})
	for _, name := range []string{"pay", "cart", "idle"} {
		l.condition(function("shop", name), kube.Ready, ReasonValid)
		l.within(func() string { return want(len(get(l, function("shop", name)).Finalizers), 1, "finalizers") })
	}
	began := time.Now()
	for _, name := range []string{"pay", "cart", "idle"} {
		l.must(l.Delete(t.Context(), function("shop", name)))
	}
	for _, name := range []string{"idle", "pay", "cart"} {
		l.within(func() string {
			if !gone(l, function("shop", name)) {
				return name + " is still there"
			}
			return ""
		})
		if name != "pay" {
			continue
		}
		if !gone(l, mine) || !gone(l, pooled) {
			t.Error("the function went before its pods")
		}
		if time.Since(began) < 2*time.Second { // the second of its timeout, and that of the drain
			t.Error("pods had no time for their calls")
		}
	}
	if gone(l, other) || gone(l, stuck) {
		t.Error("pods of others were deleted")
	}
	l.within(func() string {
		return want(len(l.eventsOf("cart", "CleanupTimedOut")), 1, "events of a clean-up that took too long")
	})
}

// TestClockSkew has operators whose clocks are ten minutes ahead of the API server's and
// behind it: pods have the time that they should have, functions go, and one takes over
// from the other without news.
func TestClockSkew(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	l.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: shop}", platform, functionText("shop", "stays", "a", ""),
		"kind: Quota\nmetadata: {name: retail}\nspec: {namespaces: [shop], nominal: {onPrem: {slots: 2}}}")
	for _, skew := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		l.apply(functionText("shop", "pay", "a", "timeout: 1s"))
		running := pod("shop", "pay-1", "pay")
		l.must(l.Create(t.Context(), running))
		stop := l.run(Options{Drain: time.Second, Cleanup: time.Minute, now: func() time.Time { return time.Now().Add(skew) }})
		pay, stays := function("shop", "pay"), function("shop", "stays")
		l.condition(pay, kube.Ready, ReasonValid)
		l.condition(stays, kube.Ready, ReasonValid)
		l.within(func() string { return want(len(get(l, pay).Finalizers), 1, "finalizers") })
		l.quiet(stays, quota("retail"), resourceQuota("shop"))
		began := time.Now()
		l.must(l.Delete(t.Context(), pay))
		l.within(func() string {
			if !gone(l, pay) {
				return "it is still there"
			}
			return ""
		})
		if took := time.Since(began); took < 2*time.Second { // the second of its timeout, and that of the drain
			t.Errorf("%s: its pod had %s for its calls", skew, took)
		}
		if !gone(l, running) {
			t.Errorf("%s: the function went before its pod", skew)
		}
		if n := l.eventsOf("pay", "CleanupTimedOut"); len(n) != 0 {
			t.Errorf("%s: %q", skew, n)
		}
		stop()
	}
}

func regoFaults(dir string, p *spillway.Platform) []config.Fault {
	if _, err := rego.Load(dir); err != nil {
		return []config.Fault{{File: dir + "/broken_rules.rego", Problem: strings.ReplaceAll(err.Error(), dir+"/", "")}}
	}
	return nil
}

func TestPoliciesThatDoNotLoad(t *testing.T) {
	l := newLab(t)
	l.run(Options{Policy: regoFaults})
	policy := func(text string) {
		l.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken, namespace: " + system + ", labels: {spillway.dev/policy: 'true'}}\ndata: {rules.rego: \"" + text + "\"}")
	}
	policy("package spillway.placement\\n\\npermit := {")
	l.within(func() string { return want(len(l.eventsOf("broken", "PolicyInvalid")), 1, "events of a broken policy") })
	policy("package spillway.placement\\n\\nimport data.spillway.lib\\n\\npermit := lib.pool_names\\n")
	l.within(func() string { return want(len(l.eventsOf("broken", "PolicyValid")), 1, "events of a mended policy") })
}

// TestTwoOperators has both at work on the same objects: one leads, and the other goes
// on where it ended.
func TestTwoOperators(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	l.apply(platform, functionText("shop", "pay", "a", ""), "kind: Quota\nmetadata: {name: retail}\nspec: {namespaces: [shop], nominal: {onPrem: {slots: 2}}}")
	slow := Options{lease: time.Minute} // a busy machine does not make one lose it
	stop := l.run(slow)
	l.condition(function("shop", "pay"), kube.Ready, ReasonValid)
	first := l.leader()
	l.run(slow)
	l.quiet(function("shop", "pay"), quota("retail"))
	if l.leader() != first {
		t.Error("the second took over from one that works")
	}
	stop()
	l.apply(functionText("shop", "late", "a", ""))
	l.condition(function("shop", "late"), kube.Ready, ReasonValid)
	if l.leader() == first {
		t.Error("nobody took over")
	}
	l.quiet(function("shop", "pay"), quota("retail"), resourceQuota("shop"))
	if n := l.eventsOf("retail", "Projected"); len(n) != 0 {
		t.Errorf("news of nothing new: %q", n)
	}
}

func (l *lab) leader() string {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: LeaseName}}
	get(l, lease)
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

func TestAPIServerRestarts(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	l.apply(platform, functionText("shop", "pay", "a", ""), "kind: Quota\nmetadata: {name: retail}\nspec: {namespaces: [shop], nominal: {onPrem: {slots: 2}}}")
	l.run(Options{})
	l.condition(function("shop", "pay"), kube.Ready, ReasonValid)
	l.condition(quota("retail"), kube.QuotaProjected, "Projected")
	server := shared.env.ControlPlane.GetAPIServer()
	l.must(server.Stop())
	l.must(server.Start())
	l.within(func() string {
		if err := l.tryApply(functionText("shop", "late", "a", "")); err != nil {
			return err.Error()
		}
		return ""
	})
	l.condition(function("shop", "late"), kube.Ready, ReasonValid)
	l.quiet(function("shop", "pay"), quota("retail"), resourceQuota("shop"))
}
