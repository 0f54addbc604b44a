package kube_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
)

// quantitiesOnServer writes quantities as texts and as numbers, reads values, and
// writes those again.
func quantitiesOnServer(t *testing.T, c client.Client) {
	for name, want := range map[string]struct {
		slots       any
		cpu, memory any
		milli       v1alpha1.MilliCPU
		bytes       v1alpha1.Bytes
	}{
		"texts":     {int64(4), "500m", "1.5Gi", 500, 3 << 29},
		"numbers":   {int64(4), int64(2), int64(1 << 30), 2000, 1 << 30},
		"fractions": {int64(4), "0.250", "0.5Gi", 250, 1 << 29},
		"decimal":   {int64(4), "7", "2.5G", 7000, 25e8},
		"most":      {int64(1_000_000), "1000000", "1Pi", 1e9, 1 << 50},
	} {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": v1alpha1.APIVersion, "kind": "Quota", "metadata": map[string]any{"name": name},
			"spec": map[string]any{"nominal": map[string]any{"onPrem": map[string]any{"slots": want.slots, "cpu": want.cpu, "memory": want.memory}}}}}
		if err := apply(t.Context(), c, o.DeepCopy()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var q kube.Quota
		if err := c.Get(t.Context(), client.ObjectKey{Name: name}, &q); err != nil {
			t.Fatal(err)
		}
		if n := q.Spec.Nominal.OnPrem; *n.CPU != want.milli || *n.Memory != want.bytes {
			t.Errorf("%s: %s, %s", name, n.CPU, n.Memory)
		}
		before := *q.Spec.DeepCopy()
		if err := c.Update(t.Context(), &q); err != nil {
			t.Fatal(err)
		}
		if jsonOf(before) != jsonOf(q.Spec) {
			t.Errorf("%s: %s became %s", name, jsonOf(before), jsonOf(q.Spec))
		}
	}
}

// unreadableQuantities are texts that would stop clients from reading all objects of
// the kind; a server must not take one.
func unreadableQuantities(t *testing.T, c client.Client) {
	namespace(t, c, "shop")
	try := func(kind string, spec map[string]any) {
		t.Helper()
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": v1alpha1.APIVersion, "kind": kind, "metadata": map[string]any{"name": "x"}, "spec": spec}}
		if kind == "Function" {
			o.SetNamespace("shop")
		}
		if err := apply(t.Context(), c, o, client.DryRunAll); err == nil {
			t.Errorf("a %s was taken: %s", kind, jsonOf(spec))
		}
	}
	revisions := []any{map[string]any{"name": "v1", "package": map[string]any{"digest": "sha256:" + aDigest}}}
	for _, text := range []any{"", "x", "1e3", "1.2.3", "0.3", "0.0000000000000000001", "99999999999999999999", "9223372036854775808", "16Ei", "99999Pi", "0.1Ki", "1m5", int64(-1)} {
		for _, field := range []string{"cpu", "memory"} {
			if field == "cpu" && (text == "0.3" || text == "1m5") {
				continue
			}
			try("Function", map[string]any{"revisions": revisions, "resources": map[string]any{field: text}})
			try("Quota", map[string]any{"nominal": map[string]any{"cloud": map[string]any{field: text}}})
			try("Pool", map[string]any{"kind": "kubernetes", "kubernetes": map[string]any{"runtimeImage": "a@sha256:" + aDigest, "sizes": []any{map[string]any{"cpu": "1", "memory": "1Gi", field: text}}}})
		}
		if text != "0.3" {
			try("Quota", map[string]any{"budgets": []any{map[string]any{"window": "day", "amount": text}}})
		}
	}
	for _, text := range []any{"", "1", "-", "s", "1d", "1.5", "2562048h", "999999999h", "1h 2m", "1e3s", int64(3)} {
		for _, field := range []string{"timeout", "deadline", "maxWait"} {
			try("Function", map[string]any{"revisions": revisions, field: text})
		}
		try("BurstPolicy", map[string]any{"onPremWaitBudget": text})
	}
	for _, text := range []any{"", "2026-13-01", "2026-02-30", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "20260101", int64(2026)} {
		try("PriceBook", map[string]any{"exchangeRates": []any{map[string]any{"from": "CNY", "to": "USD", "rate": "1", "source": "s", "date": text}}})
	}
	for _, text := range []any{"", "-1", "1e3", ".5", "5.", "1,5", int64(-1)} {
		try("PriceBook", map[string]any{"exchangeRates": []any{map[string]any{"from": "CNY", "to": "USD", "rate": text, "source": "s", "date": "2026-01-01"}}})
	}
}

const aDigest = "abababababababababababababababababababababababababababababababab"

// status writes a status beside a spec, which stays.
func status(t *testing.T, c client.Client) {
	namespace(t, c, "shop")
	f := &kube.Function{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pay"}, Spec: v1alpha1.FunctionSpec{
		Revisions: []v1alpha1.Revision{{Name: "v1", Package: v1alpha1.Package{Digest: "sha256:" + aDigest}}}}}
	if err := c.Create(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	now := metav1.NewTime(time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC).Local())
	f.Status = kube.FunctionStatus{Observed: kube.Observed{ObservedGeneration: f.Generation, Conditions: []metav1.Condition{
		{Type: kube.Ready, Status: metav1.ConditionTrue, Reason: "Placed", Message: "a pool may run it", LastTransitionTime: now},
		{Type: kube.Burstable, Status: metav1.ConditionFalse, Reason: "BurstDenied", Message: "burst is deny", LastTransitionTime: now}}},
		Revisions: []kube.RevisionStatus{{Name: "v1", Code: "sha256:" + aDigest, Since: now, Instances: 2}}, Traffic: []kube.TrafficStatus{{Revision: "v1", Weight: 100}}}
	want := f.Status.DeepCopy()
	if err := c.Status().Update(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	var got kube.Function
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(f), &got); err != nil || jsonOf(got.Status) != jsonOf(want) || got.Generation != 1 {
		t.Errorf("%v: generation %d, %s\nwant %s", err, got.Generation, jsonOf(got.Status), jsonOf(want))
	}
	if len(got.Observed().Conditions) != 2 {
		t.Error("conditions are not to be had")
	}
	q := &kube.Quota{ObjectMeta: metav1.ObjectMeta{Name: "counted"}}
	if err := c.Create(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	q.Status.InUse.OnPrem = &v1alpha1.Capacity{Slots: new(int64(3)), CPU: new(v1alpha1.MilliCPU(1500)), Memory: new(v1alpha1.Bytes(1 << 30))}
	q.Status.Projected = []kube.Projection{{To: "ResourceQuota shop/spillway", Want: v1alpha1.Capacity{CPU: new(v1alpha1.MilliCPU(2000))}}}
	if err := c.Status().Update(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	pool := &kube.Pool{ObjectMeta: metav1.ObjectMeta{Name: "pods"}, Spec: v1alpha1.PoolSpec{Kind: "kubernetes", Kubernetes: &v1alpha1.Kubernetes{RuntimeImage: "localhost/runtime:dev", AllowTags: true}}}
	if err := c.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	pool.Status.Capacity = &v1alpha1.Capacity{Slots: new(int64(100))}
	if err := c.Status().Update(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
}
