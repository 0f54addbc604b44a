package main

import (
	"fmt"
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// checkResidency wants no execution in a cloud of a function that may not leave.
func checkResidency(e *evidence) check {
	var f findings
	answers := e.byInvocation()
	outside := func(who, pool, function, invocation string) {
		a := answers[invocation]
		if (a != nil && !e.mayRunIn(a, pool)) || (function != "" && !e.bound(pool, function)) {
			f.miss("%s executed %s, which may not be there (%s)", who, invocation, function)
		}
	}
	for _, c := range e.clouds {
		for _, l := range c.bill.Lines {
			outside(c.pool, c.pool, l.Function, l.Invocation)
		}
		for _, s := range c.spans {
			outside("a function in "+c.pool, c.pool, "", s.Invocation)
		}
	}
	for i := range e.ledger {
		if l := &e.ledger[i]; l.Cloud {
			outside("by our ledger, "+l.Pool, l.Pool, "", l.Invocation)
		}
	}
	detail := "seen by a cloud: " + count(f.count)
	for _, c := range e.clouds {
		confined := 0
		for i := range e.answers {
			if !e.mayRunIn(&e.answers[i], c.pool) {
				confined++
			}
		}
		detail = fmt.Sprintf("%s calls may not be in %s; ", count(confined), c.pool) + detail
	}
	return f.check("nothing outside its residency", "%s", detail)
}

// mayRunIn reports whether configuration permits the function of a call in a pool.
func (e *evidence) mayRunIn(a *answer, pool string) bool {
	fn := e.platform.Function(spillway.FunctionKey{Namespace: a.Namespace, Name: a.Function})
	p := e.pool(pool)
	return fn == nil || p != nil && fn.Permitted.Has(p.Index)
}

// bound reports whether a function of a cloud is that of one of ours.
func (e *evidence) bound(pool, function string) bool {
	p := e.pool(pool)
	return p != nil && slices.ContainsFunc(e.platform.Functions, func(fn *spillway.Function) bool {
		return fn.Permitted.Has(p.Index) && fn.Bindings[p.Index].Name == function
	})
}

// checkThrottles wants that we stopped before the provider's limits: whatever it
// throttled was injected.
func checkThrottles(e *evidence) check {
	var f findings
	throttles, injected := 0, 0
	for _, c := range e.clouds {
		if c.state.Throttles != 0 {
			f.miss("%s throttled %d calls over its limits", c.pool, c.state.Throttles)
		}
		throttles += c.state.Throttles
		for _, fault := range c.state.Faults {
			if fault.Kind == cloud.Throttle {
				injected += fault.Fired
			}
		}
	}
	return f.check("no cloud ever had to throttle us", "%d throttled over a limit; %d injected", throttles, injected)
}
