package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// check is one promise held against the evidence.
type check struct {
	Name   string   `json:"name"`
	Pass   bool     `json:"pass"`
	Detail string   `json:"detail"`           // the numbers of both sides
	Misses []string `json:"misses,omitempty"` // the first few
	Missed int      `json:"missed"`
}

// keptMisses is how many misses are named; all are counted.
const keptMisses = 3

// findings collects what one check finds wrong.
type findings struct {
	misses []string
	count  int
}

func (f *findings) miss(format string, args ...any) {
	f.count++
	if len(f.misses) < keptMisses {
		f.misses = append(f.misses, fmt.Sprintf(format, args...))
	}
}

func (f *findings) check(name, detail string, args ...any) check {
	return check{Name: name, Pass: f.count == 0, Detail: fmt.Sprintf(detail, args...), Misses: f.misses, Missed: f.count}
}

// checkAll holds every promise against e, in the order in which they are printed.
func checkAll(e *evidence) []check {
	all := []check{
		checkAnswers(e), checkExecutions(e), checkRefusals(e), checkUnknown(e), checkQuota(e), checkResidency(e),
	}
	for i := range e.clouds {
		all = append(all, checkBill(e, &e.clouds[i]))
	}
	return append(all, checkBudgets(e), checkThrottles(e), checkWeb(e), checkCanary(e), checkKillSwitch(e), checkShadow(e),
		checkBadFile(e), checkReasons(e), checkHome(e))
}

func checkAnswers(e *evidence) check {
	var f findings
	ids := map[string]bool{}
	for _, a := range e.answers {
		switch {
		case a.Kind == broken:
			f.miss("a call of %s has no answer of Spillway: %s", a.function(), a.Detail)
		case a.ID == "":
			f.miss("an answer of %s names no invocation", a.function())
		case ids[a.ID]:
			f.miss("invocation %s answered twice", a.ID)
		}
		ids[a.ID] = true
	}
	if e.sent != len(e.answers) {
		f.miss("%d calls sent, %d answered", e.sent, len(e.answers))
	}
	return f.check("one terminal answer per call", "%s sent = %s answered, %s ids", count(e.sent), count(len(e.answers)), count(len(ids)))
}

// checkExecutions compares the ledger with those who executed, both ways. What
// the ledger estimated may have run or not: see checkUnknown.
func checkExecutions(e *evidence) check {
	var f findings
	ran := map[attempt]int{}
	for _, s := range e.onPrem {
		ran[s.attempt]++
	}
	charges := e.billed(billing.KindCharge, onPremises)
	for key, lines := range e.billed(billing.KindEstimate, onPremises) {
		charges[key] = append(charges[key], lines...)
	}
	compare(&f, "on-prem", charges, ran)
	detail := fmt.Sprintf("on-prem %s charged = %s logged", count(len(charges)), count(len(ran)))
	for i := range e.clouds {
		c := &e.clouds[i]
		paid, known := e.billed(billing.KindCharge, c.has), map[attempt]int{}
		estimates := e.billed(billing.KindEstimate, c.has)
		for key, lines := range c.invoiced() {
			if len(estimates[key]) == 0 {
				known[key] = len(lines)
			}
		}
		compare(&f, c.pool, paid, known)
		c.compareFunctions(&f)
		detail += fmt.Sprintf("; %s %s = %s", c.pool, count(len(paid)), count(len(known)))
	}
	e.compareSenders(&f)
	return f.check("charged = executed", "%s", detail)
}

// compare wants each attempt charged once and executed once.
func compare(f *findings, where string, charged map[attempt][]*billing.Entry, ran map[attempt]int) {
	for key, lines := range charged {
		switch {
		case len(lines) != 1:
			f.miss("%s: %s attempt %d has %d charges", where, key.Invocation, key.N, len(lines))
		case ran[key] == 0:
			f.miss("%s: %s attempt %d is charged and did not run", where, key.Invocation, key.N)
		}
	}
	for key, n := range ran {
		switch {
		case n != 1:
			f.miss("%s: %s attempt %d ran %d times", where, key.Invocation, key.N, n)
		case len(charged[key]) == 0:
			f.miss("%s: %s attempt %d ran and is not charged", where, key.Invocation, key.N)
		}
	}
}

// compareFunctions holds the stand-in's list against what its functions logged.
// An environment that did not start is billed and has no function to log.
func (c *cloudSide) compareFunctions(f *findings) {
	logged, invoiced := map[attempt]bool{}, c.invoiced()
	for _, s := range c.spans {
		logged[s.attempt] = true
		if len(invoiced[s.attempt]) == 0 {
			f.miss("%s: %s attempt %d ran and is not on the cloud's bill", c.pool, s.Invocation, s.N)
		}
	}
	for _, l := range c.bill.Lines {
		if l.Status == "success" && !logged[attempt{l.Invocation, l.Attempt}] {
			f.miss("%s: %s attempt %d is on the cloud's bill and no function logged it", c.pool, l.Invocation, l.Attempt)
		}
	}
}

// compareSenders wants every line of the ledger to belong to a call of ours, and
// every call that ran to have a line.
func (e *evidence) compareSenders(f *findings) {
	answers := e.byInvocation()
	lined := map[string]bool{}
	for i := range e.ledger {
		l := &e.ledger[i]
		if answers[l.Invocation] == nil {
			f.miss("the ledger has a line of %s, which nobody sent", l.Invocation)
		}
		lined[l.Invocation] = lined[l.Invocation] || l.Kind == billing.KindCharge || l.Kind == billing.KindEstimate
	}
	for i := range e.answers {
		if a := &e.answers[i]; (a.Kind == succeeded || a.Kind == failed || a.Kind == unknown) && !lined[a.ID] {
			f.miss("%s was answered from pool %s and has no line in the ledger", a.ID, a.Pool)
		}
	}
}

func checkRefusals(e *evidence) check {
	var f findings
	refusals := map[string]bool{}
	for _, a := range e.answers {
		if a.Kind == refused {
			refusals[a.ID] = true
		}
	}
	lines, executions := 0, 0
	for i := range e.ledger {
		l := &e.ledger[i]
		if refusals[l.Invocation] && (l.Kind == billing.KindCharge || l.Kind == billing.KindEstimate || l.Settled != 0) {
			lines++
			f.miss("%s was refused and has a %s of %s", l.Invocation, l.Kind, l.Settled)
		}
	}
	ran := func(where, invocation string) {
		if refusals[invocation] {
			executions++
			f.miss("%s was refused and ran %s", invocation, where)
		}
	}
	for _, s := range e.onPrem {
		ran("on-prem", s.Invocation)
	}
	for _, c := range e.clouds {
		for _, l := range c.bill.Lines {
			ran("in "+c.pool, l.Invocation)
		}
	}
	return f.check("refused calls cost nothing", "%s refused: %d charges, %d executions", count(len(refusals)), lines, executions)
}

// checkUnknown lists apart what nobody can know: each such call has one estimate
// and no charge, and nothing else is estimated.
func checkUnknown(e *evidence) check {
	var f findings
	estimates, charges := e.billed(billing.KindEstimate, inAnyCloud), e.billed(billing.KindCharge, inAnyCloud)
	byCall, answered, lost := map[string]int{}, 0, 0
	invoiced := map[attempt]int{}
	for i := range e.clouds {
		for key, lines := range e.clouds[i].invoiced() {
			invoiced[key] += len(lines)
		}
	}
	for key, lines := range estimates {
		byCall[key.Invocation] += len(lines)
		if len(charges[key]) > 0 {
			f.miss("%s attempt %d has an estimate and a charge", key.Invocation, key.N)
		}
		if invoiced[key] > 0 {
			lost++
		}
	}
	for _, a := range e.answers {
		switch n := byCall[a.ID]; {
		case a.Kind != unknown && n > 0:
			f.miss("%s is estimated and its answer was not unknown", a.ID)
		case a.Kind == unknown && n != 1:
			f.miss("%s ended unknown and has %d estimates", a.ID, n)
		}
		if a.Kind == unknown {
			answered++
		}
	}
	return f.check("unknown outcomes listed apart", "%d unknown = %d estimated; the clouds ran %d of them, %d never arrived",
		answered, len(estimates), lost, len(estimates)-lost)
}

// checkReasons wants every ending that the script is about to have happened.
func checkReasons(e *evidence) check {
	var f findings
	seen := map[string]int{}
	for i := range e.answers {
		for _, word := range e.answers[i].endings() {
			seen[word]++
		}
	}
	var wanted []string
	for _, p := range e.script {
		for _, r := range p.Wants {
			if !slices.Contains(wanted, r.Ending) {
				wanted = append(wanted, r.Ending)
			}
		}
	}
	have := 0
	for _, r := range wanted {
		if seen[r] == 0 {
			f.miss("no call ended as %s", r)
			continue
		}
		have++
	}
	return f.check("every reason of the script was seen", "%d of %d: %s", have, len(wanted), strings.Join(wanted, " "))
}

// checkHome wants the calm phases to have stayed on the premises.
func checkHome(e *evidence) check {
	var f findings
	calls := 0
	for _, a := range e.answers {
		if a.Phase >= len(e.script) || !e.script[a.Phase].Calm {
			continue
		}
		calls++
		if pool := e.pool(a.Pool); pool != nil && pool.Kind.Cloud() {
			f.miss("%s of phase %q went to %s: %s", a.ID, e.script[a.Phase].Name, a.Pool, a.Reason)
		}
	}
	return f.check("calm calls stayed on the premises", "%s calm calls; %d overflowed", count(calls), f.count)
}

func (e *evidence) pool(name string) *spillway.Pool {
	for _, p := range e.platform.Pools {
		if p.Name == name {
			return p
		}
	}
	return nil
}
