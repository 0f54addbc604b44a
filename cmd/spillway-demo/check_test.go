package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/examples/demo"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

func testPlatform() *spillway.Platform {
	free := spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
	slots := func(onPrem, cloud int64) [spillway.ClassCount]spillway.Resources {
		n := [spillway.ClassCount]spillway.Resources{free, free}
		n[spillway.ClassOnPrem].Slots, n[spillway.ClassCloud].Slots = onPrem, cloud
		return n
	}
	p := &spillway.Platform{
		Currency: "USD",
		Pools: []*spillway.Pool{
			{Index: 0, Name: "onprem", Kind: spillway.PoolProcess, Capacity: spillway.Resources{Slots: 2}},
			{Index: 1, Name: "lambda", Kind: spillway.PoolLambda},
			{Index: 2, Name: "scf", Kind: spillway.PoolSCF},
		},
		Namespaces: []spillway.Namespace{{Name: "shop", Department: "retail", Quota: 1}, {Name: "finance", Department: "finance", Quota: 2}},
		Quotas: []spillway.QuotaNode{
			{Name: "company", Parent: -1, Nominal: slots(spillway.Unlimited, 2)},
			{Name: "retail", Parent: 0, Nominal: slots(1, 2), Budgets: []spillway.Budget{{Window: spillway.WindowDay, Limit: 1000, Location: time.UTC}}},
			{Name: "finance", Parent: 0, Nominal: slots(2, 1)},
		},
		Functions: []*spillway.Function{
			{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "thumbnail"}, Revision: "v1", Weight: 100, Permitted: 0b111},
			{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "thumbnail"}, Index: 1, Revision: "v2", Permitted: 0b111},
			{FunctionKey: spillway.FunctionKey{Namespace: "finance", Name: "payroll"}, Index: 2, Namespace: 1, Permitted: 1},
			{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "web"}, Index: 3, Permitted: 1},
		},
	}
	p.Functions[0].Revisions = p.Functions[:2]
	for i, qualifier := range []string{"stable", "canary"} {
		for pool := 1; pool <= 2; pool++ {
			p.Functions[i].Bindings[pool] = spillway.Binding{Name: "shop-thumbnail", Qualifier: qualifier}
		}
	}
	p.Index()
	return p
}

var admitted = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

func entry(kind billing.Kind, id, function, pool string, amount string, settled spillway.Nano) billing.Entry {
	d, err := billing.ParseAmount(amount)
	if err != nil {
		panic(err)
	}
	namespace, name, _ := strings.Cut(function, "/")
	return billing.Entry{Kind: kind, Invocation: id, Attempt: 1, Namespace: namespace, Function: name, Revision: "v1", Pool: pool,
		Cloud: pool != "onprem", Admitted: admitted, Amount: d, Settled: settled}
}

// at is a moment of the test run, in seconds.
func at(seconds int64) time.Time { return time.Unix(seconds, 0) }

func ran(id string, from, to int64, version string) span {
	return span{attempt{id, 1}, at(from).UnixNano(), at(to).UnixNano(), true, version}
}

// goodEvidence is a small run in which every promise was kept. In "calm" there are
// two calls on-prem, one of them confined, and a web function's; in "burst" one paid
// call in each cloud, one lost, one that never arrived, and a refusal; in "canary"
// one for each revision; under the kill switch one that was on its way when it was
// thrown and one that came later; and one in shadow mode.
func goodEvidence() *evidence {
	call := func(id string, k kind, pool, reason string, phase int, sent int64) answer {
		return answer{ID: id, Namespace: "shop", Function: "thumbnail", Kind: k, Pool: pool, Reason: reason, Phase: phase, Sent: at(sent)}
	}
	e := &evidence{
		platform: testPlatform(),
		script: []phase{
			{Name: "calm", Calm: true, Wants: []want{{"preferred", 1}}},
			{Name: "burst", Wants: []want{{"overflow_quota", 1}, {"budget_exceeded", 1}, {"unknown", 1}}},
			{Name: "canary", Live: demo.Live{Canary: 50}},
			{Name: phaseKill}, {Name: phaseShadow},
		},
		answers: []answer{
			call("here", succeeded, "onprem", "preferred", 0, 10),
			{ID: "pay", Namespace: "finance", Function: "payroll", Kind: succeeded, Pool: "onprem", Reason: "pinned", Sent: at(10)},
			{ID: "page", Namespace: "shop", Function: "web", Kind: succeeded, Pool: "onprem", Reason: "pinned", Sent: at(20), web: &echoed{"web-1", 5, 5, 200}},
			call("away", failed, "lambda", "overflow_quota", 1, 30),
			call("far", succeeded, "scf", "overflow_quota", 1, 31),
			call("lost", unknown, "lambda", "overflow_quota", 1, 32),
			call("never", unknown, "scf", "overflow_quota", 1, 33),
			call("no", refused, "-", "budget_exceeded", 1, 34),
			call("old", succeeded, "onprem", "preferred", 2, 50),
			call("new", succeeded, "scf", "canary", 2, 52),
			call("late", succeeded, "lambda", "overflow_quota", 3, 59),
			call("stays", succeeded, "onprem", "preferred", 3, 63),
			call("would", succeeded, "onprem", "preferred", 4, 72),
		},
		ledger: []billing.Entry{
			entry(billing.KindCharge, "here", "shop/thumbnail", "onprem", "0.000001", 0),
			entry(billing.KindCharge, "pay", "finance/payroll", "onprem", "0.000001", 0),
			entry(billing.KindCharge, "page", "shop/web", "onprem", "0.000001", 0),
			entry(billing.KindIntent, "away", "shop/thumbnail", "lambda", "0", 0),
			entry(billing.KindCharge, "away", "shop/thumbnail", "lambda", "0.000000300000000001", 301),
			entry(billing.KindCharge, "far", "shop/thumbnail", "scf", "0.00000007", 70),
			entry(billing.KindEstimate, "lost", "shop/thumbnail", "lambda", "0.0000003", 300),
			entry(billing.KindEstimate, "never", "shop/thumbnail", "scf", "0.0000001", 100),
			entry(billing.KindVoid, "no", "shop/thumbnail", "lambda", "0", 0),
			entry(billing.KindCharge, "old", "shop/thumbnail", "onprem", "0.000001", 0),
			entry(billing.KindCharge, "new", "shop/thumbnail", "scf", "0.000000014", 14),
			entry(billing.KindCharge, "late", "shop/thumbnail", "lambda", "0.0000001", 100),
			entry(billing.KindCharge, "stays", "shop/thumbnail", "onprem", "0.000001", 0),
			entry(billing.KindCharge, "would", "shop/thumbnail", "onprem", "0.000001", 0),
		},
		onPrem: []span{
			ran("here", 10, 20, "v1"), ran("pay", 15, 25, "v1"), ran("web-1", 20, 21, ""), ran("old", 50, 51, "v1"),
			ran("stays", 64, 65, "v1"), ran("would", 72, 73, "v1"),
		},
		clouds: []cloudSide{
			{pool: "lambda", spans: []span{ran("away", 30, 40, "1"), ran("lost", 32, 45, "1"), ran("late", 61, 62, "1")},
				bill: cloud.Bill{Currency: "USD", Total: "0.000000600000000001", Executions: 3, Lines: []cloud.Line{
					{Function: "shop-thumbnail", Invocation: "away", Attempt: 1, Status: "success", Version: "1", Cost: "0.000000300000000001"},
					{Function: "shop-thumbnail", Invocation: "lost", Attempt: 1, Status: "success", Version: "1", Cost: "0.0000002"},
					{Function: "shop-thumbnail", Invocation: "late", Attempt: 1, Status: "success", Version: "1", Cost: "0.0000001"},
				}},
				state: cloud.State{PeakConcurrency: 2, Functions: []cloud.FunctionState{{Name: "shop-thumbnail", PeakConcurrency: 2}}}},
			{pool: "scf", spans: []span{ran("far", 47, 48, "1"), ran("new", 52, 53, "2")},
				bill: cloud.Bill{Currency: "CNY", Total: "0.0000006", Executions: 2, Lines: []cloud.Line{
					{Function: "shop-thumbnail", Invocation: "far", Attempt: 1, Status: "success", Version: "1", Cost: "0.0000005"},
					{Function: "shop-thumbnail", Invocation: "new", Attempt: 1, Status: "success", Version: "2", Cost: "0.0000001"},
				}},
				state: cloud.State{PeakConcurrency: 1, Functions: []cloud.FunctionState{{Name: "shop-thumbnail", PeakConcurrency: 1}}}},
		},
		refused: map[string]string{"no": "v1"},
		web:     connections{seats: 2, opened: 3, closed: 1},
		moments: moments{
			kill:   killed{acknowledged: at(60), quiet: at(62), lifted: at(70)},
			shadow: shadowed{acknowledged: at(71), ended: at(80), bursts: []dispatcher.BurstView{{Name: "eager", Shadow: &dispatcher.ShadowView{Calls: 1, Cost: 300}}}},
			bad: refusedFile{name: "conf/quotas.yaml", status: 422, said: "conf/quotas.yaml:3:1: amount", from: at(30), to: at(35),
				before: serving{Generation: 1, Revision: "r"}, after: serving{Generation: 1, Revision: "r"}, restored: serving{Generation: 1, Revision: "r"},
				rules: [2]string{"company 4 2", "company 4 2"}},
		},
	}
	for i := range e.clouds {
		e.clouds[i].functions = []cloud.Function{{Name: "shop-thumbnail", Qualifiers: map[string]string{"stable": "1", "canary": "2"}}}
	}
	e.line("new").Revision = "v2"
	e.sent = len(e.answers)
	e.nameRequests()
	return e
}

// line is the last line of a call in the ledger.
func (e *evidence) line(id string) *billing.Entry {
	for i := range slices.Backward(e.ledger) {
		if e.ledger[i].Invocation == id {
			return &e.ledger[i]
		}
	}
	panic(id)
}

// call is the answer of a call.
func (e *evidence) call(id string) *answer { return e.byInvocation()[id] }

// without leaves a call's lines out of the ledger.
func (e *evidence) without(id string) {
	e.ledger = slices.DeleteFunc(e.ledger, func(l billing.Entry) bool { return l.Invocation == id })
}

// repeat adds a copy of a call's last line, as attempt n.
func (e *evidence) repeat(id string, n int) {
	l := *e.line(id)
	l.Attempt = n
	e.ledger = append(e.ledger, l)
}

func TestBudgetsAreHeldByWindow(t *testing.T) {
	e := goodEvidence()
	e.line("away").Settled = 900
	for _, id := range []string{"far", "lost", "never", "new", "late"} {
		e.line(id).Admitted = admitted.AddDate(0, 0, 1)
	}
	if c := checkBudgets(e); !c.Pass {
		t.Errorf("900 on one day and 584 on the next: %v", c.Misses)
	}
}

func TestPeak(t *testing.T) {
	for name, c := range map[string]struct {
		spans []span
		want  int
	}{
		"none":       {nil, 0},
		"touching":   {[]span{{from: 1, to: 2}, {from: 2, to: 3}}, 1},
		"nested":     {[]span{{from: 1, to: 9}, {from: 2, to: 3}, {from: 4, to: 5}}, 2},
		"overlapped": {[]span{{from: 1, to: 4}, {from: 2, to: 5}, {from: 3, to: 6}}, 3},
	} {
		if got := peak(c.spans); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestParseSpans(t *testing.T) {
	spans, err := parseSpans(strings.NewReader(`{"invocation":"a","attempt":1,"event":"start","version":"v1","at":5}
{"invocation":"b","attempt":1,"event":"start","at":6}
{"invocation":"a","attempt":1,"event":"end","at":9}
{"invocation":"a","attempt":1,"event":"start","at":10}
`))
	want := []span{{attempt{"a", 1}, 5, 9, true, "v1"}, {attempt{"b", 1}, 6, 7, false, ""}, {attempt{"a", 1}, 10, 11, false, ""}}
	if err != nil || !slices.Equal(spans, want) {
		t.Errorf("spans %v, %v; want %v", spans, err, want)
	}
	for _, bad := range []string{`{"invocation":"a","attempt":1,"event":"end","at":9}`, `{"invocation`, `{}`} {
		if _, err := parseSpans(strings.NewReader(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func FuzzParseSpans(f *testing.F) {
	f.Add(`{"invocation":"a","attempt":1,"event":"start","at":5}` + "\n" + `{"invocation":"a","attempt":1,"event":"end","at":9}`)
	f.Add(`{"invocation":"","attempt":-1,"event":"start","at":-5}`)
	f.Add("\n\n{")
	f.Fuzz(func(t *testing.T, text string) {
		spans, err := parseSpans(strings.NewReader(text))
		if err != nil {
			return
		}
		if got := peak(spans); got > len(spans) {
			t.Errorf("%d at once of %d", got, len(spans))
		}
	})
}
