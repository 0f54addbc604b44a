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
	if r.job != nil {
		return e.placeJob(now, h, r)
	}
	d := r.d
	if e.ending {
		e.decision = placement.Decision{Pool: -1, Reason: spillway.ReasonUnavailable}
		d.Limit = spillway.Limit{Kind: spillway.LimitShutdown}
	} else if now >= d.Deadline {
		e.decision = placement.Decision{Pool: -1, Reason: spillway.ReasonDeadline}
	} else {
		e.decide(now, r)
		e.feel(now, r)
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
	mayWait := e.mayWait(now, d)
	e.query = placement.Query{
		Order: policy.Order, Permitted: e.reach(f, &d.Call), Withheld: e.withheld(&d.Call), Tried: r.tried, Cloud: e.cloud,
		MayWait: mayWait && (r.job != nil || r.tenant.calls() < maxWaiting),
		Waited:  (r.state == callWaiting || r.state == callActivating) && !mayWait,
		Canary:  f.Canary(),
	}
	if r.job != nil {
		e.query.Order = e.orderOf(now, r.job)
	}
	if r.first > 0 {
		e.query.Order, e.query.Weighted = e.startingWith(int(r.first)-1, policy.Order), true
	}
	if d.Verdict != nil {
		e.query.Verdict = d.Verdict.Permitted
	}
	e.probe.begin(now, r)
	placement.Decide(&e.query, &e.probe, &e.decision)
	d.Filtered, d.Limit = e.decision.Filtered, e.decision.Limit
	// A call that may still wait for on-prem would not have burst yet.
	if e.probe.shadow >= 0 && d.ShadowPool == 0 && (!e.decision.Wait || !e.query.MayWait) {
		d.ShadowPool = e.probe.shadow + 1
	}
	if d.Limit.Kind == spillway.LimitNoBudget {
		d.Limit.Name = f.FunctionKey.Namespace
	}
	if leaf := e.platform.Namespaces[f.Namespace].Quota; leaf != quota.None {
		class := spillway.ClassOnPrem
		if f.Offline {
			class = spillway.ClassOffline
		}
		if e.decision.Pool >= 0 {
			class = e.platform.Pools[e.decision.Pool].Class()
		}
		d.QuotaUsed = e.quota.Used(leaf, class)
	}
}

// reach are the pools that configuration leaves to a call.
func (e *Engine) reach(f *spillway.Function, call *spillway.Call) spillway.PoolSet {
	left := f.Permitted
	if call.Pools != 0 {
		left &= call.Pools
	}
	if call.OnPremOnly {
		return left &^ e.cloud
	}
	return left
}

// withheld are the pools that a call may not use while its caller's permission is
// stale.
func (e *Engine) withheld(call *spillway.Call) spillway.PoolSet {
	if call.Stale {
		return e.cloud
	}
	return 0
}

// feel tells the call's burst policy whether on-prem had room. A call that has
// waited and finds room does not mean that there is any.
func (e *Engine) feel(now spillway.Instant, r *record) {
	b := e.bursts[r.d.Call.Function.Policy]
	if r.d.Call.Function.Offline { // idle capacity is full when online work is busy, which says nothing
		return
	}
	if b.policy.Hysteresis == (spillway.Hysteresis{}) || !e.probe.asked || !e.probe.full && r.state == callWaiting {
		return
	}
	b.observe(now, e.probe.full, e.calm(b.policy))
}

// calm reports that the on-prem pools of a policy are used less than it asks for
// to close bursting.
func (e *Engine) calm(b *spillway.BurstPolicy) bool {
	percent := b.Hysteresis.CloseBelowPercent
	if percent == 0 {
		return true
	}
	var used, all int64
	for _, i := range b.Order {
		if s := e.onPrem[i]; s != nil && s.pool.Kind != spillway.PoolOffline {
			used += s.promised.Slots - s.idleSlots
			all += s.capacity.Slots
		}
	}
	return 100*used < percent*all
}

// startingWith is order with first at its head.
func (e *Engine) startingWith(first int, order []int) []int {
	e.order = append(e.order[:0], first)
	for _, i := range order {
		if i != first {
			e.order = append(e.order, i)
		}
	}
	return e.order
}

// probe answers placement's questions about one call.
type probe struct {
	e   *Engine
	now spillway.Instant
	r   *record
	d   *Decision
	ask quota.Ask

	blocked     quota.Blocked
	asked, full bool // an on-prem pool was asked; all that were had no room
	shadow      int  // the pool that shadow mode kept it from, or -1
}

func (p *probe) begin(now spillway.Instant, r *record) {
	p.now, p.r, p.d, p.asked, p.full, p.shadow = now, r, r.d, false, false, -1
}

// Probe implements placement.Prober. Provider and pool limits come before quota.
func (p *probe) Probe(pool int, fit *placement.Fit) bool {
	if s := p.e.onPrem[pool]; s != nil {
		fits := p.onPrem(s, fit)
		p.asked, p.full = true, !fits && (p.full || !p.asked)
		return fits
	}
	return p.inCloud(pool, fit)
}

func (p *probe) onPrem(s *onPremState, fit *placement.Fit) bool {
	if p.r.state == callActivating && !s.warmFor(p.d.Call.Function) { // it waits for one start already
		*fit = s.placeless()
		return false
	}
	if !p.hasRoom(s, fit) {
		// Quota is asked all the same: it is the better reason of the two.
		p.quota(s.pool.Index, fit)
		return false
	}
	return p.quota(s.pool.Index, fit)
}

// hasRoom reports whether the pool has a place for the call, or room for the job.
func (p *probe) hasRoom(s *onPremState, fit *placement.Fit) bool {
	if p.r.job != nil {
		return s.fitsJob(&p.r.job.Job, fit)
	}
	return s.fits(p.now, p.d.Call.Function, fit)
}

func (p *probe) inCloud(pool int, fit *placement.Fit) bool {
	e, f, to := p.e, p.d.Call.Function, p.e.platform.Pools[pool]
	if p.r.job != nil {
		f = p.r.job.Burst
	}
	burst := e.bursts[f.Policy]
	switch {
	case e.ledgerDown:
		*fit = placement.Fit{Filter: placement.FilterUnavailable, Limit: spillway.Limit{Kind: spillway.LimitLedger}}
		return false
	case p.d.Tries > 0 && e.sentToCloud(p.d) && !e.retries.allows():
		*fit = placement.Fit{Filter: placement.FilterUnavailable, Limit: spillway.Limit{Kind: spillway.LimitRetryBudget}}
		return false
	case !burst.fits(p.now, p.asked && p.full && !f.Offline && p.r.job == nil, burst.worst(f, to), fit), !p.quota(pool, fit), !e.clouds[pool].fits(p.now, to, f, fit):
		return false
	case !burst.policy.Shadow:
		return true
	}
	if p.shadow < 0 {
		p.shadow = pool
	}
	*fit = placement.Fit{Filter: placement.FilterClosed, Limit: spillway.Limit{Kind: spillway.LimitShadow, Name: burst.policy.Name, Class: spillway.ClassCloud}}
	return false
}

func (p *probe) quota(pool int, fit *placement.Fit) bool {
	p.e.askFor(&p.ask, p.d, pool)
	if p.r.job != nil {
		p.ask.Admitted = p.now // what it would cost now
	}
	if p.e.quota.Check(&p.ask, &p.blocked) {
		return true
	}
	*fit = placement.Fit{Filter: placement.FilterBudget, Limit: p.blocked.Limit, Redirect: p.blocked.Redirect}
	if fit.Limit.Kind == spillway.LimitQuota {
		fit.Filter = placement.FilterQuota
	}
	return false
}

// askFor fills ask with what one attempt of the call on a pool must hold.
func (e *Engine) askFor(ask *quota.Ask, d *Decision, pool int) {
	f, p := d.Call.Function, e.platform.Pools[pool]
	ask.Leaf, ask.Admitted = e.platform.Namespaces[f.Namespace].Quota, d.Admitted
	ask.Class, ask.Need, ask.Money, ask.Purse = p.Class(), f.Resources, 0, 0
	if p.Kind.Cloud() {
		b := &f.Bindings[pool]
		ask.Need, ask.Money, ask.Purse = spillway.Resources{Slots: 1, MiB: b.MiB}, b.WorstCase, e.bursts[f.Policy].purse
	}
}

// assign carries out the placement in e.decision.
func (e *Engine) assign(now spillway.Instant, h Handle, r *record) {
	d, f, pool := r.d, r.d.Call.Function, e.decision.Pool
	repeated := e.sentToCloud(d)
	r.ask = e.probe.ask // of the pool probed last, which is the one picked; checked in this same event
	e.quota.Reserve(&r.ask)
	d.Pool, d.Reason = pool, e.decision.Reason
	d.Attempts[d.Tries] = Attempt{Pool: pool, Function: f, Reason: d.Reason, Placed: now, Reserved: r.ask.Money}
	d.Tries++
	burst := e.bursts[f.Policy]
	if s := e.onPrem[pool]; s != nil {
		r.tenant.inUse++
		burst.onPremStart(now)
		e.activate(now, h, r, s)
		return
	}
	if e.retries.spend(repeated) && len(e.waiting)+e.idle.clouds > 0 {
		e.easeAt = min(e.easeAt, now)
	}
	r.cloud = e.clouds[pool].start(now, e.platform.Pools[pool], f, burst)
	r.state = callRunning
	e.start(h, r, 0)
}

// sentToCloud reports that an attempt of the call went to a cloud before.
func (e *Engine) sentToCloud(d *Decision) bool {
	for i := range d.Tries {
		if e.cloud.Has(d.Attempts[i].Pool) {
			return true
		}
	}
	return false
}

// activate gives the call a place on an instance, or lets it wait for one to start.
func (e *Engine) activate(now spillway.Instant, h Handle, r *record, s *onPremState) {
	f := r.d.Call.Function
	s.loaded(s.functions[f.Index], now, +1)
	if in := s.take(now, f); in != nil {
		e.run(h, r, in)
		return
	}
	fs := s.functions[f.Index]
	r.state, r.instances = callActivating, fs
	r.d.Last().Cold = true
	fs.activating.push(h)
	if fs.places() < fs.activating.len() {
		e.launch(now, s, f)
		s.taken(fs, now, 0, false)
	} else if fs.vacant.coming > fs.ahead() { // it takes what was started ahead
		s.unclaim(fs, now.Add(checkEvery))
		s.taken(fs, now, 0, false)
	}
	e.timers.push(timer{at: r.d.Deadline, call: h})
	e.expect(now, h, r, s)
}

// run starts the call on an instance that has a place for it.
func (e *Engine) run(h Handle, r *record, in *instance) {
	in.state = busy
	in.calls++
	in.offer()
	r.state, r.on = callRunning, in
	e.start(h, r, in.id)
}

func (e *Engine) start(h Handle, r *record, in spillway.InstanceID) {
	e.emit(Effect{Kind: Start, Call: h, Decision: r.d, Attempt: r.d.Tries, Pool: r.d.Pool, Instance: in, Function: r.d.Call.Function})
}

// post emits the ledger line of the call's latest attempt.
func (e *Engine) post(h Handle, d *Decision, line billing.Kind, settled spillway.Nano) {
	e.emit(Effect{Kind: Post, Call: h, Decision: d, Attempt: d.Tries, Pool: d.Last().Pool, Line: line, Settled: settled})
}
