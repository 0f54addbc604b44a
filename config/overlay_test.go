package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

const overlaidTree = `apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec: {nominal: {onPrem: {slots: 8}}, budgets: [{window: day, amount: 1}], approvers: [boss]}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: team}
spec: {parent: company, namespaces: [team], nominal: {onPrem: {slots: 4, memory: 1Gi}}, budgets: [{window: month, amount: 5, timeZone: Asia/Shanghai, atLimit: redirect}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: part}
spec: {parent: team, namespaces: [part], approvers: [lead, second]}
`

func slots(n int64) v1alpha1.Nominal {
	return v1alpha1.Nominal{OnPrem: &v1alpha1.Capacity{Slots: &n}}
}

func loadOverlaid(t testing.TB, overlays ...QuotaOverlay) *Loaded {
	t.Helper()
	checks := testChecks
	checks.QuotaOverlays = overlays
	l, err := Load("conf", testDay, checks)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func node(t testing.TB, l *Loaded, name string) *spillway.QuotaNode {
	t.Helper()
	for i := range l.Platform.Quotas {
		if l.Platform.Quotas[i].Name == name {
			return &l.Platform.Quotas[i]
		}
	}
	t.Fatalf("no node %s", name)
	return nil
}

func TestOverlayChangesWhatItNamesOnly(t *testing.T) {
	plain := mustLoad(t, overlaidTree)
	base := plain.QuotaBase("team")
	l := loadOverlaid(t, QuotaOverlay{Name: "qr-1", Quota: "team", Base: base, Nominal: slots(6),
		Budgets: []v1alpha1.Budget{{Window: "month", Amount: new(v1alpha1.Amount(9_000_000_000))}}})
	n := node(t, l, "team")
	if got := n.Nominal[spillway.ClassOnPrem]; got.Slots != 6 || got.MiB != 1024 || got.MilliCPU != spillway.Unlimited {
		t.Errorf("on-prem: %+v", got)
	}
	if b := n.Budgets[0]; len(n.Budgets) != 1 || b.Limit != 9_000_000_000 || b.Location.String() != "Asia/Shanghai" || b.AtLimit != spillway.AtLimitRedirect {
		t.Errorf("budgets: %+v", n.Budgets)
	}
	if l.QuotaBase("team") != base || l.QuotaBase("company") != plain.QuotaBase("company") || base == "" {
		t.Error("an overlay changes what the directory is said to have")
	}
	if l.Platform.Revision == plain.Platform.Revision {
		t.Error("the revision does not tell the overlay")
	}
	if told := loadOverlaid(t, l.Overlaid()...); node(t, told, "team").Nominal != n.Nominal || len(told.Conflicts) > 0 {
		t.Errorf("who is told of the limits that hold has %+v, %v", node(t, told, "team").Nominal, told.Conflicts)
	}
	if all := plain.Overlaid(); len(all) > 0 {
		t.Errorf("approved without an overlay: %+v", all)
	}
	again := loadOverlaid(t)
	if again.Platform.Revision != plain.Platform.Revision {
		t.Error("an overlay stays in what was loaded")
	}
}

func TestOverlaysApplyInTheirOrder(t *testing.T) {
	base := mustLoad(t, overlaidTree).QuotaBase("team")
	first := QuotaOverlay{Name: "qr-1", Quota: "team", Base: base, Nominal: slots(6)}
	second := QuotaOverlay{Name: "qr-2", Quota: "team", Base: base, Nominal: slots(7)}
	if l := loadOverlaid(t, first, second); node(t, l, "team").Nominal[spillway.ClassOnPrem].Slots != 7 || len(l.Conflicts) != 0 {
		t.Errorf("the later one does not win: %v", l.Conflicts)
	}
}

func TestOverlayOfAChangedQuotaIsAConflict(t *testing.T) {
	base := mustLoad(t, overlaidTree).QuotaBase("team")
	overlay := QuotaOverlay{Name: "qr-1", Quota: "team", Base: base, Nominal: slots(6)}
	for from, slots := range map[string]int64{"slots: 4, memory: 1Gi": 5, "memory: 1Gi": 0, "parent: company, namespaces: [team]": 4} {
		to := map[string]string{"slots: 4, memory: 1Gi": "slots: 5, memory: 1Gi", "memory: 1Gi": "memory: 2Gi", "parent: company, namespaces: [team]": "namespaces: [team]"}[from]
		mustLoad(t, strings.Replace(overlaidTree, from, to, 1))
		l := loadOverlaid(t, overlay)
		if got := node(t, l, "team").Nominal[spillway.ClassOnPrem].Slots; got == 6 || slots > 0 && got != slots {
			t.Errorf("%s: %d slots", to, got)
		}
		if !strings.Contains(l.Conflicts["qr-1"], "given it other limits since") || !slices.ContainsFunc(l.Warnings, func(w string) bool { return w == l.Conflicts["qr-1"] }) {
			t.Errorf("%s: not reported: %v, %v", to, l.Conflicts, l.Warnings)
		}
	}
	mustLoad(t, strings.Replace(overlaidTree, "namespaces: [team]", "namespaces: [team, other], department: d, approvers: [x]", 1))
	if l := loadOverlaid(t, overlay); len(l.Conflicts) != 0 || node(t, l, "team").Nominal[spillway.ClassOnPrem].Slots != 6 {
		t.Errorf("a change of who belongs there is a conflict: %v", l.Conflicts)
	}
	mustLoad(t, strings.Replace(overlaidTree, "name: team}", "name: crew}", 1)[:strings.LastIndex(overlaidTree, "---")])
	if l := loadOverlaid(t, overlay); !strings.Contains(l.Conflicts["qr-1"], "no such Quota") {
		t.Errorf("not reported: %v", l.Conflicts)
	}
}

func TestOverlayEnds(t *testing.T) {
	base := mustLoad(t, overlaidTree).QuotaBase("team")
	overlay := QuotaOverlay{Name: "qr-1", Quota: "team", Base: base, Nominal: slots(6), Until: testDay.Add(time.Hour)}
	l := loadOverlaid(t, overlay)
	if node(t, l, "team").Nominal[spillway.ClassOnPrem].Slots != 6 || !l.PricesUntil.Equal(overlay.Until) {
		t.Errorf("it does not hold until %s: %s", overlay.Until, l.PricesUntil)
	}
	overlay.Until = testDay
	if l := loadOverlaid(t, overlay); node(t, l, "team").Nominal[spillway.ClassOnPrem].Slots != 4 || len(l.Conflicts) != 0 {
		t.Error("it holds at its end")
	}
}

func TestOverlayIsCheckedAsIfItWereWritten(t *testing.T) {
	l0 := mustLoad(t, overlaidTree)
	base := l0.QuotaBase("team")
	l := loadOverlaid(t, QuotaOverlay{Name: "qr-1", Quota: "team", Base: base, Nominal: slots(-1)}, QuotaOverlay{Name: "qr-2", Quota: "company", Base: l0.QuotaBase("company"), Nominal: slots(9)})
	if got := l.Misfits["qr-1"].Error(); !strings.Contains(got, "spec.nominal.onPrem.slots: -1 is out of range") || len(l.Misfits) != 1 {
		t.Errorf("got %v", l.Misfits)
	}
	if got := node(t, l, "team").Nominal[spillway.ClassOnPrem].Slots; got != 4 || node(t, l, "company").Nominal[spillway.ClassOnPrem].Slots != 9 {
		t.Errorf("%d slots", got)
	}
	if !strings.Contains(l.Conflicts["qr-1"], "-1 is out of range") || !slices.Contains(l.Warnings, l.Conflicts["qr-1"]) {
		t.Errorf("not said: %v, %v", l.Conflicts, l.Warnings)
	}
}

// TestOverlayThatFitsAnother does not apply once the other has ended; the rest holds.
func TestOverlayThatFitsAnother(t *testing.T) {
	tree := strings.Replace(overlaidTree, "memory: 1Gi}}", "memory: 1Gi}}, lendingLimit: {onPrem: {slots: 0}}", 1)
	plain := mustLoad(t, tree)
	end := testDay.Add(time.Hour)
	parent := QuotaOverlay{Name: "qr-1", Quota: "company", Base: plain.QuotaBase("company"), Nominal: slots(50), Until: end}
	child := QuotaOverlay{Name: "qr-2", Quota: "team", Base: plain.QuotaBase("team"), Nominal: slots(30)}
	if l := loadOverlaid(t, parent, child); node(t, l, "team").Nominal[spillway.ClassOnPrem].Slots != 30 || len(l.Conflicts) != 0 {
		t.Fatalf("they do not hold together: %v", l.Conflicts)
	}
	checks := testChecks
	checks.QuotaOverlays = []QuotaOverlay{parent, child}
	l, err := Load("conf", end, checks)
	if err != nil {
		t.Fatal(err)
	}
	if got := node(t, l, "team").Nominal[spillway.ClassOnPrem].Slots; got != 4 || node(t, l, "company").Nominal[spillway.ClassOnPrem].Slots != 8 {
		t.Errorf("%d slots", got)
	}
	if why := l.Conflicts["qr-2"]; !strings.Contains(why, "it keeps more than the nominal of their parent company") || l.Misfits["qr-2"] == nil {
		t.Errorf("not said: %v, %v", l.Conflicts, l.Misfits)
	}
}

// TestDirectoryIsGoodWithoutOverlays or it is refused, since a start reads it so.
func TestDirectoryIsGoodWithoutOverlays(t *testing.T) {
	base := mustLoad(t, overlaidTree).QuotaBase("company")
	tree := strings.Replace(overlaidTree, "slots: 4, memory: 1Gi}}", "slots: 30}}, lendingLimit: {onPrem: {slots: 0}}", 1)
	if _, err := loadText(t, tree); err == nil {
		t.Fatal("the directory is good")
	}
	checks := testChecks
	checks.QuotaOverlays = []QuotaOverlay{{Name: "qr-1", Quota: "company", Base: base, Nominal: slots(50)}}
	_, err := Load("conf", testDay, checks)
	var faults Faults
	if !errors.As(err, &faults) || !strings.Contains(err.Error(), "qr-1 for Quota company") {
		t.Errorf("got %v", err)
	}
}

func TestApprovers(t *testing.T) {
	l := mustLoad(t, overlaidTree)
	for name, want := range map[string]string{"company": "[boss] company", "team": "[boss] company", "part": "[lead second] part", "nowhere": "[] "} {
		who, by := l.Approvers(name)
		if got := fmt.Sprintf("%v %s", who, by); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for list, says := range map[string]string{"[anonymous]": "whoever has no credentials", "['a b']": "is not an identity", "[a, a]": "named twice"} {
		_, err := loadText(t, object("Quota", "q", "{approvers: "+list+"}"))
		if err == nil || !strings.Contains(err.Error(), "spec.approvers[") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", list, err)
		}
	}
}

// TestOverlaysKeepWhatTheyDoNotName draws overlays and looks at every dimension: it is
// that of the last overlay which names it, or of the directory.
func TestOverlaysKeepWhatTheyDoNotName(t *testing.T) {
	number := rapid.Ptr(rapid.Int64Range(0, 100), true)
	capacity := rapid.Ptr(rapid.Custom(func(t *rapid.T) v1alpha1.Capacity {
		c := v1alpha1.Capacity{Slots: number.Draw(t, "slots")}
		if n := number.Draw(t, "cpu"); n != nil {
			c.CPU = new(v1alpha1.MilliCPU(*n))
		}
		if n := number.Draw(t, "memory"); n != nil {
			c.Memory = new(v1alpha1.Bytes(*n << 20))
		}
		return c
	}), true)
	nominal := rapid.Custom(func(t *rapid.T) v1alpha1.Nominal {
		return v1alpha1.Nominal{OnPrem: capacity.Draw(t, "onPrem"), Cloud: capacity.Draw(t, "cloud")}
	})
	budgets := rapid.Custom(func(t *rapid.T) []v1alpha1.Budget {
		var all []v1alpha1.Budget
		for _, window := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"hour", "day", "month"}), rapid.ID[string]).Draw(t, "windows") {
			all = append(all, v1alpha1.Budget{Window: window, Amount: new(v1alpha1.Amount(rapid.Int64Range(0, 9).Draw(t, "amount")))})
		}
		return all
	})
	rapid.Check(t, func(t *rapid.T) {
		written := v1alpha1.QuotaSpec{Parent: "p", Nominal: nominal.Draw(t, "written"), Budgets: budgets.Draw(t, "budgets")}
		before := asJSON(written)
		want := flat(written)
		spec := written
		for range rapid.IntRange(0, 4).Draw(t, "overlays") {
			o := QuotaOverlay{Nominal: nominal.Draw(t, "nominal"), Budgets: budgets.Draw(t, "budgets")}
			for dimension, n := range flat(v1alpha1.QuotaSpec{Nominal: o.Nominal, Budgets: o.Budgets}) {
				want[dimension] = n
			}
			spec = o.On(spec)
		}
		if got := flat(spec); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if asJSON(written) != before {
			t.Fatal("what was written has changed")
		}
	})
}

func asJSON(spec v1alpha1.QuotaSpec) string {
	var out strings.Builder
	write(out.Write, spec)
	return out.String()
}

// flat lists all limits of a spec by name.
func flat(spec v1alpha1.QuotaSpec) map[string]int64 {
	all := map[string]int64{}
	for side, c := range sides(&spec.Nominal) {
		for name, n := range dimensions(c) {
			if n != nil {
				all[side+"."+name] = *n
			}
		}
	}
	for _, b := range spec.Budgets {
		all[b.Window] += int64(*b.Amount)
	}
	return all
}
