package main

import (
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
)

// Names of checks.
const (
	onAnswers    = "one terminal answer per call"
	onExecutions = "charged = executed"
	onRefusals   = "refused calls cost nothing"
	onUnknown    = "unknown outcomes listed apart"
	onQuota      = "quota overshoot 0, as seen by the executors"
	onResidency  = "nothing outside its residency"
	onLambda     = "our cost of lambda = its own bill"
	onSCF        = "our cost of scf = its own bill"
	onBudgets    = "no budget was exceeded"
	onThrottles  = "no cloud ever had to throttle us"
	onWeb        = "web: every byte comes back, nothing is lost"
	onCanary     = "a canary gets its share to the call"
	onKill       = "the kill switch stops every cloud at once"
	onShadow     = "shadow mode only counts"
	onBadFile    = "a bad file changes nothing"
	onReasons    = "every reason of the script was seen"
	onHome       = "calm calls stayed on the premises"
)

func TestEveryPromiseKept(t *testing.T) {
	for _, c := range checkAll(goodEvidence()) {
		if !c.Pass {
			t.Errorf("%s: %v", c.Name, c.Misses)
		}
	}
}

// doctored is one thing that is wrong with the evidence, and the checks that are
// about it.
type doctored struct {
	name  string
	spoil func(*evidence)
	fail  []string
}

// fails wants exactly the checks that are about what is wrong to fail.
func fails(t *testing.T, all []doctored) {
	t.Helper()
	for _, c := range all {
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

func TestEachMissedAnswerFails(t *testing.T) {
	fails(t, []doctored{
		{"a call without an answer", func(e *evidence) { e.sent++ }, []string{onAnswers}},
		{"an id answered twice", func(e *evidence) { e.sent++; e.answers = append(e.answers, *e.call("pay")) }, []string{onAnswers}},
		{"an answer that is none", func(e *evidence) { e.sent++; e.answers = append(e.answers, answer{Kind: broken, Detail: "EOF"}) }, []string{onAnswers}},
		{"an answer without an id", func(e *evidence) { e.sent++; e.answers = append(e.answers, answer{Kind: refused}) }, []string{onAnswers}},

		{"a refused call is charged", func(e *evidence) {
			e.ledger = append(e.ledger, entry(billing.KindCharge, "no", "shop/thumbnail", "onprem", "0.1", 0))
			e.onPrem = append(e.onPrem, ran("no", 74, 75, "v1"))
		}, []string{onRefusals}},
		{"a refused call holds budget", func(e *evidence) { e.line("no").Settled = 7 }, []string{onRefusals}},
		{"a refused call ran", func(e *evidence) { e.onPrem = append(e.onPrem, ran("no", 74, 75, "v1")) }, []string{onExecutions, onRefusals}},

		{"an unknown call without an estimate", func(e *evidence) { e.without("never") }, []string{onExecutions, onUnknown, onCanary}},
		{"an unknown call with two estimates", func(e *evidence) { e.repeat("never", 2) }, []string{onUnknown}},
		{"an estimate and a charge", func(e *evidence) {
			e.ledger = append(e.ledger, entry(billing.KindCharge, "never", "shop/thumbnail", "scf", "0.0000003", 0))
		}, []string{onExecutions, onUnknown, onSCF}},
		{"an estimate of a known outcome", func(e *evidence) { e.line("away").Kind = billing.KindEstimate }, []string{onUnknown}},

		{"a reason never seen", func(e *evidence) { e.call("no").Reason = "quota_exceeded" }, []string{onReasons}},
		{"a calm call overflowed", func(e *evidence) { e.call("away").Phase = 0 }, []string{onHome}},
	})
}

func TestEachMissedExecutionFails(t *testing.T) {
	fails(t, []doctored{
		{"ran on-prem, not charged", func(e *evidence) { e.without("pay") }, []string{onExecutions}},
		{"charged, did not run on-prem", func(e *evidence) { e.onPrem = e.onPrem[1:] }, []string{onExecutions}},
		{"ran on-prem twice", func(e *evidence) { e.onPrem = append(e.onPrem, ran("here", 74, 75, "v1")) }, []string{onExecutions}},
		{"a web request that nobody was answered for", func(e *evidence) { e.onPrem = append(e.onPrem, ran("web-2", 74, 75, "")) }, []string{onExecutions}},
		{"charged twice", func(e *evidence) { e.repeat("here", 1) }, []string{onExecutions}},
		{"charged for a second attempt that did not run", func(e *evidence) { e.repeat("here", 2) }, []string{onExecutions}},
		{"a line of nobody's call", func(e *evidence) {
			e.ledger = append(e.ledger, entry(billing.KindVoid, "ghost", "shop/thumbnail", "lambda", "0", 0))
		}, []string{onExecutions}},
		{"ran in a cloud, not charged", func(e *evidence) { e.without("far") }, []string{onExecutions, onSCF, onCanary}},
		{"charged, not on the cloud's bill", func(e *evidence) {
			c := &e.clouds[0]
			c.bill.Lines, c.bill.Total, c.spans = c.bill.Lines[1:], "0.0000003", c.spans[1:]
		}, []string{onExecutions, onLambda}},
		{"billed by the cloud twice", func(e *evidence) {
			b := &e.clouds[1].bill
			b.Lines, b.Total = append(b.Lines, b.Lines[0]), "0.0000011"
		}, []string{onExecutions, onSCF}},
		{"charged for one cloud, ran in the other", func(e *evidence) { e.line("late").Pool = "scf" }, []string{onExecutions, onLambda, onSCF}},
		{"ran in a cloud unbilled", func(e *evidence) { e.clouds[1].spans = append(e.clouds[1].spans, ran("never", 54, 55, "1")) }, []string{onExecutions}},
		{"billed by a cloud, logged by no function", func(e *evidence) { e.clouds[1].spans = e.clouds[1].spans[1:] }, []string{onExecutions}},

		{"over the quota on-prem", func(e *evidence) {
			e.onPrem[0].to = at(30).UnixNano()
			e.call("pay").Namespace, e.call("pay").Function = "shop", "thumbnail"
		}, []string{onQuota}},
		{"over the pool", func(e *evidence) { e.platform.Pools[0].Capacity.Slots = 1 }, []string{onQuota}},
		{"over the quota in clouds, in time", func(e *evidence) { e.platform.Quotas[1].Nominal[spillway.ClassCloud].Slots = 1 }, []string{onQuota}},
		{"over the quota in both clouds together", func(e *evidence) {
			e.clouds[1].spans[0].from = at(31).UnixNano()
		}, []string{onQuota}},
		{"over the quota in a cloud, as it saw it", func(e *evidence) { e.clouds[1].state.Functions[0].PeakConcurrency = 3 }, []string{onQuota}},
		{"over all quotas together", func(e *evidence) { e.clouds[0].state.PeakConcurrency = 3 }, []string{onQuota}},

		{"payroll in a cloud", func(e *evidence) { e.call("far").Namespace, e.call("far").Function = "finance", "payroll" }, []string{onResidency}},
		{"a call in the cloud that it may not be in", func(e *evidence) {
			for _, f := range e.platform.Functions[:2] {
				f.Permitted = 0b011
			}
		}, []string{onResidency}},
		{"a function in a cloud that is nobody's", func(e *evidence) { e.clouds[0].bill.Lines[0].Function = "payroll" }, []string{onResidency}},
		{"throttled over a limit", func(e *evidence) { e.clouds[1].state.Throttles = 1 }, []string{onThrottles}},
	})
}

func TestEachMissedUnitOfMoneyFails(t *testing.T) {
	fails(t, []doctored{
		{"a charge off by the last decimal", func(e *evidence) { e.line("away").Amount = *apd.New(300000000002, -18) }, []string{onLambda}},
		{"a converted charge off by the last decimal", func(e *evidence) { e.line("far").Amount = *apd.New(70000000001, -18) }, []string{onSCF}},
		{"a charge that was not converted", func(e *evidence) { e.line("new").Amount = *apd.New(1, -7) }, []string{onSCF}},
		{"an estimate below the bill", func(e *evidence) { e.line("lost").Amount = *apd.New(1, -7) }, []string{onLambda}},
		{"a bill with more on it", func(e *evidence) { e.clouds[1].bill.Total = "0.1" }, []string{onSCF}},
		{"a bill in a currency without a rate", func(e *evidence) { e.clouds[1].bill.Currency = "EUR" }, []string{onSCF}},
		{"over budget", func(e *evidence) { e.line("away").Settled = 501 }, []string{onBudgets}},
	})
}

func TestEachMissedRuleFails(t *testing.T) {
	fails(t, []doctored{
		{"a canary without its share", func(e *evidence) {
			for _, id := range []string{"old", "new"} {
				e.line(id).Revision = "v1"
			}
			e.clouds[1].bill.Lines[1].Version = "1"
			e.script[2].Live.Canary = 60
		}, []string{onCanary}},
		{"a canary before its time", func(e *evidence) {
			for _, id := range []string{"away", "lost"} {
				e.line(id).Revision = "v2"
				e.clouds[0].bill.Lines[0].Version, e.clouds[0].bill.Lines[1].Version = "2", "2"
			}
		}, []string{onCanary}},
		{"a refused call without a revision", func(e *evidence) { delete(e.refused, "no") }, []string{onCanary}},
		{"another version ran on-prem", func(e *evidence) { e.onPrem[0].version = "v2" }, []string{onCanary}},
		{"another version ran in a cloud", func(e *evidence) { e.clouds[1].bill.Lines[1].Version = "1" }, []string{onCanary}},

		{"a later call ran in a cloud", func(e *evidence) { e.call("late").Sent = at(61) }, []string{onKill}},
		{"something began when nothing was left", func(e *evidence) { e.moments.kill.quiet = at(60).Add(time.Millisecond) }, []string{onKill}},
		{"the kill switch was never thrown", func(e *evidence) { e.moments.kill = killed{} }, []string{onKill}},
		{"nothing was called under the kill switch", func(e *evidence) { e.call("stays").Phase = 1 }, []string{onKill}},

		{"something began in shadow mode", func(e *evidence) {
			e.clouds[1].spans[1].from, e.clouds[1].spans[1].to = at(75).UnixNano(), at(76).UnixNano()
		}, []string{onShadow}},
		{"answered from a cloud in shadow mode", func(e *evidence) { e.call("would").Pool = "lambda" }, []string{onShadow}},
		{"shadow mode counted nothing", func(e *evidence) { e.moments.shadow.bursts[0].Shadow.Calls = 0 }, []string{onShadow}},
		{"shadow mode counted without a cost", func(e *evidence) { e.moments.shadow.bursts[0].Shadow.Cost = 0 }, []string{onShadow}},
		{"shadow mode counted too much", func(e *evidence) { e.moments.shadow.bursts[0].Shadow.Calls = 2 }, []string{onShadow}},
		{"shadow mode was not on", func(e *evidence) { e.moments.shadow = shadowed{bursts: []dispatcher.BurstView{}} }, []string{onShadow}},

		{"a bad file was taken", func(e *evidence) { e.moments.bad.status = 200 }, []string{onBadFile}},
		{"a bad file was refused without its name", func(e *evidence) { e.moments.bad.said = "no" }, []string{onBadFile}},
		{"a bad file changed the generation", func(e *evidence) { e.moments.bad.after.Generation = 2 }, []string{onBadFile}},
		{"a bad file changed a limit", func(e *evidence) { e.moments.bad.rules[1] = "company 4 1400" }, []string{onBadFile}},
		{"the good file was not taken back", func(e *evidence) { e.moments.bad.restored.Error = "still bad" }, []string{onBadFile}},
		{"nothing was served while the bad file was there", func(e *evidence) { e.moments.bad.to = e.moments.bad.from }, []string{onBadFile}},

		{"a byte is not the one that was sent", func(e *evidence) { e.call("page").web.returned = 4 }, []string{onWeb}},
		{"a byte too many came back", func(e *evidence) { e.call("page").web.returned = -1 }, []string{onWeb}},
		{"a web function failed", func(e *evidence) { e.call("page").Kind = failed }, []string{onWeb}},
		{"a connection was lost", func(e *evidence) { e.web.opened++ }, []string{onWeb}},
		{"a web function was never called", func(e *evidence) { e.call("page").web = nil }, []string{onWeb}},
	})
}
