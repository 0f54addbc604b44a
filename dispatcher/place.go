package dispatcher

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher/placement"
	"github.com/spillway-dev/spillway/quota"
)

// place decides for one call and carries the decision out: it starts, waits or is
// refused. It reports whether the call has left the waiting list.
func (e *Engine) place(now spillway.Instant, h Handle) bool {
	r := e.record(h)
	d := r.d
	if now >= d.Deadline {
		e.decision = placement.Decision{Pool: -1, Reason: spillway.ReasonDeadline}
	} else {
		e.decide(now, r)
	}
	switch {
	case e.decision.Pool >= 0:
		e.leaveQueue(now, h, r)
		e.assign(now, h, r)
		return true
	case e.decision.Wait && e.wait(now, h, r):
		return false
	case d.Tries > 0:
		e.giveUp(now, h, r)
		return true
	default:
		e.refuse(now, h, r, e.decision.Reason)
		return true
	}
}

// decide runs placement into e.decision and notes the outcome in the Decision.
func (e *Engine) decide(now spillway.Instant, r *record) {
	d, f := r.d, r.d.Call.Function
	policy := &e.platform.BurstPolicies[f.Policy]
	patience := d.Admitted.Add(policy.OnPremWaitBudget)
	e.query = placement.Query{
		Order: policy.Order, Permitted: f.Permitted, Tried: r.tried, Cloud: e.cloud,
		MayWait: now < patience && e.tenants[f.Namespace].count < maxWaiting,
		Waited:  r.state == callWaiting && now >= patience,
	}
	if d.Verdict != nil && d.Verdict.Generation == e.platform.Generation {
		e.query.Verdict = d.Verdict.Permitted
	}
	e.probe.now, e.probe.d = now, d
	placement.Decide(&e.query, &e.probe, &e.decision)
	d.Filtered, d.Limit = e.decision.Filtered, e.decision.Limit
	if d.Limit.Kind == spillway.LimitNoBudget {
		d.Limit.Name = f.FunctionKey.Namespace
	}
	if leaf := e.platform.Namespaces[f.Namespace].Quota; leaf != quota.None {
		class := spillway.ClassOnPrem
		if e.decision.Pool >= 0 {
			class = e.platform.Pools[e.decision.Pool].Class()
		}
		d.QuotaUsed = e.quota.Used(leaf, class)
	}
}

// probe answers placement's questions about one call.
type probe struct {
	e   *Engine
	now spillway.Instant
	d   *Decision
	ask quota.Ask
}

// Probe implements placement.Prober. Provider and pool limits come before quota.
func (p *probe) Probe(pool int) placement.Fit {
	e, f := p.e, p.d.Call.Function
	if s := e.onPrem[pool]; s != nil {
		if fit := s.probe(f); fit.Filter != placement.FilterNone {
			// Quota is asked all the same: it is the better reason of the two.
			if q := p.quota(pool); q.Filter != placement.FilterNone {
				return q
			}
			return fit
		}
		return p.quota(pool)
	}
	if e.ledgerDown {
		return placement.Fit{Filter: placement.FilterUnavailable, Limit: spillway.Limit{Kind: spillway.LimitLedger}}
	}
	policy := &e.platform.BurstPolicies[f.Policy]
	if n := e.bursts[f.Policy]; n >= policy.MaxBurstConcurrency {
		return placement.Fit{Filter: placement.FilterCapacity, Limit: spillway.Limit{Kind: spillway.LimitBurst,
			Name: policy.Name, Class: spillway.ClassCloud, Dim: spillway.DimSlots, Used: n, Need: 1, Max: policy.MaxBurstConcurrency}}
	}
	if fit := p.quota(pool); fit.Filter != placement.FilterNone {
		return fit
	}
	return e.clouds[pool].probe(p.now, e.platform.Pools[pool], f.Index)
}

func (p *probe) quota(pool int) placement.Fit {
	p.e.askFor(&p.ask, p.d, pool)
	blocked, ok := p.e.quota.Check(&p.ask)
	switch {
	case ok:
		return placement.Fit{}
	case blocked.Limit.Kind == spillway.LimitQuota:
		return placement.Fit{Filter: placement.FilterQuota, Limit: blocked.Limit}
	default:
		return placement.Fit{Filter: placement.FilterBudget, Limit: blocked.Limit, Redirect: blocked.Redirect}
	}
}

// askFor fills ask with what one attempt of the call on a pool must hold.
func (e *Engine) askFor(ask *quota.Ask, d *Decision, pool int) {
	f, p := d.Call.Function, e.platform.Pools[pool]
	ask.Leaf, ask.Admitted = e.platform.Namespaces[f.Namespace].Quota, d.Admitted
	ask.Class, ask.Need, ask.Money = p.Class(), f.Resources, 0
	if p.Kind.Cloud() {
		b := &f.Bindings[pool]
		ask.Need, ask.Money = spillway.Resources{Slots: 1, MiB: b.MiB}, b.WorstCase
	}
}

// assign carries out the placement in e.decision.
func (e *Engine) assign(now spillway.Instant, h Handle, r *record) {
	d, f, pool := r.d, r.d.Call.Function, e.decision.Pool
	r.ask = e.probe.ask // of the pool probed last, which is the one picked; checked in this same event
	e.quota.Reserve(&r.ask)
	d.Pool, d.Reason = pool, e.decision.Reason
	d.Attempts[d.Tries] = Attempt{Pool: pool, Reason: d.Reason, Placed: now, Reserved: r.ask.Money}
	d.Tries++
	if s := e.onPrem[pool]; s != nil {
		e.tenants[f.Namespace].inUse++
		e.activate(now, h, r, s)
		return
	}
	e.clouds[pool].start(now, f.Index)
	e.bursts[f.Policy]++
	r.state = callRunning
	e.start(h, r, 0)
}

// activate gives the call an idle instance, or lets it wait for one to start.
func (e *Engine) activate(now spillway.Instant, h Handle, r *record, s *onPremState) {
	f := r.d.Call.Function
	if in := s.take(f); in != nil {
		e.run(h, r, in)
		return
	}
	fs := &s.functions[f.Index]
	r.state = callActivating
	r.d.Last().Cold = true
	fs.activating.push(h)
	if fs.coming < fs.activating.len() {
		e.launch(s, f)
	}
	e.timers.push(timer{at: r.d.Deadline, call: h})
}

// run starts the call on an instance that is its own now.
func (e *Engine) run(h Handle, r *record, in *instance) {
	in.state = busy
	r.state, r.instance = callRunning, in.id
	e.start(h, r, in.id)
}

func (e *Engine) start(h Handle, r *record, in spillway.InstanceID) {
	e.emit(Effect{Kind: Start, Call: h, Decision: r.d, Attempt: r.d.Tries, Pool: r.d.Pool, Instance: in, Function: r.d.Call.Function})
}

// post emits the ledger line of the call's latest attempt.
func (e *Engine) post(h Handle, d *Decision, line billing.Kind, settled spillway.Nano) {
	e.emit(Effect{Kind: Post, Call: h, Decision: d, Attempt: d.Tries, Pool: d.Last().Pool, Line: line, Settled: settled})
}
