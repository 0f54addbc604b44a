package dispatcher_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

// propertyPlatforms are what an Engine is reloaded with, at random.
var propertyPlatforms = []string{`
pool onprem process slots=4 mib=900 keepalive=2s
pool east lambda concurrency=5 ramp=3 rps=20
pool west scf concurrency=0 memory=600 rampminute=4
quota company budget=hour:14000:reject onprem=3 cloud=5
quota retail parent=company onprem=2 cloud=3 budget=day:10000:redirect keep=1
quota media parent=company cloud=4 onprem=1 borrow=1
policy default Hybrid order=onprem,east,west wait=20ms max=4 share=70:invocations:10s:5 spend=hour:13000
policy strict OnPremOnly order=onprem
policy split Hybrid order=onprem,east,west weights=2,1,1 open=50ms close=100ms below=80
policy late Hybrid order=onprem,east hours=601-603
namespace shop quota=retail
namespace films quota=media
namespace free
function shop/a burst=allow maxwait=200ms
function shop/stay mib=300 maxwait=200ms minwarm=1
function films/b burst=allow retry=idempotent mib=256 maxwait=100ms policy=split weight=80 at-once=2
function films/b burst=allow retry=idempotent mib=128 maxwait=100ms policy=split weight=20 rev=v2
function free/c burst=allow maxwait=50ms at-once=5 minwarm=1 mib=20
function films/patient burst=allow maxwait=4m deadline=5m retry=idempotent
function films/late burst=allow maxwait=4m deadline=5m policy=late
`, `
pool onprem process slots=3 mib=900 keepalive=1s
pool east lambda concurrency=2 ramp=3 rps=20
pool west scf retired
quota company budget=hour:14000:reject onprem=2 cloud=2
quota media parent=company cloud=1 onprem=2
quota retail parent=company onprem=1 cloud=3 budget=day:10000:redirect
policy split Hybrid order=onprem,east share=30:gibSeconds:10s:3
policy default Hybrid order=onprem,east wait=20ms max=2 spend=hour:13000
namespace films quota=media
namespace shop quota=retail
function films/b burst=allow retry=idempotent mib=256 maxwait=100ms policy=split digest=d2
function shop/stay mib=100 at-once=3 maxwait=200ms minwarm=0
function shop/a burst=allow maxwait=200ms
`, `
pool onprem process slots=4 mib=900 keepalive=2s
pool east lambda concurrency=5
pool west scf concurrency=0 memory=600
quota retail onprem=4 budget=hour:14000:reject
policy default Hybrid order=onprem,east,west kill
policy shade Hybrid order=onprem,west shadow
namespace shop quota=retail
function shop/a burst=allow maxwait=200ms rev=v9
function shop/new burst=allow maxwait=200ms policy=shade
`}

// idlePlatforms are those of class offline: what there is at first is nothing.
var idlePlatforms = []string{`
pool idle offline keepalive=2s
pool east lambda concurrency=3 ramp=3 rps=20
quota company budget=hour:14000:reject offline=3
quota retail parent=company offline=2 budget=day:10000:redirect
policy default Hybrid order=idle,east wait=20ms max=2
namespace shop quota=retail
namespace films quota=company
function shop/a class=offline burst=allow maxwait=200ms
function shop/stay class=offline mib=300 maxwait=200ms
function films/b class=offline burst=allow retry=idempotent mib=256 maxwait=100ms
function films/patient class=offline maxwait=4m deadline=5m retry=idempotent
`, `
pool idle offline keepalive=1s
pool east lambda concurrency=2
quota company offline=2
policy default Hybrid order=idle,east kill
namespace films quota=company
function films/b class=offline burst=allow retry=idempotent mib=100 maxwait=100ms digest=d2
function films/patient class=offline maxwait=4m deadline=5m
`}

// propertyKeepAlives are the policies that platforms have. Idle times are short in
// these tests, so that the first histograms are enough to start instances ahead.
var propertyKeepAlives = []string{"", "keep=hybrid head=50", "keep=forecast worth=2h", "keep=provisioned share=60 window=1m"}

// oracle is what an executor would see: it believes effects only.
type oracle struct {
	t         *rapid.T
	e         *dispatcher.Engine
	p         *spillway.Platform
	running   map[*dispatcher.Decision]attemptSeen
	unknown   map[string]attemptSeen // until the estimate
	handles   map[*dispatcher.Decision]dispatcher.Handle
	replied   map[*dispatcher.Decision]bool
	instances map[spillway.InstanceID]*instanceSeen
	posted    map[string]billing.Kind
	now       spillway.Instant
	found     spillway.Resources // that pool 0 was found to have
	// excess is what was already over a limit when it was lowered, by its name.
	excess map[string]int64
}

// within reports whether n keeps a limit, or is above one that was lowered and has
// not grown since.
func (o *oracle) within(name string, n, limit int64) bool {
	if n <= limit {
		delete(o.excess, name)
		return true
	}
	if before, ok := o.excess[name]; !ok || n > before {
		return false
	}
	o.excess[name] = n
	return true
}

// reload puts another platform in place. What is over its limits may stay.
func (o *oracle) reload(e *dispatcher.Engine, p *spillway.Platform) {
	effects := e.Reload(o.now, p, nil)
	o.p = p
	o.excess = map[string]int64{}
	o.limits(func(name string, n, limit int64) bool { o.excess[name] = n; return true })
	o.money(e, func(name string, n, limit int64) bool { o.excess[name] = n; return true })
	o.take(effects)
}

type attemptSeen struct {
	fn       *spillway.Function
	pool     int
	instance spillway.InstanceID
}

type instanceSeen struct {
	fn              *spillway.Function
	ready, stopping bool
	calls           int
	gone            bool // its process has ended, and calls of it have not
}

func (o *oracle) take(effects []dispatcher.Effect) {
	for _, f := range effects {
		switch f.Kind {
		case dispatcher.Start:
			o.start(f)
		case dispatcher.Post:
			o.post(f)
		case dispatcher.Reply:
			if o.replied[f.Decision] {
				o.t.Fatalf("call %s answered twice", f.Decision.Call.ID)
			}
			o.replied[f.Decision] = true
			delete(o.handles, f.Decision)
		case dispatcher.StartInstance:
			o.instances[f.Instance] = &instanceSeen{fn: f.Function}
		case dispatcher.StopInstance:
			in := o.instances[f.Instance]
			if in == nil || !in.ready || in.calls > 0 || in.stopping || in.gone {
				o.t.Fatalf("instance %d stopped in state %+v", f.Instance, in)
			}
			in.stopping = true
		}
	}
	o.check()
}

func (o *oracle) start(f dispatcher.Effect) {
	if _, twice := o.running[f.Decision]; twice {
		o.t.Fatalf("call %s runs twice at once", f.Decision.Call.ID)
	}
	pool := o.p.Pools[f.Pool]
	if pool.Kind.Cloud() && f.Function.Burst == spillway.BurstDeny {
		o.t.Fatalf("%s left the premises", f.Function.FunctionKey)
	}
	if pool.Kind.Cloud() && f.Decision.Call.Stale {
		o.t.Fatalf("%s left the premises with a stale permission", f.Decision.Call.ID)
	}
	if f.Decision.Call.Function != f.Function {
		o.t.Fatalf("%s started as %s", f.Decision.Call.Function, f.Function)
	}
	if !f.Function.Permitted.Has(f.Pool) || !f.Decision.Verdict.Permitted.Has(f.Pool) {
		o.t.Fatalf("%s placed on %s, which is not permitted", f.Function.FunctionKey, pool.Name)
	}
	if !pool.Kind.Cloud() {
		in := o.instances[f.Instance]
		if in == nil || !in.ready || in.gone || in.calls >= in.fn.Concurrency || in.stopping || in.fn.FunctionKey != f.Function.FunctionKey || in.fn.Revision != f.Function.Revision ||
			in.fn.Package.Digest != f.Function.Package.Digest {
			o.t.Fatalf("attempt started on instance %d in state %+v", f.Instance, in)
		}
		in.calls++
	}
	o.running[f.Decision] = attemptSeen{f.Function, f.Pool, f.Instance}
}

func (o *oracle) post(f dispatcher.Effect) {
	key := fmt.Sprintf("%s/%d", f.Decision.Call.ID, f.Attempt)
	if before, ok := o.posted[key]; ok {
		o.t.Fatalf("attempt %s posted as %s and as %s", key, before, f.Line)
	}
	o.posted[key] = f.Line
	if outcome := f.Decision.Attempts[f.Attempt-1].Outcome.Class; f.Line != map[spillway.OutcomeClass]billing.Kind{
		spillway.Executed: billing.KindCharge, spillway.NotExecuted: billing.KindVoid, spillway.Unknown: billing.KindEstimate}[outcome] {
		o.t.Fatalf("attempt %s was %s and its line is %s", key, outcome, f.Line)
	}
	if f.Line == billing.KindEstimate {
		if _, open := o.unknown[key]; !open {
			o.t.Fatalf("estimate for %s, which was not unknown", key)
		}
		delete(o.unknown, key)
	}
}

// check compares what runs with every limit.
func (o *oracle) check() {
	if err := o.e.CheckInstances(); err != nil {
		o.t.Fatal(err)
	}
	if err := o.e.CheckWaiting(o.now); err != nil {
		o.t.Fatal(err)
	}
	o.limits(o.within)
	var held spillway.Resources
	for _, in := range o.instances {
		held = held.Add(in.fn.Instance)
	}
	if !o.within("instances", held.Slots, o.capacity().Slots) || !o.within("memory", held.MiB, o.capacity().MiB) {
		o.t.Fatalf("instances hold %v, over the capacity", held)
	}
}

// limits compares what runs, as executors see it, with every limit on slots.
func (o *oracle) limits(within func(name string, n, limit int64) bool) {
	quotaOf := func(namespace string) int {
		for _, ns := range o.p.Namespaces {
			if ns.Name == namespace {
				return ns.Quota
			}
		}
		return -1
	}
	used := make([][spillway.ClassCount]int64, len(o.p.Quotas))
	perPool, memory := make([]int64, len(o.p.Pools)), make([]int64, len(o.p.Pools))
	count := func(a attemptSeen) {
		perPool[a.pool]++
		memory[a.pool] += a.fn.Bindings[a.pool].MiB
		for q := quotaOf(a.fn.FunctionKey.Namespace); q >= 0; q = o.p.Quotas[q].Parent {
			used[q][o.p.Pools[a.pool].Class()]++
		}
	}
	for _, a := range o.running {
		count(a)
	}
	for _, a := range o.unknown {
		count(a)
	}
	for q := range used {
		for class, n := range used[q] {
			limit := o.p.Quotas[q].Nominal[class].Slots
			if limit != spillway.Unlimited {
				limit += o.p.Quotas[q].Borrowing[class].Slots
			}
			// The Engine also counts calls that wait for their instance.
			held := o.e.Quota().Used(q, spillway.Class(class)).Slots
			if n > held || !within(fmt.Sprint("quota ", o.p.Quotas[q].Name, " ", class), held, limit) {
				o.t.Fatalf("quota %s %s: %d running, limit %d", o.p.Quotas[q].Name, spillway.Class(class), n, limit)
			}
		}
	}
	for i, n := range perPool {
		pool := o.p.Pools[i]
		if limit := pool.Limits.Concurrency; limit > 0 && !within("pool "+pool.Name, n, limit) {
			o.t.Fatalf("pool %s: %d in flight, limit %d", pool.Name, n, limit)
		}
		if limit := pool.Limits.MemoryMiB; limit > 0 && !within("memory "+pool.Name, memory[i], limit) {
			o.t.Fatalf("pool %s: %d MiB in flight, limit %d", pool.Name, memory[i], limit)
		}
	}
	held := spillway.Resources{}
	for _, in := range o.instances {
		held = held.Add(in.fn.Instance)
	}
	within("instances", held.Slots, o.capacity().Slots)
	within("memory", held.MiB, o.capacity().MiB)
}

// capacity of pool 0 is the configured one, and no more than it was found to have.
func (o *oracle) capacity() spillway.Resources {
	c := o.p.Pools[0].Capacity
	return spillway.Resources{Slots: min(c.Slots, o.found.Slots), MilliCPU: min(c.MilliCPU, o.found.MilliCPU), MiB: min(c.MiB, o.found.MiB)}
}

// measured tells the Engine what the pool was found to have. What holds more may stay.
func (o *oracle) measured(e *dispatcher.Engine, found spillway.Resources) {
	o.found = found
	o.limits(func(name string, n, limit int64) bool { o.excess[name] = n; return true })
	o.take(e.Observe(o.now, dispatcher.Observation{Kind: dispatcher.PoolCapacity, Capacity: found}))
}

var unlimited = spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}

// TestEngineProperties drives an Engine with random events and holds it to its
// promises: never over quota or capacity, never over budget, never where denied,
// one answer per call, one line per attempt, nothing held at the end.
func TestEngineProperties(t *testing.T) {
	engineProperties(t, propertyPlatforms, propertyKeepAlives, unlimited)
}

// TestIdleProperties: the same holds in idle capacity, from which online work takes what
// runs.
func TestIdleProperties(t *testing.T) {
	engineProperties(t, idlePlatforms, []string{""}, spillway.Resources{})
}

func engineProperties(t *testing.T, texts, keeps []string, found spillway.Resources) {
	t.Helper()
	var all []*spillway.Platform
	for _, keep := range keeps {
		for _, text := range texts {
			p, err := testplatform.Parse(strings.Replace(text, "onprem process", "onprem process "+keep, 1))
			if err != nil {
				t.Fatal(err)
			}
			p.Generation = int64(len(all) + 1)
			all = append(all, p)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		p := all[len(texts)*rapid.IntRange(0, len(keeps)-1).Draw(rt, "keep-alive")]
		e := dispatcher.New(p)
		o := &oracle{t: rt, e: e, p: p, now: epoch, excess: map[string]int64{}, running: map[*dispatcher.Decision]attemptSeen{}, unknown: map[string]attemptSeen{},
			found: found, handles: map[*dispatcher.Decision]dispatcher.Handle{}, replied: map[*dispatcher.Decision]bool{},
			instances: map[spillway.InstanceID]*instanceSeen{}, posted: map[string]billing.Kind{}}
		verdict := testplatform.PermitAll(p)
		calls := rapid.IntRange(1, 120).Draw(rt, "events")
		for i := range calls {
			o.now = o.now.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "ms")) * time.Millisecond)
			kind := rapid.IntRange(0, 31).Draw(rt, "kind")
			if kind == 31 {
				o.idle(e, time.Duration(rapid.IntRange(1, 200).Draw(rt, "seconds"))*time.Second)
			} else if kind == 0 {
				p = all[rapid.IntRange(0, len(all)-1).Draw(rt, "platform")]
				o.reload(e, p)
			} else if kind <= 10 {
				// The platform that a driver looked the function up in may be replaced by now.
				from := p
				if rapid.IntRange(0, 9).Draw(rt, "late") == 0 {
					from = all[0]
				}
				f := e.Pick(from.Functions[rapid.IntRange(0, len(from.Functions)-1).Draw(rt, "function")])
				d := new(dispatcher.Decision)
				stale := rapid.IntRange(0, 9).Draw(rt, "stale") == 0
				h, effects := e.Admit(o.now, spillway.Call{ID: fmt.Sprint(i), Function: f, Stale: stale}, verdict, d)
				o.handles[d] = h
				o.take(effects)
			} else {
				o.step(e, rt)
			}
			o.budgets(e)
		}
		o.finish(e)
	})
}

// idle lets time pass as a driver does: everything that is due happens at its time,
// and instances start and stop at once.
func (o *oracle) idle(e *dispatcher.Engine, d time.Duration) {
	end := o.now.Add(d)
	for range 500 {
		next := e.Next()
		if next > end {
			break
		}
		o.now = max(o.now, next)
		o.take(e.Tick(o.now))
		o.instanceEvent(e, dispatcher.InstanceReady)
	}
	o.now = max(o.now, end)
	o.check()
}

// step ends something that runs, or lets time work.
func (o *oracle) step(e *dispatcher.Engine, rt *rapid.T) {
	switch rapid.IntRange(0, 5).Draw(rt, "step") {
	case 0:
		o.take(e.Tick(o.now))
	case 5:
		o.measured(e, spillway.Resources{Slots: rapid.Int64Range(0, 4).Draw(rt, "slots"), MilliCPU: spillway.Unlimited, MiB: rapid.Int64Range(0, 1000).Draw(rt, "mib")})
	case 4:
		o.exit(e)
	case 1:
		o.instanceEvent(e, rapid.SampledFrom([]dispatcher.ObservationKind{dispatcher.InstanceReady, dispatcher.InstanceReady, dispatcher.InstanceReady, dispatcher.InstancePlaced,
			dispatcher.InstanceFailed, dispatcher.InstanceUnplaced, dispatcher.InstanceRefused}).Draw(rt, "start"))
	default:
		outcome := rapid.SampledFrom([]dispatcher.Ending{
			{Outcome: spillway.Outcome{Class: spillway.Executed, Usage: spillway.Usage{BilledMillis: 700, DurationMicros: 700000}}},
			{Outcome: spillway.Outcome{Class: spillway.Executed, Usage: spillway.Usage{BilledMillis: 2, DurationMicros: 2000}}},
			{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseThrottled, RetryAfter: 30 * time.Millisecond}},
			{Outcome: spillway.Outcome{Class: spillway.Unknown, Cause: spillway.CauseLost}},
			{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseConnect}},
			{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseRejected}},
		}).Draw(rt, "outcome")
		o.completeOne(e, outcome)
	}
}

// instanceEvent lets an instance stop, or a start end in one way.
func (o *oracle) instanceEvent(e *dispatcher.Engine, start dispatcher.ObservationKind) {
	id := o.lowest(func(in *instanceSeen) bool { return !in.gone && (in.stopping || !in.ready) })
	if id == 0 {
		return
	}
	in := o.instances[id]
	switch {
	case in.stopping:
		delete(o.instances, id)
		o.take(e.Observe(o.now, dispatcher.Observation{Kind: dispatcher.InstanceStopped, Instance: id}))
	case start == dispatcher.InstancePlaced:
		o.take(e.Observe(o.now, dispatcher.Observation{Kind: start, Instance: id}))
	case start != dispatcher.InstanceReady:
		delete(o.instances, id)
		o.take(e.Observe(o.now, dispatcher.Observation{Kind: start, Instance: id, Detail: "test"}))
	default:
		in.ready = true
		o.take(e.Observe(o.now, dispatcher.Observation{Kind: dispatcher.InstanceReady, Instance: id}))
	}
}

// exit lets an idle instance, or one that is becoming ready, end by itself.
func (o *oracle) exit(e *dispatcher.Engine) {
	id := o.lowest(func(in *instanceSeen) bool { return in.ready && in.calls == 0 && !in.stopping })
	if id == 0 {
		return
	}
	delete(o.instances, id)
	o.take(e.Observe(o.now, dispatcher.Observation{Kind: dispatcher.InstanceExited, Instance: id}))
}

func (o *oracle) lowest(want func(*instanceSeen) bool) spillway.InstanceID {
	var best spillway.InstanceID
	for id, in := range o.instances {
		if want(in) && (best == 0 || id < best) {
			best = id
		}
	}
	return best
}

func (o *oracle) completeOne(e *dispatcher.Engine, end dispatcher.Ending) {
	var d *dispatcher.Decision
	for c := range o.running {
		if d == nil || c.Call.ID < d.Call.ID {
			d = c
		}
	}
	if d == nil {
		return
	}
	a := o.running[d]
	delete(o.running, d)
	if !o.p.Pools[a.pool].Kind.Cloud() {
		switch {
		case end.Outcome.Class == spillway.Unknown:
			end = dispatcher.Ending{Outcome: spillway.Outcome{Class: spillway.Executed, Cause: spillway.CauseCrashed}, InstanceGone: true}
			if a.fn.Offline {
				end.Outcome.Cause = spillway.CauseReclaimed
			}
		case end.Outcome.Class == spillway.NotExecuted:
			end = dispatcher.Ending{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseCrashed}, InstanceGone: true}
		}
		in := o.instances[a.instance]
		in.calls--
		in.gone = in.gone || end.InstanceGone
		end.InstanceGone = in.gone // all calls of a process end with it
		if in.gone && in.calls == 0 {
			delete(o.instances, a.instance)
		}
	} else if end.Outcome.Class == spillway.Unknown {
		o.unknown[fmt.Sprintf("%s/%d", d.Call.ID, d.Tries)] = a
	}
	o.take(e.Complete(o.now, o.handles[d], end))
}

// budgets holds spent and reserved money to the limits.
func (o *oracle) budgets(e *dispatcher.Engine) { o.money(e, o.within) }

func (o *oracle) money(e *dispatcher.Engine, within func(name string, n, limit int64) bool) {
	check := func(name string, node int, budgets []spillway.Budget) {
		for b, budget := range budgets {
			spent, reserved := e.Quota().Spending(node, b, o.now)
			if !within(name, int64(spent+reserved), int64(budget.Limit)) || spent < 0 || reserved < 0 {
				o.t.Fatalf("budget of %s: spent %s, reserved %s, limit %s", name, spent, reserved, budget.Limit)
			}
		}
	}
	for q := range o.p.Quotas {
		check("budget "+o.p.Quotas[q].Name, q, o.p.Quotas[q].Budgets)
	}
	for i := range o.p.BurstPolicies {
		check("purse "+o.p.BurstPolicies[i].Name, len(o.p.Quotas)+i, o.p.BurstPolicies[i].Spend)
	}
}

// finish ends everything; then nothing may be held.
func (o *oracle) finish(e *dispatcher.Engine) {
	for range 2000 {
		calls, unknown := e.InFlight()
		if calls == 0 && unknown == 0 && o.lowest(func(in *instanceSeen) bool { return !in.ready || in.stopping }) == 0 {
			break
		}
		o.now = o.now.Add(20 * time.Millisecond)
		if next := e.Next(); len(o.running) == 0 && next != spillway.Never {
			o.now = max(o.now, next) // calls wait
		}
		o.take(e.Tick(o.now))
		o.instanceEvent(e, dispatcher.InstanceReady)
		o.completeOne(e, dispatcher.Ending{Outcome: spillway.Outcome{Class: spillway.Executed, Usage: spillway.Usage{BilledMillis: 1}}})
	}
	if calls, unknown := e.InFlight(); calls != 0 || unknown != 0 || len(o.handles) != 0 {
		o.t.Fatalf("at the end %d calls, %d unknown, %d without an answer", calls, unknown, len(o.handles))
	}
	for q := range o.p.Quotas {
		for class := range spillway.ClassCount {
			if used := e.Quota().Used(q, class); used != (spillway.Resources{}) {
				o.t.Fatalf("quota %s still holds %v", o.p.Quotas[q].Name, used)
			}
		}
	}
}
