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
	clouds   [spillway.MaxPools]*cloudState
	bursts   []int64 // cloud calls in flight by burst policy
	tenants  []tenant
	waiting  []int // tenants with calls that wait

	calls    []record
	freeCall []uint32
	inFlight int
	open     []openAttempt
	freeOpen []int
	openLive int

	timers     timers
	instances  spillway.InstanceID
	ledgerDown bool

	out      []Effect
	query    placement.Query
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
	instance   spillway.InstanceID
	waitFrom   spillway.Instant
	timerAt    spillway.Instant
	prev, next Handle // in its tenant's waiting list
}

// tenant is a namespace: what it runs on-prem and which of its calls wait.
type tenant struct {
	inUse       int64
	first, last Handle
	count       int
}

// New builds an Engine for a platform. Instances of functions with minWarm are
// asked for by the first Tick.
func New(p *spillway.Platform) *Engine {
	e := &Engine{
		platform: p, quota: quota.New(p.Quotas),
		bursts: make([]int64, len(p.BurstPolicies)), tenants: make([]tenant, len(p.Namespaces)),
		calls: make([]record, 1), // handle zero means none
	}
	for _, pool := range p.Pools {
		if pool.Kind.Cloud() {
			e.cloud = e.cloud.With(pool.Index)
			e.clouds[pool.Index] = newCloudState()
		} else {
			e.onPrem[pool.Index] = newOnPremState(pool, len(p.Functions))
		}
	}
	e.probe.e = e
	return e
}

// Platform returns the configuration the Engine decides by.
func (e *Engine) Platform() *spillway.Platform { return e.platform }

// Admit takes a call and decides at once: start it, let it wait, or refuse it. d
// must be zero but for Owner; it is written until the call's Reply. The effects
// are valid until the next event.
func (e *Engine) Admit(now spillway.Instant, call spillway.Call, verdict *policy.Verdict, d *Decision) (Handle, []Effect) {
	e.out = e.out[:0]
	h, r := e.alloc()
	d.begin(now, call, verdict)
	r.d = d
	e.place(now, h)
	return h, e.out
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
	d.begin(now, call, verdict)
	r := record{d: d}
	e.decide(now, &r)
	d.Pool, d.Reason = e.decision.Pool, e.decision.Reason
	if d.Pool < 0 {
		d.Reason, d.Refusal = spillway.ReasonNone, e.decision.Reason
	}
}

// Next is when Tick has work to do, or Never.
func (e *Engine) Next() spillway.Instant {
	at := e.timers.next()
	for _, s := range e.onPrem {
		if s != nil {
			at = min(at, s.nextExpiry(), s.warmAt)
		}
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
	e.emit(Effect{Kind: Reply, Call: h, Decision: d})
	r.d, r.state = nil, callFree
	e.freeCall = append(e.freeCall, uint32(h))
	e.inFlight--
}

func (e *Engine) refuse(now spillway.Instant, h Handle, r *record, reason spillway.Reason) {
	e.leaveQueue(now, h, r)
	r.d.Refusal, r.d.Reason, r.d.Pool = reason, spillway.ReasonNone, -1
	e.reply(now, h, r)
}

func (e *Engine) nextInstance() spillway.InstanceID {
	e.instances++
	return e.instances
}
