package cluster

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
)

var publishedAt = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func inUse(n int64) QuotaUse {
	return QuotaUse{InUse: v1alpha1.Nominal{OnPrem: &v1alpha1.Capacity{Slots: &n}}}
}

// TestPublish writes statuses that others write, too, and only when they change.
func TestPublish(t *testing.T) {
	c, admin := server(t)
	newQuota := func() *kube.Quota {
		q := &kube.Quota{ObjectMeta: metav1.ObjectMeta{Name: "company"}}
		must(t, admin.Create(t.Context(), q))
		return q
	}
	quota, pay := newQuota(), function("pay")
	pay.Finalizers = nil
	must(t, admin.Create(t.Context(), pay))
	quota.Status.Projected = []kube.Projection{{To: "ResourceQuota shop/spillway"}}
	must(t, admin.Status().Update(t.Context(), quota))
	pay.Status.Conditions = []metav1.Condition{{Type: kube.Ready, Status: metav1.ConditionTrue, Reason: "Valid", LastTransitionTime: metav1.NewTime(publishedAt)}}
	must(t, admin.Status().Update(t.Context(), pay))

	p, err := NewPublisher(c)
	must(t, err)
	var counted map[spillway.FunctionKey]map[string]int64
	publish := func(after time.Duration, n int64, served Served) (*kube.Quota, *kube.Function) {
		t.Helper()
		objects, err := List(t.Context(), admin)
		must(t, err)
		use := Use{
			Pools:  map[string]PoolUse{"of-a-file": {InUse: &v1alpha1.Capacity{Slots: &n}}},
			Quotas: map[string]QuotaUse{"company": inUse(n)}, Served: map[types.UID]Served{pay.UID: served}, Instances: counted,
		}
		must(t, p.Publish(t.Context(), publishedAt.Add(after), objects, use))
		q, f := &kube.Quota{}, &kube.Function{}
		must(t, client.IgnoreNotFound(admin.Get(t.Context(), client.ObjectKey{Name: "company"}, q)))
		must(t, admin.Get(t.Context(), client.ObjectKeyFromObject(pay), f))
		return q, f
	}
	slots := func(q *kube.Quota, want int64) {
		t.Helper()
		if in := q.Status.InUse.OnPrem; in == nil || *in.Slots != want {
			t.Errorf("status %+v, want %d slots in use", q.Status, want)
		}
	}
	missing := ServedOf(1, config.Faults{{File: "Function default/pay", Problem: "is odd"}}, false)
	q, f := publish(0, 3, missing)
	slots(q, 3)
	first, version := f, q.ResourceVersion
	if len(q.Status.Projected) != 1 || len(f.Status.Conditions) != 2 {
		t.Errorf("what others wrote is gone: %+v, %+v", q.Status, f.Status)
	}
	if c := meta.FindStatusCondition(f.Status.Conditions, kube.Served); c == nil || c.Status != metav1.ConditionFalse || c.Reason != ReasonInvalidSpec || c.ObservedGeneration != 1 {
		t.Errorf("Served is %+v", c)
	}
	if q, f = publish(time.Minute, 3, missing); q.ResourceVersion != version || f.ResourceVersion != first.ResourceVersion {
		t.Error("the same was written again")
	}
	q, _ = publish(70*time.Second, 4, missing)
	slots(q, 4)
	// A number waits; a condition does not.
	q, f = publish(80*time.Second, 5, ServedOf(1, nil, false))
	slots(q, 4)
	if !meta.IsStatusConditionTrue(f.Status.Conditions, kube.Served) {
		t.Errorf("Served is still %+v", f.Status.Conditions)
	}
	q, _ = publish(100*time.Second, 5, ServedOf(1, nil, false))
	slots(q, 5)

	// What became of the function is told once for each change.
	told := &corev1.EventList{}
	must(t, admin.List(t.Context(), told, client.InNamespace("default")))
	var reasons []string
	for _, e := range told.Items {
		if e.InvolvedObject.UID == pay.UID {
			reasons = append(reasons, e.Type+" "+e.Reason+": "+e.Message)
		}
	}
	slices.Sort(reasons)
	if want := []string{"Normal Serving: Served is True. Calls are answered with it as it is written.", "Warning InvalidSpec: Served is False. is odd\nIt is not served."}; !slices.Equal(reasons, want) {
		t.Errorf("events %q, want %q", reasons, want)
	}

	// What was approved does not wait either, nor that it has ended.
	for i, approved := range []*kube.Approved{{Base: "sha256:a", Nominal: inUse(7).InUse}, nil} {
		objects, err := List(t.Context(), admin)
		must(t, err)
		is := inUse(5)
		is.Approved = approved
		must(t, p.Publish(t.Context(), publishedAt.Add(time.Duration(101+i)*time.Second), objects, Use{Quotas: map[string]QuotaUse{"company": is}}))
		must(t, admin.Get(t.Context(), client.ObjectKey{Name: "company"}, q))
		if differ(approved, q.Status.Approved) || len(q.Status.Projected) != 1 {
			t.Errorf("approved is %+v in %+v", q.Status.Approved, q.Status)
		}
	}

	// Instances are counted beside the revisions that the operator has seen.
	f.Status.Revisions = []kube.RevisionStatus{{Name: "v1", Code: "a"}, {Name: "v2", Code: "b"}}
	must(t, admin.Status().Update(t.Context(), f))
	for i, n := range []int64{2, 3, 0} {
		counted = map[spillway.FunctionKey]map[string]int64{{Namespace: pay.Namespace, Name: pay.Name}: {"v1": n, "v2": 1, "gone": 4}}
		if n == 0 {
			counted = nil
		}
		_, f = publish(time.Duration(150+40*i)*time.Second, 5, ServedOf(1, nil, false))
		r := f.Status.Revisions
		if len(r) != 2 || r[0].Instances != n || r[0].Code != "a" || r[1].Instances != min(n, 1) || len(f.Status.Conditions) != 2 {
			t.Errorf("status %+v, want %d instances", f.Status, n)
		}
	}

	// One that was made anew is another, for which nothing was written yet.
	must(t, admin.Delete(t.Context(), quota))
	publish(301*time.Second, 5, ServedOf(1, nil, false))
	newQuota()
	q, _ = publish(302*time.Second, 5, ServedOf(1, nil, false))
	slots(q, 5)
}

// TestDue has more to write than there is time for.
func TestDue(t *testing.T) {
	p := &Publisher{wrote: map[types.UID]time.Time{"gone": publishedAt}}
	var objects []Object
	use := Use{Quotas: map[string]QuotaUse{}, Served: map[types.UID]Served{"f": ServedOf(1, nil, false)}}
	for i := range 10 {
		name := fmt.Sprint("q", i)
		objects = append(objects, &kube.Quota{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}})
		use.Quotas[name] = inUse(int64(i))
	}
	pay := function("pay")
	pay.UID = "f"
	objects = append(objects, pay)
	names := func(all []writing) (names []string) {
		for _, w := range all {
			names = append(names, w.object.GetName())
		}
		return names
	}
	now := publishedAt
	first := names(p.due(now, objects, use))
	if len(first) != 11 || first[0] != "pay" || p.wrote["gone"] != (time.Time{}) {
		t.Fatalf("due: %v of %v", first, p.wrote)
	}
	seen := map[string]int{}
	for range 6 { // three a time, each 11 s
		for i, w := range p.due(now, objects[:10], use) {
			if i == 3 {
				break
			}
			p.wrote[w.object.GetUID()] = now
			seen[w.object.GetName()]++
		}
		now = now.Add(11 * time.Second)
	}
	for i := range 10 {
		if n := seen[fmt.Sprint("q", i)]; n == 0 || n > 2 {
			t.Errorf("q%d was written %d times: %v", i, n, seen)
		}
	}
	if due := names(p.due(now.Add(time.Hour), objects[:10], Use{Quotas: map[string]QuotaUse{"q3": inUse(9)}})); !slices.Equal(due, []string{"q3"}) {
		t.Errorf("due: %v", due)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Publish(ended, now, objects, use); err == nil {
		t.Error("nothing was written, and nothing said")
	}
}

// TestServed says of what a condition speaks.
func TestServed(t *testing.T) {
	odd := config.Fault{File: "Function shop/pay", Field: "spec.timeout", Problem: "is odd"}
	for name, c := range map[string]struct {
		got  Served
		want Served
	}{
		"good":        {ServedOf(3, nil, true), Served{3, ReasonServing, "Calls are answered with it as it is written."}},
		"never good":  {ServedOf(3, config.Faults{odd}, false), Served{3, ReasonInvalidSpec, "spec.timeout: is odd\nIt is not served."}},
		"good before": {ServedOf(3, config.Faults{odd}, true), Served{3, ReasonLastGood, "spec.timeout: is odd\nIt is served as it was when it last had no faults."}},
		"starts fail": {StartsFail(3, map[string]string{"v2": "Runtime.ExitError: it ended\n", "v1": "Spillway.ImageError: no image"}), Served{3, ReasonStartsFail,
			"Revision v1 does not start: Spillway.ImageError: no image\nRevision v2 does not start: Runtime.ExitError: it ended\nCalls that need another instance of it overflow or fail, and it is tried again for them."}},
		"refused": {Refused(3, "Quota company: is odd"), Served{3, ReasonRefused, "Everything is served as it was: Quota company: is odd"}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v", name, c.got)
		}
		was := c.got.condition(nil, publishedAt)
		if again := c.got.condition(&was, publishedAt.Add(time.Hour)); !c.got.is(&was) || again != was {
			t.Errorf("%s: %+v", name, again)
		}
	}
}

// TestNews is what people are told of.
func TestNews(t *testing.T) {
	const none = "-" // no condition yet
	for change, want := range map[[2]string]bool{
		{none, ReasonServing}: false, {none, ReasonPackageMissing}: true, {none, ReasonRefused}: false,
		{ReasonServing, ReasonServing}: false, {ReasonServing, ReasonStartsFail}: true, {ReasonStartsFail, ReasonServing}: true,
		{ReasonServing, ReasonRefused}: false, {ReasonRefused, ReasonServing}: false, {ReasonPackageMissing, ReasonServing}: true,
	} {
		var was *metav1.Condition
		if change[0] != none {
			was = &metav1.Condition{Reason: change[0]}
		}
		if got := (&Served{Reason: change[1]}).isNews(was); got != want {
			t.Errorf("%q: news is %t", change, got)
		}
	}
}
