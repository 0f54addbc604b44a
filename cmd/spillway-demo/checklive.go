package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// checkCanary holds the choices of revisions against their weights, phase by phase,
// and what executors were told they are against what the ledger says they were.
//
// A revision is chosen once for each call that arrives, also for one that is refused
// in the end, and with two of them no choice is ever a whole call away from its
// share: so the calls of a phase, executed and refused, are within one of their
// weight. Rules change only between phases, when nothing is under way.
func checkCanary(e *evidence) check {
	var f findings
	revisions := e.revisions(&f)
	var parts []string
	for n, p := range e.script {
		all, canary := 0, 0
		for i := range e.answers {
			if a := &e.answers[i]; a.Phase == n && a.function() == "shop/thumbnail" {
				all++
				if revisions[a.ID] == "v2" {
					canary++
				}
			}
		}
		if off := 100*canary - p.Live.Canary*all; off > 100 || off < -100 {
			f.miss("phase %q: v2 got %d of %d calls, its weight is %d %%", p.Name, canary, all, p.Live.Canary)
		}
		if p.Live.Canary > 0 {
			parts = append(parts, fmt.Sprintf("%d %% %s of %s", p.Live.Canary, count(canary), count(all)))
		}
	}
	e.holdVersions(&f)
	return f.check("a canary gets its share to the call", "calls of thumbnail that v2 got, by phase: %s", strings.Join(parts, ", "))
}

// revisions are those of the calls of functions that have several: from the ledger,
// or for refused calls as they were explained.
func (e *evidence) revisions(f *findings) map[string]string {
	found := map[string]string{}
	for i := range e.ledger {
		if l := &e.ledger[i]; l.Kind == billing.KindCharge || l.Kind == billing.KindEstimate {
			found[l.Invocation] = l.Revision
		}
	}
	for i := range e.answers {
		a := &e.answers[i]
		fn := e.platform.Function(spillway.FunctionKey{Namespace: a.Namespace, Name: a.Function})
		if fn == nil || len(fn.Revisions) == 0 || a.Kind == broken {
			continue
		}
		if a.Kind == refused {
			found[a.ID] = e.refused[a.ID]
		}
		if found[a.ID] == "" {
			f.miss("nobody knows the revision of %s", a.ID)
		}
	}
	return found
}

// holdVersions wants every execution to have been of the version that its charge is
// for: on-prem the revision itself, in a cloud what its qualifier stands for there.
func (e *evidence) holdVersions(f *findings) {
	ran := map[attempt]string{}
	for _, s := range e.onPrem {
		ran[s.attempt] = s.version
	}
	for _, c := range e.clouds {
		for _, l := range c.bill.Lines {
			ran[attempt{l.Invocation, l.Attempt}] = l.Version
		}
	}
	for i := range e.ledger {
		l := &e.ledger[i]
		fn := e.platform.Function(spillway.FunctionKey{Namespace: l.Namespace, Name: l.Function})
		if l.Kind != billing.KindCharge || fn == nil || len(fn.Revisions) == 0 {
			continue
		}
		want := l.Revision
		if l.Cloud {
			want = e.version(l)
		}
		if got, ok := ran[attempt{l.Invocation, l.Attempt}]; ok && got != want {
			f.miss("%s is charged as %s, and version %q of %s ran in %s, not %q", l.Invocation, l.Revision, got, fn, l.Pool, want)
		}
	}
}

// version is what a cloud calls the revision of a charge.
func (e *evidence) version(l *billing.Entry) string {
	p := e.pool(l.Pool)
	fn := e.platform.RevisionOf(spillway.FunctionKey{Namespace: l.Namespace, Name: l.Function}, l.Revision)
	if p == nil || fn == nil {
		return ""
	}
	for _, c := range e.clouds {
		for _, deployed := range c.functions {
			if c.pool == l.Pool && deployed.Name == fn.Bindings[p.Index].Name {
				return deployed.Qualifiers[fn.Bindings[p.Index].Qualifier]
			}
		}
	}
	return ""
}

// checkKillSwitch takes the beginning of an execution from the function itself, and
// holds it against the moment at which the reload had been answered. A call that was
// placed before that may still be on its way to a cloud; one that was sent later may
// not, and nothing may begin once the server had seen all of them end.
func checkKillSwitch(e *evidence) check {
	var f findings
	k, answers := e.moments.kill, e.byInvocation()
	if k.acknowledged.IsZero() || !k.acknowledged.Before(k.quiet) || !k.quiet.Before(k.lifted) {
		f.miss("the kill switch was not thrown, seen to work and lifted")
	}
	ran := 0
	for _, c := range e.clouds {
		for _, l := range c.bill.Lines {
			a := answers[l.Invocation]
			if a != nil && a.Sent.After(k.acknowledged) && a.Sent.Before(k.lifted) {
				ran++
				f.miss("%s was sent %s after the kill switch and ran in %s", a.ID, a.Sent.Sub(k.acknowledged), c.pool)
			}
		}
	}
	for _, s := range e.during(k.quiet, k.lifted) {
		f.miss("%s began in a cloud though nothing was left there", s.Invocation)
	}
	before, after := 0, 0
	for i := range e.answers {
		switch a := &e.answers[i]; {
		case e.phase(a) != phaseKill:
		case a.Sent.Before(k.acknowledged):
			before++
		case a.Sent.Before(k.lifted):
			after++
		}
	}
	if after == 0 {
		f.miss("no call was sent while the kill switch was on")
	}
	return f.check("the kill switch stops every cloud at once", "%s calls sent before it; %s after it, of which %d ran in a cloud; %d that were on their way began within %d ms",
		count(before), count(after), ran, len(e.during(k.acknowledged, k.quiet)), k.quiet.Sub(k.acknowledged).Milliseconds())
}

func (e *evidence) phase(a *answer) string {
	if a.Phase < len(e.script) {
		return e.script[a.Phase].Name
	}
	return ""
}

// checkShadow wants nothing to have begun in a cloud in shadow mode, and what would
// have to have been counted.
func checkShadow(e *evidence) check {
	var f findings
	s := e.moments.shadow
	if s.acknowledged.IsZero() || !s.acknowledged.Before(s.ended) {
		f.miss("shadow mode was not on")
	}
	begun := e.during(s.acknowledged, s.ended)
	for _, x := range begun {
		f.miss("%s began in a cloud", x.Invocation)
	}
	calls, refusals := 0, 0
	for i := range e.answers {
		a := &e.answers[i]
		if e.phase(a) != phaseShadow {
			continue
		}
		calls++
		if a.Kind == refused {
			refusals++
		}
		if p := e.pool(a.Pool); p != nil && p.Kind.Cloud() {
			f.miss("%s was answered from %s", a.ID, a.Pool)
		}
	}
	var counted, refusedToo int64
	var cost spillway.Nano
	for _, b := range s.bursts {
		if b.Shadow != nil {
			counted, refusedToo, cost = counted+b.Shadow.Calls, refusedToo+b.Shadow.Refused, cost+b.Shadow.Cost
		}
	}
	switch {
	case counted == 0 || cost == 0:
		f.miss("of %d calls, shadow mode counted %d that would have burst, at %s", calls, counted, cost)
	case counted > int64(calls) || refusedToo > int64(refusals):
		f.miss("shadow mode counted %d calls and %d refusals of %d and %d", counted, refusedToo, calls, refusals)
	}
	return f.check("shadow mode only counts", "%s calls: %d began in a cloud, %s would have burst, for $%s", count(calls), len(begun), count(int(counted)), cost)
}

// checkBadFile wants a file with a mistake to have been refused by name, and
// everything to have gone on as before.
func checkBadFile(e *evidence) check {
	var f findings
	b := e.moments.bad
	if b.status != http.StatusUnprocessableEntity || !strings.Contains(b.said, strings.TrimPrefix(b.name, "conf/")+":") {
		f.miss("the bad file was answered with %d %q; want a refusal that names it", b.status, b.said)
	}
	if b.before.Generation == 0 || b.before.Generation != b.after.Generation || b.before.Revision != b.after.Revision || b.rules[0] != b.rules[1] {
		f.miss("generation %d (%s) became %d (%s)", b.before.Generation, b.rules[0], b.after.Generation, b.rules[1])
	}
	if b.restored.Error != "" || b.restored.Generation != b.before.Generation {
		f.miss("with the good file back, generation %d serves, not %d: %s", b.restored.Generation, b.before.Generation, b.restored.Error)
	}
	served := 0
	for i := range e.answers {
		if a := &e.answers[i]; a.Kind != broken && a.Sent.After(b.from) && a.Sent.Before(b.to) {
			served++
		}
	}
	if served == 0 {
		f.miss("no call was served while the bad file was there")
	}
	return f.check("a bad file changes nothing", "refused with %d, generation %d stayed, %s calls served meanwhile", b.status, b.before.Generation, count(served))
}

// checkWeb wants every answer of a web function to be what was sent, and no
// connection to have been closed without a word.
func checkWeb(e *evidence) check {
	var f findings
	var bytes, calls, refusals int
	for i := range e.answers {
		a := &e.answers[i]
		switch w := a.web; {
		case w == nil:
			continue
		case a.Kind == refused:
			refusals++
		case a.Kind != succeeded:
			f.miss("%s (%s) ended %s with status %d: %s", w.request, a.ID, a.Kind, w.status, a.Detail)
		case w.returned != w.sent:
			f.miss("%s (%s): of %d bytes, %d came back equal", w.request, a.ID, w.sent, w.returned)
		default:
			calls, bytes = calls+1, bytes+w.returned
		}
	}
	if calls == 0 {
		f.miss("no web function was called")
	}
	if lost := e.web.opened - e.web.closed - e.web.seats; lost > 0 {
		f.miss("%d connections were opened for %d at once: %d were lost", e.web.opened, e.web.seats, lost)
	}
	return f.check("web: every byte comes back, nothing is lost", "%s bodies, %s bytes; %d refused; %d connections for %d at once, %d closed as announced",
		count(calls), count(bytes), refusals, e.web.opened, e.web.seats, e.web.closed)
}
