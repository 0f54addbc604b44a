package operator

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/config"
)

const platform = `kind: Pool
metadata: {name: pods}
spec: {kind: kubernetes, region: headquarters, kubernetes: {runtimeImage: 'localhost/runtime:dev', allowTags: true, sizes: [{memory: 256Mi, cpu: 250m}]}}
---
kind: Pool
metadata: {name: lambda-us}
spec: {kind: lambda, region: us-east-1, lambda: {credentials: {environment: true}}, limits: {concurrency: 100}}
---
kind: BurstPolicy
metadata: {name: default}
spec: {mode: Hybrid, order: [pods, lambda-us]}`

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

func functionText(namespace, name, code, rest string) string {
	return "kind: Function\nmetadata: {name: " + name + ", namespace: " + namespace + "}\nspec: {revisions: [{name: v1, package: {digest: '" + digest(code) + "'}}], " + rest + "}"
}

func TestConditionsOfFunctions(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop", "poor")
	l.apply(platform, "kind: Quota\nmetadata: {name: retail}\nspec: {namespaces: [shop], budgets: [{window: day, amount: '5'}]}",
		functionText("shop", "pay", "a", "burst: allow, cloud: [{pool: lambda-us}]"),
		functionText("shop", "stay", "a", ""),
		functionText("poor", "pay", "a", "burst: allow, cloud: [{pool: lambda-us}]"),
		functionText("shop", "unbound", "a", "burst: allow"),
		functionText("shop", "wrong", "a", "burstPolicy: nope"))
	stop := l.run(Options{})

	pay, wrong := function("shop", "pay"), function("shop", "wrong")
	l.condition(pay, kube.Ready, ReasonValid)
	l.contains(l.condition(pay, kube.Burstable, "Permitted"), "lambda-us")
	l.condition(function("shop", "stay"), kube.Burstable, "BurstDenied")
	l.contains(l.condition(function("poor", "pay"), kube.Burstable, "NoBudget"), "namespace poor")
	l.contains(l.condition(function("shop", "unbound"), kube.Burstable, "NoBinding"), "lambda-us: spec.cloud has no entry")
	l.contains(l.condition(wrong, kube.Ready, ReasonInvalid), "spec.burstPolicy", "nope")
	l.condition(&kube.Pool{ObjectMeta: quota("lambda-us").ObjectMeta}, kube.Ready, ReasonValid)
	policy := &kube.BurstPolicy{ObjectMeta: quota("default").ObjectMeta}
	l.condition(policy, kube.Ready, ReasonValid)
	l.within(func() string {
		if n := get(l, policy).Status.Functions; n != 4 {
			return "the policy has not 4 functions"
		}
		return ""
	})
	if r := get(l, pay).Status.Revisions; len(r) != 1 || r[0].Code != digest("a") || r[0].Since.IsZero() || pay.Status.ObservedGeneration != pay.Generation {
		t.Errorf("status %+v", pay.Status)
	}
	if tr := pay.Status.Traffic; len(tr) != 1 || tr[0].Revision != "v1" || tr[0].Weight != 100 {
		t.Errorf("traffic %+v", tr)
	}

	t.Run("nothing is written twice", func(t *testing.T) { l.quiet(pay, wrong, quota("retail")) })
	t.Run("events are of changes", func(t *testing.T) {
		l.within(func() string { return want(len(l.eventsOf("wrong", ReasonInvalid)), 1, "events of a wrong function") })
		if n := l.eventsOf("pay", ReasonValid); len(n) != 0 {
			t.Errorf("news of nothing new: %q", n)
		}
		l.apply(functionText("shop", "wrong", "a", "burstPolicy: default"))
		l.condition(wrong, kube.Ready, ReasonValid)
		l.within(func() string { return want(len(l.eventsOf("wrong", ReasonValid)), 1, "events of a mended function") })
	})
	t.Run("the last good serves", func(t *testing.T) {
		l.apply(functionText("shop", "wrong", "a", "burstPolicy: nope"))
		l.contains(l.condition(wrong, kube.Ready, ReasonLastGood), "nope", "the dispatcher last saw it without")
		before := wrong.ResourceVersion
		stop()
		l.run(Options{}) // which has not seen what was good
		l.round()
		if get(l, wrong).ResourceVersion != before {
			t.Errorf("another operator says otherwise: %+v", wrong.Status)
		}
	})
	t.Run("revisions do not change", func(t *testing.T) {
		l.apply(functionText("shop", "pay", "b", "burst: allow"))
		l.contains(l.condition(pay, kube.Ready, ReasonLastGood), "spec.revisions[0]", "had other code before", "a new name: revisions do not change")
		if r := pay.Status.Revisions; len(r) != 1 || r[0].Code != digest("a") {
			t.Errorf("revisions %+v", r)
		}
		l.apply("kind: Function\nmetadata: {name: pay, namespace: shop}\nspec: {revisions: [{name: v1, package: {digest: '" + digest("a") + "'}}, {name: v2, package: {digest: '" + digest("b") +
			"'}}], traffic: [{revision: v1, weight: 90}, {revision: v2, weight: 10}]}")
		l.condition(pay, kube.Ready, ReasonValid)
		if r, tr := pay.Status.Revisions, pay.Status.Traffic; len(r) != 2 || r[1].Name != "v2" || len(tr) != 2 || tr[0].Weight != 90 || tr[1].Weight != 10 || pay.Status.Split != "v1 90%, v2 10%" {
			t.Errorf("status %+v", pay.Status)
		}
	})
	t.Run("the kill switch", func(t *testing.T) {
		l.apply("kind: BurstPolicy\nmetadata: {name: default}\nspec: {mode: Hybrid, order: [pods, lambda-us], killSwitch: true}")
		l.condition(function("poor", "pay"), kube.Burstable, "KillSwitch")
	})
}

func want(got, is int, what string) string {
	if got == is {
		return ""
	}
	return "not the number of " + what
}

// TestNonsense breaks what concerns all objects, and statuses, by hand.
func TestNonsense(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	l.apply(platform, functionText("shop", "pay", "a", ""), "kind: Quota\nmetadata: {name: a}\nspec: {namespaces: [shop], nominal: {onPrem: {slots: 3}}}",
		"kind: Quota\nmetadata: {name: b}\nspec: {parent: a}")
	l.run(Options{})
	pay := function("shop", "pay")
	l.condition(pay, kube.Ready, ReasonValid)
	l.condition(quota("a"), kube.QuotaProjected, "Projected")

	l.apply("kind: Quota\nmetadata: {name: a}\nspec: {parent: b, namespaces: [shop], nominal: {onPrem: {slots: 3}}}")
	l.contains(l.condition(quota("a"), kube.Ready, ReasonLastGood), "spec.parent")
	l.apply(functionText("shop", "late", "a", ""))
	l.contains(l.condition(function("shop", "late"), kube.Ready, ReasonBlocked), "Quota a")
	l.condition(pay, kube.Ready, ReasonValid)
	if gone(l, resourceQuota("shop")) {
		t.Error("a limit was taken away while objects have faults")
	}
	l.apply("kind: Quota\nmetadata: {name: a}\nspec: {namespaces: [shop], nominal: {onPrem: {slots: 3}}}")
	l.condition(quota("a"), kube.Ready, ReasonValid)
	l.condition(function("shop", "late"), kube.Ready, ReasonValid)

	nonsense := []byte(`{"status":{"observedGeneration":77,"traffic":[{"revision":"x","weight":900}],"conditions":[{"type":"Ready","status":"False","reason":"Hacked","message":"","lastTransitionTime":"2020-01-01T00:00:00Z"},{"type":"Mine","status":"True","reason":"Mine","message":"","lastTransitionTime":"2020-01-01T00:00:00Z"}]}}`)
	l.must(l.Status().Patch(t.Context(), get(l, pay), client.RawPatch("application/merge-patch+json", nonsense)))
	l.must(l.Patch(t.Context(), pay, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
	l.condition(pay, kube.Ready, ReasonValid)
	l.within(func() string {
		get(l, pay)
		if pay.Status.ObservedGeneration != pay.Generation || len(pay.Status.Traffic) != 1 || pay.Status.Traffic[0].Weight != 100 || len(pay.Finalizers) != 1 {
			return "status and finalizers are still nonsense"
		}
		return ""
	})
	if meta.FindStatusCondition(pay.Status.Conditions, "Mine") == nil {
		t.Error("a condition of somebody else was taken away")
	}
}

func TestDriftOfClouds(t *testing.T) {
	l := newLab(t)
	l.namespaces("shop")
	l.apply(platform, functionText("shop", "pay", "a", "burst: allow, cloud: [{pool: lambda-us, memory: 256Mi}]"), functionText("shop", "stay", "a", ""))
	asks := make(chan clouddrift.Found, 1)
	asks <- clouddrift.Found{Version: "1", MiB: 512, NoDigest: "-"}
	l.run(Options{CloudsEvery: 1e6, Clouds: func(ctx context.Context, loaded *config.Loaded) []clouddrift.Finding {
		select {
		case is := <-asks:
			w := clouddrift.Wants(loaded.Platform, "", func(*spillway.Pool) string { return "" })[0]
			is.Timeout = w.Binding.Timeout
			return []clouddrift.Finding{{Pool: "lambda-us", Status: clouddrift.Unreachable, Problem: "access denied"}, clouddrift.Compare(w, is)}
		case <-ctx.Done():
			return nil
		}
	}})
	pay, pool := function("shop", "pay"), &kube.Pool{ObjectMeta: quota("lambda-us").ObjectMeta}
	l.contains(l.condition(pay, kube.Drifted, "DiffersInCloud"), "memory: 256 MiB wanted, 512 MiB found")
	l.contains(l.condition(pool, kube.Drifted, "CloudUnreachable"), "access denied")
	asks <- clouddrift.Found{Version: "1", MiB: 256, NoDigest: "-"}
	l.condition(pay, kube.Drifted, "AsWritten")
	asks <- clouddrift.Found{Missing: clouddrift.MissingFunction}
	l.condition(pay, kube.Drifted, "MissingInCloud")
	if meta.FindStatusCondition(get(l, function("shop", "stay")).Status.Conditions, kube.Drifted) != nil {
		t.Error("a function that is in no cloud has drifted")
	}
}
