package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
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
		},
		Namespaces: []spillway.Namespace{{Name: "shop", Department: "retail", Quota: 1}, {Name: "finance", Department: "finance", Quota: 2}},
		Quotas: []spillway.QuotaNode{
			{Name: "company", Parent: -1, Nominal: slots(spillway.Unlimited, 2)},
			{Name: "retail", Parent: 0, Nominal: slots(1, 2), Budgets: []spillway.Budget{{Window: spillway.WindowDay, Limit: 1000, Location: time.UTC}}},
			{Name: "finance", Parent: 0, Nominal: slots(2, 1)},
		},
		Functions: []*spillway.Function{
			{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "thumbnail"}, Namespace: 0, Permitted: 3},
			{FunctionKey: spillway.FunctionKey{Namespace: "finance", Name: "payroll"}, Index: 1, Namespace: 1, Permitted: 1},
		},
	}
	p.Functions[0].Bindings[1].Name = "shop-thumbnail"
	p.Index()
	return p
}

var admitted = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

func entry(kind billing.Kind, id, namespace string, inCloud bool, amount string, settled spillway.Nano) billing.Entry {
	d, err := billing.ParseAmount(amount)
	if err != nil {
		panic(err)
	}
	return billing.Entry{Kind: kind, Invocation: id, Attempt: 1, Namespace: namespace, Cloud: inCloud, Admitted: admitted, Amount: d, Settled: settled}
}

// goodEvidence is a small run in which every promise was kept: two calls on-prem,
// one of them confined, one paid cloud call, one lost, one that never arrived,
// and a refusal.
func goodEvidence() *evidence {
	shop := func(id string, k kind, pool, reason string, phase int) answer {
		return answer{ID: id, Namespace: "shop", Function: "thumbnail", Kind: k, Pool: pool, Reason: reason, Phase: phase}
	}
	return &evidence{
		platform: testPlatform(), sent: 6,
		script: []phase{{Name: "calm", Calm: true, Wants: []want{{"preferred", 1}}}, {Name: "burst", Wants: []want{{"overflow_quota", 1}, {"budget_exceeded", 1}, {"unknown", 1}}}},
		answers: []answer{
			shop("here", succeeded, "onprem", "preferred", 0),
			{ID: "pay", Namespace: "finance", Function: "payroll", Kind: succeeded, Pool: "onprem", Reason: "pinned"},
			shop("away", failed, "lambda", "overflow_quota", 1),
			shop("lost", unknown, "lambda", "overflow_quota", 1),
			shop("never", unknown, "lambda", "overflow_quota", 1),
			shop("no", refused, "-", "budget_exceeded", 1),
		},
		ledger: []billing.Entry{
			entry(billing.KindCharge, "here", "shop", false, "0.000001", 0),
			entry(billing.KindCharge, "pay", "finance", false, "0.000001", 0),
			entry(billing.KindIntent, "away", "shop", true, "0", 0),
			entry(billing.KindCharge, "away", "shop", true, "0.000000300000000001", 301),
			entry(billing.KindEstimate, "lost", "shop", true, "0.0000003", 300),
			entry(billing.KindEstimate, "never", "shop", true, "0.0000003", 300),
			entry(billing.KindVoid, "no", "shop", true, "0", 0),
		},
		onPrem: []span{{attempt{"here", 1}, 10, 20, true}, {attempt{"pay", 1}, 15, 25, true}},
		remote: []span{{attempt{"away", 1}, 30, 40, true}, {attempt{"lost", 1}, 35, 45, true}},
		bill: cloud.Bill{Currency: "USD", Total: "0.000000500000000001", Executions: 2, Lines: []cloud.Line{
			{Function: "shop-thumbnail", Invocation: "away", Attempt: 1, Status: "success", Cost: "0.000000300000000001"},
			{Function: "shop-thumbnail", Invocation: "lost", Attempt: 1, Status: "success", Cost: "0.0000002"},
		}},
		state: cloud.State{PeakConcurrency: 2, Functions: []cloud.FunctionState{{Name: "shop-thumbnail", PeakConcurrency: 2}}},
	}
}

// Names of checks.
const (
	onAnswers    = "one terminal answer per call"
	onExecutions = "charged = executed"
	onRefusals   = "refused calls cost nothing"
	onUnknown    = "unknown outcomes listed apart"
	onQuota      = "quota overshoot 0, as seen by the executors"
	onResidency  = "nothing outside its residency"
	onBill       = "our cloud cost = the cloud's own bill"
	onThrottles  = "the cloud never had to throttle us"
	onReasons    = "every reason of the script was seen"
	onHome       = "calm calls stayed on the premises"
	onBudgets    = "no budget was exceeded"
)

func TestEveryPromiseKept(t *testing.T) {
	for _, c := range checkAll(goodEvidence()) {
		if !c.Pass {
			t.Errorf("%s: %v", c.Name, c.Misses)
		}
	}
}

// TestEachMissFails breaks one thing at a time: exactly the checks that are about
// it must fail.
func TestEachMissFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*evidence)
		fail  []string
	}{
		{"a call without an answer", func(e *evidence) { e.sent++ }, []string{onAnswers}},
		{"an id answered twice", func(e *evidence) { e.sent++; e.answers = append(e.answers, e.answers[0]) }, []string{onAnswers}},
		{"an answer that is none", func(e *evidence) { e.sent++; e.answers = append(e.answers, answer{Kind: broken, Detail: "EOF"}) }, []string{onAnswers}},
		{"an answer without an id", func(e *evidence) { e.sent++; e.answers = append(e.answers, answer{Kind: refused}) }, []string{onAnswers}},

		{"ran on-prem, not charged", func(e *evidence) { e.ledger = slices.Delete(e.ledger, 0, 1) }, []string{onExecutions}},
		{"charged, did not run on-prem", func(e *evidence) { e.onPrem = e.onPrem[1:] }, []string{onExecutions}},
		{"ran on-prem twice", func(e *evidence) {
			e.onPrem = append(e.onPrem, span{attempt{"here", 1}, 50, 60, true})
		}, []string{onExecutions}},
		{"charged twice", func(e *evidence) { e.ledger = append(e.ledger, e.ledger[0]) }, []string{onExecutions}},
		{"charged for a second attempt that did not run", func(e *evidence) {
			e.ledger = append(e.ledger, e.ledger[0])
			e.ledger[len(e.ledger)-1].Attempt = 2
		}, []string{onExecutions}},
		{"a line of nobody's call", func(e *evidence) { e.ledger = append(e.ledger, entry(billing.KindVoid, "ghost", "shop", true, "0", 0)) }, []string{onExecutions}},
		{"ran in the cloud, not charged", func(e *evidence) { e.ledger = slices.Delete(e.ledger, 3, 4) }, []string{onExecutions, onBill}},
		{"charged, not on the cloud's bill", func(e *evidence) {
			e.bill.Lines, e.bill.Total, e.remote = e.bill.Lines[1:], "0.0000002", e.remote[1:]
		}, []string{onExecutions, onBill}},
		{"billed by the cloud twice", func(e *evidence) {
			e.bill.Lines, e.bill.Total = append(e.bill.Lines, e.bill.Lines[0]), "0.000000800000000002"
		}, []string{onExecutions, onBill}},
		{"ran in the cloud unbilled", func(e *evidence) { e.remote = append(e.remote, span{attempt{"never", 1}, 50, 60, true}) }, []string{onExecutions}},
		{"billed by the cloud, logged by no function", func(e *evidence) { e.remote = e.remote[:1] }, []string{onExecutions}},

		{"a refused call is charged", func(e *evidence) {
			e.ledger = append(e.ledger, entry(billing.KindCharge, "no", "shop", false, "0.1", 0))
			e.onPrem = append(e.onPrem, span{attempt{"no", 1}, 50, 60, true})
		}, []string{onRefusals}},
		{"a refused call holds budget", func(e *evidence) { e.ledger[6].Settled = 7 }, []string{onRefusals}},
		{"a refused call ran", func(e *evidence) { e.onPrem = append(e.onPrem, span{attempt{"no", 1}, 50, 60, true}) }, []string{onExecutions, onRefusals}},

		{"an unknown call without an estimate", func(e *evidence) { e.ledger = slices.Delete(e.ledger, 5, 6) }, []string{onExecutions, onUnknown}},
		{"an unknown call with two estimates", func(e *evidence) {
			e.ledger = append(e.ledger, entry(billing.KindEstimate, "never", "shop", true, "0.0000003", 0))
			e.ledger[len(e.ledger)-1].Attempt = 2
		}, []string{onUnknown}},
		{"an estimate and a charge", func(e *evidence) {
			e.ledger = append(e.ledger, entry(billing.KindCharge, "never", "shop", true, "0.0000003", 0))
		}, []string{onExecutions, onUnknown, onBill}},
		{"an estimate of a known outcome", func(e *evidence) { e.ledger[3].Kind = billing.KindEstimate }, []string{onUnknown}},

		{"over the quota on-prem", func(e *evidence) {
			e.onPrem[0].to = 30
			e.answers[1].Namespace, e.answers[1].Function = "shop", "thumbnail"
		}, []string{onQuota}},
		{"over the pool", func(e *evidence) {
			e.platform.Pools[0].Capacity.Slots = 1
		}, []string{onQuota}},
		{"over the quota in the cloud, in time", func(e *evidence) { e.platform.Quotas[1].Nominal[spillway.ClassCloud].Slots = 1 }, []string{onQuota}},
		{"over the quota in the cloud, as the cloud saw it", func(e *evidence) { e.state.Functions[0].PeakConcurrency = 3 }, []string{onQuota}},
		{"over all quotas together", func(e *evidence) { e.state.PeakConcurrency = 3 }, []string{onQuota}},

		{"payroll in the cloud", func(e *evidence) {
			e.answers[2].Namespace, e.answers[2].Function = "finance", "payroll"
		}, []string{onResidency}},
		{"a function in the cloud that is nobody's", func(e *evidence) { e.bill.Lines[0].Function = "payroll" }, []string{onResidency}},

		{"a charge off by the last decimal", func(e *evidence) { e.ledger[3].Amount = *apd.New(300000000002, -18) }, []string{onBill}},
		{"an estimate below the bill", func(e *evidence) { e.ledger[4].Amount = *apd.New(1, -7) }, []string{onBill}},
		{"a bill with more on it", func(e *evidence) { e.bill.Total = "0.1" }, []string{onBill}},

		{"throttled over a limit", func(e *evidence) { e.state.Throttles = 1 }, []string{onThrottles}},
		{"a reason never seen", func(e *evidence) { e.answers[5].Reason = "quota_exceeded" }, []string{onReasons}},
		{"a calm call overflowed", func(e *evidence) { e.answers[2].Phase = 0 }, []string{onHome}},
		{"over budget", func(e *evidence) { e.ledger[3].Settled = 401 }, []string{onBudgets}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := goodEvidence()
			c.spoil(e)
			var failed []string
			for _, got := range checkAll(e) {
				if got.Pass != (got.Missed == 0) || (!got.Pass && len(got.Misses) == 0) {
					t.Errorf("%s: pass %v with %d misses", got.Name, got.Pass, got.Missed)
				}
				if !got.Pass {
					failed = append(failed, got.Name)
				}
			}
			if !slices.Equal(failed, c.fail) {
				t.Errorf("failed %q, want %q", failed, c.fail)
			}
		})
	}
}

func TestBudgetsAreHeldByWindow(t *testing.T) {
	e := goodEvidence()
	e.ledger[3].Settled = 900
	e.ledger[4].Admitted = admitted.AddDate(0, 0, 1)
	e.ledger[5].Admitted = admitted.AddDate(0, 0, 1)
	if c := checkBudgets(e); !c.Pass {
		t.Errorf("900 on one day and 600 on the next: %v", c.Misses)
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
	spans, err := parseSpans(strings.NewReader(`{"invocation":"a","attempt":1,"event":"start","at":5}
{"invocation":"b","attempt":1,"event":"start","at":6}
{"invocation":"a","attempt":1,"event":"end","at":9}
{"invocation":"a","attempt":1,"event":"start","at":10}
`))
	want := []span{{attempt{"a", 1}, 5, 9, true}, {attempt{"b", 1}, 6, 7, false}, {attempt{"a", 1}, 10, 11, false}}
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
