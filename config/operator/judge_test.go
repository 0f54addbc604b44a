package operator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
)

var day = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// TestBurstable changes one thing of a function that may burst.
func TestBurstable(t *testing.T) {
	for reason, change := range map[string]func(p *spillway.Platform, f *spillway.Function){
		"Permitted":   func(*spillway.Platform, *spillway.Function) {},
		"BurstDenied": func(_ *spillway.Platform, f *spillway.Function) { f.Burst = spillway.BurstDeny },
		"KillSwitch":  func(p *spillway.Platform, _ *spillway.Function) { p.BurstPolicies[0].KillSwitch = true },
		"Shadow":      func(p *spillway.Platform, _ *spillway.Function) { p.BurstPolicies[0].Shadow = true },
		"OutsideWindow": func(p *spillway.Platform, _ *spillway.Function) {
			p.BurstPolicies[0].Windows = []spillway.BurstWindow{{From: 0, To: 60, Location: time.UTC}}
		},
		"NoCloudPool": func(p *spillway.Platform, _ *spillway.Function) { p.Pools[1].Retired, p.Pools[2].Retired = true, true },
		"NoBudget":    func(p *spillway.Platform, _ *spillway.Function) { p.Quotas[0].Budgets = nil },
		"ZeroBudget":  func(p *spillway.Platform, _ *spillway.Function) { p.Quotas[0].Budgets[0].Limit = 0 },
		"NoBinding": func(_ *spillway.Platform, f *spillway.Function) {
			f.Permitted, f.Excluded[1], f.Excluded[2] = 1, spillway.ExcludedBinding, spillway.ExcludedBinding
		},
		"NoPoolPermitted": func(_ *spillway.Platform, f *spillway.Function) {
			f.Permitted, f.Excluded[1], f.Excluded[2] = 1, spillway.ExcludedBinding, spillway.ExcludedRegion
		},
	} {
		p := &spillway.Platform{
			Pools:      []*spillway.Pool{{Name: "pods"}, {Index: 1, Name: "lambda-us", Kind: spillway.PoolLambda}, {Index: 2, Name: "scf-gz", Kind: spillway.PoolSCF}},
			Namespaces: []spillway.Namespace{{Name: "shop", Quota: 1}}, BurstPolicies: []spillway.BurstPolicy{{Name: "default"}},
			Quotas: []spillway.QuotaNode{{Name: "company", Parent: -1, Budgets: []spillway.Budget{{Limit: 1}}}, {Name: "retail"}},
		}
		f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "pay"}, Platform: p, Burst: spillway.BurstAllow, Permitted: 0b011}
		f.Excluded[2] = spillway.ExcludedBinding
		change(p, f)
		got := burstable(f, day)
		if got.reason != reason || (got.status == metav1.ConditionTrue) != (reason == "Permitted") {
			t.Errorf("%s: %+v", reason, got)
		}
	}
	for e := spillway.ExcludedMode; e.String() != "needs_pods"; e++ { // what excludes clouds
		if e != spillway.ExcludedRetired && exclusions[e] == [2]string{} {
			t.Errorf("nothing is said of %s", e)
		}
	}
}

// TestRevisionsAreRemembered removes revisions, and has the oldest forgotten.
func TestRevisionsAreRemembered(t *testing.T) {
	var seen []kube.RevisionStatus
	for i := range maxGone + 5 {
		seen = revisions(seen, []v1alpha1.Revision{{Name: "stays", Image: "i"}, {Name: fmt.Sprintf("v%02d", i), Image: fmt.Sprint(i)}}, day)
	}
	if len(seen) != maxGone+2 || seen[0].Name != "stays" || seen[1].Name != "v04" || seen[len(seen)-1].Name != "v20" {
		t.Errorf("%d: %+v", len(seen), seen)
	}
	again := revisions(seen, []v1alpha1.Revision{{Name: "stays", Image: "i"}, {Name: "v20", Image: "20"}}, day.Add(time.Hour))
	if fmt.Sprint(again) != fmt.Sprint(seen) {
		t.Errorf("%+v became %+v", seen, again)
	}
}

func TestLimitOf(t *testing.T) {
	node := func(nominal, borrow spillway.Resources) *spillway.QuotaNode {
		n := &spillway.QuotaNode{Name: "retail"}
		n.Nominal[spillway.ClassOnPrem], n.Borrowing[spillway.ClassOnPrem] = nominal, borrow
		return n
	}
	const none = spillway.Unlimited
	for _, c := range []struct {
		node *spillway.QuotaNode
		want string // pods, cpu, memory
	}{
		{node(spillway.Resources{Slots: none, MilliCPU: none, MiB: none}, spillway.Resources{}), "nil"},
		{node(spillway.Resources{Slots: 4, MilliCPU: none, MiB: none}, spillway.Resources{Slots: 2}), "6 - -"},
		{node(spillway.Resources{Slots: none, MilliCPU: none, MiB: 1024}, spillway.Resources{}), "- - 1280Mi"}, // 8 pods fit
		{node(spillway.Resources{Slots: 2, MilliCPU: 1000, MiB: 1024}, spillway.Resources{MiB: 1024}), "2 1020m 2112Mi"},
		{node(spillway.Resources{Slots: none, MilliCPU: 1000, MiB: none}, spillway.Resources{}), "- 1100m -"},
		{node(spillway.Resources{Slots: 0, MilliCPU: none, MiB: none}, spillway.Resources{}), "0 - -"},
	} {
		l := limitOf(c.node, "shop")
		got := "nil"
		if l != nil {
			var parts []string
			for _, name := range []corev1.ResourceName{corev1.ResourcePods, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory} {
				q, ok := l.hard[name]
				parts = append(parts, strings.ReplaceAll(orNone(q, ok), "none", "-"))
			}
			got = strings.Join(parts, " ")
			if d := l.differences(l.object()); d != nil {
				t.Errorf("it differs from itself: %v", d)
			}
		}
		if got != c.want {
			t.Errorf("%v: %s, want %s", c.node.Nominal, got, c.want)
		}
	}
}

// TestWordsOfManyFaults bounds what a condition says.
func TestWordsOfManyFaults(t *testing.T) {
	var faults config.Faults
	for i := range 20 {
		faults = append(faults, config.Fault{File: "Function shop/pay", Field: fmt.Sprint("spec.", i), Problem: "is wrong"})
	}
	text := said(faults)
	if strings.Count(text, "\n") != 8 || !strings.HasPrefix(text, "spec.0: is wrong\n") || !strings.HasSuffix(text, "and 12 more") {
		t.Errorf("%q", text)
	}
	var s owned
	s.set(kube.Ready, say{metav1.ConditionFalse, "Invalid", strings.Repeat("é", maxMessage)}, 1, day)
	if m := s.Conditions[0].Message; len(m) > maxMessage+8 || strings.ContainsRune(m, '\uFFFD') {
		t.Errorf("%d bytes", len(m))
	}
	s.set(kube.Ready, say{metav1.ConditionFalse, "Blocked", ""}, 2, day.Add(time.Hour))
	if c := s.Conditions[0]; !c.LastTransitionTime.Time.Equal(day) || c.ObservedGeneration != 2 {
		t.Errorf("%+v", c)
	}
}

func TestSplit(t *testing.T) {
	of := func(weights ...int64) []kube.TrafficStatus {
		var all []kube.TrafficStatus
		for i, w := range weights {
			all = append(all, kube.TrafficStatus{Revision: fmt.Sprint("v", i+1), Weight: w})
		}
		return all
	}
	for want, traffic := range map[string][]kube.TrafficStatus{
		"": nil, "v1": of(100), "v2": of(0, 100), "v2 90%, v1 10%": of(10, 90), "v1 50%, v3 50%": of(50, 0, 50),
		"v6 50%, v1 10%, v2 10%, v3 10%, and 2 more": of(10, 10, 10, 10, 10, 50),
	} {
		if got := split(traffic); got != want {
			t.Errorf("%v: %q, want %q", traffic, got, want)
		}
	}
}

// TestBlockedTellsNothingOfOthers: faults of functions are for those who may see these.
func TestBlockedTellsNothingOfOthers(t *testing.T) {
	faults := config.Faults{{File: "Function payments/secret", Problem: "has 'a value'"}, {File: "Quota second", Problem: "has no parent"}, {File: "objects/of-files.yaml", Problem: "is odd"}}
	got, judged := newJudgement(nil, faults, day).ready(function("shop", "pay"), &owned{})
	if !judged || got.reason != ReasonBlocked || !strings.HasSuffix(got.message, "Quota second: has no parent\n2 faults of objects that are told to their owners") {
		t.Errorf("%+v", got)
	}
}

// TestFewErrors: what is logged is bounded, whatever failed.
func TestFewErrors(t *testing.T) {
	n := make([]int, 10_000)
	for i := range n {
		n[i] = i
	}
	err := inParallel(n, func(n int) error {
		if n == 0 {
			return nil
		}
		return fmt.Errorf("object %d", n)
	})
	if text := err.Error(); strings.Count(text, "\n") != fewErrors || !strings.HasSuffix(text, "and 9994 more errors") {
		t.Errorf("%.300s", text)
	}
	if err := few([]error{nil, nil}); err != nil {
		t.Error(err)
	}
}
