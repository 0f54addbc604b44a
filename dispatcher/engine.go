package dispatcher

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/placement"
	"github.com/spillway-dev/spillway/policy"
	"github.com/spillway-dev/spillway/quota"
)

// maxWaiting bounds the calls of one namespace that wait for a place at once.
const maxWaiting = 1000

// Engine is the decision state of one platform. See the package comment.
type Engine struct {
	platform *spillway.Platform
	quota    *quota.Tree
	cloud    spillway.PoolSet
	onPrem   [spillway.MaxPools]*onPremState
	owned    []*onPremState // those of onPrem that there are
	clouds   [spillway.MaxPools]*cloudState
	bursts   []*burstState // by burst policy
	former   []*burstState // of policies that are gone, with calls in clouds
	tenants  []*tenant     // by namespace
	idlers   []*tenant     // by namespace, for offline work; nil until there is some
	jobs     jobs
	waiting  []*tenant        // those with calls that wait, but offline ones
	idle     idleWork         // offline ones
	easing   bool             // some of them for a limit that eases bit by bit
	easeAt   spillway.Instant // when they are looked at, or Never
	pass     uint64           // counts drains
	futile   []futility       // by function
	picks    map[spillway.FunctionKey]*picks
	retries  retryBudget

	calls    []record
	freeCall []uint32
	inFlight int
	open     []openAttempt
	freeOpen []int
	openLive int

	timers     timers
	instances  spillway.InstanceID
	ledgerDown bool
	ending     bool // Abandon was called: nothing starts any more

	out      []Effect
	query    placement.Query
	order    []int // scratch
	decision placement.Decision
	probe    probe
}

type callState uint8

const (
	callFree callState = iota
	callWaiting
	callActivating
	callRunning
)

// record is one call between Admit and Reply.
type record struct {
	generation uint32
	state      callState
	tried      spillway.PoolSet
	d          *Decision
	ask        quota.Ask // what its attempt holds
	cloud      cloudUse  // of its attempt, in a cloud
	first      int8      // the pool that weights chose plus one; zero: none
	tenant     *tenant
	instances  *functionState   // of its attempt, on-prem
	on         *instance        // that runs its attempt, on-prem; it stays until that has ended
	lacking    spillway.PoolSet // on-prem, that had no room for it when it began to wait
	waitFrom   spillway.Instant
	timerAt    spillway.Instant
	prev, next Handle // in its tenant's waiting list
	job        *job   // if it is one, and not a call
	forCloud   bool   // it waits, is of class offline, and takes a place in a cloud at once
}

// tenant is a namespace: what it runs on-prem and which of its calls wait.
type tenant struct {
	name        string
	inUse       int64
	first, last Handle
	scan        Handle // where the next pass over its calls goes on; zero: at the first
	count       int
	jobs        int  // of count, those that are jobs
	offline     bool // it is served when no other fits

	least  spillway.Resources // no call that waits needs less of an instance
	shared bool               // one of them may join others in an instance
	aside  uint64             // the latest pass in which nothing of it fitted
	// Of offline work: idleWork.freed when the scan began, and when one that looked at all ended.
	since, looked uint64
}

// New builds an Engine for a platform. Instances of functions with minWarm are
// asked for by the first Tick.
func New(p *spillway.Platform) *Engine {
	e := &Engine{
		platform: p, quota: quota.New(quotaNodes(p)),
		picks: map[spillway.FunctionKey]*picks{}, retries: newRetryBudget(),
		calls:  make([]record, 1), // handle zero means none
		easeAt: spillway.Never, idle: idleWork{easeAt: spillway.Never},
	}
	for i := range p.BurstPolicies {
		e.bursts = append(e.bursts, newBurstState(p, i))
	}
	for i := range p.Namespaces {
		e.tenants = append(e.tenants, &tenant{name: p.Namespaces[i].Name})
	}
	e.idlers = make([]*tenant, len(p.Namespaces))
	for _, pool := range p.Pools {
		e.addPool(pool)
	}
	e.probe.e = e
	return e
}

func (e *Engine) addPool(p *spillway.Pool) {
	if p.Kind.Cloud() {
		e.cloud = e.cloud.With(p.Index)
		e.clouds[p.Index] = newCloudState(len(e.platform.Functions))
	} else {
		s := newOnPremState(p, e.platform.Functions)
		e.onPrem[p.Index], e.owned = s, append(e.owned, s)
	}
}

// quotaNodes are the nodes of a platform's quota tree and, after them, a purse for
// each burst policy.
func quotaNodes(p *spillway.Platform) []spillway.QuotaNode {
	all := append([]spillway.QuotaNode(nil), p.Quotas...)
	for i := range p.BurstPolicies {
		all = append(all, spillway.QuotaNode{Name: p.BurstPolicies[i].Name, Parent: quota.None, Budgets: p.BurstPolicies[i].Spend})
	}
	return all
}

func newBurstState(p *spillway.Platform, i int) *burstState {
	b := &burstState{policy: &p.BurstPolicies[i], minute: -1, share: newShare(p.BurstPolicies[i].Share)}
	if len(b.policy.Spend) > 0 {
		b.purse = len(p.Quotas) + i + 1
	}
	return b
}

// Platform returns the configuration the Engine decides by.
func (e *Engine) Platform() *spillway.Platform { return e.platform }

// Admit takes a call and decides at once: start it, let it wait, or refuse it. d
// must be zero but for Owner; it is written until the call's Reply. The effects
// are valid until the next event.
func (e *Engine) Admit(now spillway.Instant, call spillway.Call, verdict *policy.Verdict, d *Decision) (Handle, []Effect) {
	e.out = e.out[:0]
	h, r := e.alloc()
	f := e.current(&call)
	if f == nil {
		d.begin(now, call, verdict)
		d.Limit = spillway.Limit{Kind: spillway.LimitRemoved, Name: call.Function.String()}
		r.d, r.tenant = d, &tenant{}
		e.refuse(now, h, r, spillway.ReasonDenied)
		return h, e.out
	}
	call.Function = f
	d.begin(now, call, verdict)
	r.d, r.tenant = d, e.tenantOf(f)
	r.first = int8(e.firstPool(call.Function, e.allowed(d), true) + 1)
	if e.easing = e.easing && len(e.waiting) > 0; e.easing || e.easeAt <= now {
		e.drainFirst(now, true, scanPerTenant) // what waits comes before what arrives
	}
	e.place(now, h)
	return h, e.out
}

// current is the call's function in the Engine's platform, which may have replaced
// the one that it was found in; nil if it is gone.
func (e *Engine) current(call *spillway.Call) *spillway.Function {
	f := call.Function
	if f.Platform == e.platform {
		return f
	}
	if now := e.platform.RevisionOf(f.FunctionKey, f.Revision); now != nil || call.Pinned {
		return now
	}
	return e.platform.Function(f.FunctionKey)
}

// allowed are the pools that configuration, policy and its caller's permission leave
// to a call.
func (e *Engine) allowed(d *Decision) spillway.PoolSet {
	if d.Verdict == nil {
		return 0
	}
	return e.reach(d.Call.Function, &d.Call) & d.Verdict.Permitted &^ e.withheld(&d.Call)
}

func (d *Decision) begin(now spillway.Instant, call spillway.Call, verdict *policy.Verdict) {
	d.Call, d.Verdict, d.Pool = call, verdict, -1
	d.Admitted, d.Deadline = now, now.Add(call.Function.Deadline)
	if call.Deadline != 0 {
		d.Deadline = min(d.Deadline, call.Deadline)
	}
}

// Preview fills d with what Admit would decide now, and changes nothing.
func (e *Engine) Preview(now spillway.Instant, call spillway.Call, verdict *policy.Verdict, d *Decision) {
	if f := e.current(&call); f != nil {
		call.Function = f
	} else {
		d.begin(now, call, verdict)
		d.Refusal, d.Limit = spillway.ReasonDenied, spillway.Limit{Kind: spillway.LimitRemoved, Name: call.Function.String()}
		return
	}
	d.begin(now, call, verdict)
	r := record{d: d, tenant: e.tenantOf(call.Function)}
	r.first = int8(e.firstPool(call.Function, e.allowed(d), false) + 1)
	e.decide(now, &r)
	d.Pool, d.Reason = e.decision.Pool, e.decision.Reason
	if d.Pool < 0 {
		d.Reason, d.Refusal = spillway.ReasonNone, e.decision.Reason
	}
}

// Next is when Tick has work to do, or Never.
func (e *Engine) Next() spillway.Instant {
	at := min(e.timers.next(), e.easeAt)
	for _, s := range e.owned {
		at = min(at, s.nextExpiry(), s.warmAt)
	}
	return at
}

// InFlight returns how many calls are admitted and not answered, and how many
// attempts with an unknown outcome may still be running.
func (e *Engine) InFlight() (calls, unknown int) { return e.inFlight, e.openLive }

// Quota is the live quota tree, for reports. Callers only read it.
func (e *Engine) Quota() *quota.Tree { return e.quota }

func (e *Engine) emit(f Effect) { e.out = append(e.out, f) }

func (e *Engine) alloc() (Handle, *record) {
	e.inFlight++
	var i uint32
	if n := len(e.freeCall); n > 0 {
		i, e.freeCall = e.freeCall[n-1], e.freeCall[:n-1]
	} else {
		i = uint32(len(e.calls))
		e.calls = append(e.calls, record{})
	}
	r := &e.calls[i]
	*r = record{generation: r.generation + 1}
	return Handle(r.generation)<<32 | Handle(i), r
}

// record returns the live record of h, or nil.
func (e *Engine) record(h Handle) *record {
	i := uint32(h)
	if int(i) >= len(e.calls) || i == 0 {
		return nil
	}
	if r := &e.calls[i]; r.generation == uint32(h>>32) && r.d != nil {
		return r
	}
	return nil
}

// reply ends a call.
func (e *Engine) reply(now spillway.Instant, h Handle, r *record) {
	d := r.d
	d.Answered = now
	e.countShadow(r)
	e.emit(Effect{Kind: Reply, Call: h, Decision: d})
	r.d, r.state = nil, callFree
	e.freeCall = append(e.freeCall, uint32(h))
	e.inFlight--
}

// Abandon refuses the calls that have not started, and from now on those that would
// be placed, because the driver is about to end.
func (e *Engine) Abandon(now spillway.Instant) []Effect {
	e.out = e.out[:0]
	e.ending = true
	for i := 1; i < len(e.calls); i++ {
		r := &e.calls[i]
		if r.d == nil || r.job != nil || r.state != callWaiting && r.state != callActivating {
			continue
		}
		h := Handle(r.generation)<<32 | Handle(i)
		if r.state == callActivating {
			r.instances.activating.remove(h)
			e.endActivation(now, h, r, spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseCancelled, Detail: "the server ended"})
		}
		r.d.Limit = spillway.Limit{Kind: spillway.LimitShutdown}
		e.refuse(now, h, r, spillway.ReasonUnavailable)
	}
	return e.out
}

func (e *Engine) refuse(now spillway.Instant, h Handle, r *record, reason spillway.Reason) {
	e.leaveQueue(now, h, r)
	if r.d.Class() == spillway.NotExecuted { // else a refusal would say that nothing ran
		r.d.Refusal, r.d.Reason, r.d.Pool = reason, spillway.ReasonNone, -1
	}
	e.reply(now, h, r)
}

func (e *Engine) nextInstance() spillway.InstanceID {
	e.instances++
	return e.instances
}
