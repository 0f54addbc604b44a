package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/quota"
)

// providerMargin is added to the provider's own time limits before an attempt is
// held to be over: clocks differ, and a kill takes time.
const providerMargin = time.Second

// SendWithin is how long after its placement a cloud attempt may be sent; a driver
// that is later must not send it.
const SendWithin = time.Second

// providerLimit is the longest that a cloud lets an attempt run, INIT included.
func providerLimit(a *Attempt) time.Duration {
	return a.Function.Bindings[a.Pool].Timeout + a.Function.Platform.Pools[a.Pool].InitTimeout
}

// openAttempt is a cloud attempt whose outcome is unknown. It holds its slots and
// its money until it cannot be running any more.
type openAttempt struct {
	live      bool
	namespace string
	ask       quota.Ask
	pool      int
	cloud     cloudUse  // its pool is nil if that or the function was not in the platform
	d         *Decision // nil after a restart
	attempt   int
	intent    *OpenIntent // after a restart
}

// OpenIntent is a cloud attempt that a previous process began and did not close.
type OpenIntent struct {
	Invocation string
	Attempt    int
	Function   spillway.FunctionKey
	Pool       string
	Admitted   spillway.Instant
	Deadline   spillway.Instant // it cannot be running after this
	Reserved   spillway.Nano
	Resources  spillway.Resources
}

// Spent is money that one budget of one quota node has spent in the window that
// holds At.
type Spent struct {
	Node, Budget int // positions in Platform.Quotas and its Budgets
	At           spillway.Instant
	Amount       spillway.Nano
}

// Restore rebuilds spend and open attempts after a restart. It precedes all other
// events.
func (e *Engine) Restore(spent []Spent, open []OpenIntent) {
	for _, s := range spent {
		e.quota.Restore(s.Node, s.Budget, s.At, s.Amount)
	}
	for i := range open {
		e.restoreIntent(&open[i])
	}
}

func (e *Engine) restoreIntent(in *OpenIntent) {
	o := openAttempt{live: true, namespace: in.Function.Namespace, intent: in, attempt: in.Attempt, pool: -1}
	f := e.platform.Function(in.Function)
	o.ask = quota.Ask{Leaf: e.leafOf(in.Function.Namespace), Class: spillway.ClassCloud,
		Need: in.Resources, Money: in.Reserved, Admitted: in.Admitted}
	for _, p := range e.platform.Pools {
		if p.Name == in.Pool && p.Kind.Cloud() && f != nil {
			o.pool = p.Index
			c, burst := e.clouds[p.Index], e.bursts[f.Policy]
			o.cloud = cloudUse{pool: c, fn: c.function(f).fn, burst: burst, mib: in.Resources.MiB}
			o.cloud.hold()
			burst.inFlight++
			o.ask.Purse = burst.purse
		}
	}
	e.quota.Reserve(&o.ask)
	e.push(o, in.Deadline)
}

func (e *Engine) leafOf(namespace string) int {
	for _, n := range e.platform.Namespaces {
		if n.Name == namespace {
			return n.Quota
		}
	}
	return quota.None
}

// keepOpen moves what the latest attempt holds to an open attempt.
func (e *Engine) keepOpen(now spillway.Instant, r *record) {
	a := r.d.Last()
	e.push(openAttempt{live: true, namespace: r.tenant.name, ask: r.ask, pool: a.Pool, cloud: r.cloud, d: r.d, attempt: r.d.Tries}, max(now, ProviderDeadline(a)))
}

// ProviderDeadline is when a cloud attempt cannot be running any more, because
// the provider has ended it.
func ProviderDeadline(a *Attempt) spillway.Instant {
	return a.Placed.Add(providerLimit(a)).Add(SendWithin + providerMargin)
}

func (e *Engine) push(o openAttempt, deadline spillway.Instant) {
	var i int
	if n := len(e.freeOpen); n > 0 {
		i, e.freeOpen = e.freeOpen[n-1], e.freeOpen[:n-1]
		e.open[i] = o
	} else {
		i = len(e.open)
		e.open = append(e.open, o)
	}
	e.openLive++
	e.timers.push(timer{at: deadline, open: i})
}

// closeOpen posts an unknown attempt at what was reserved for it.
func (e *Engine) closeOpen(now spillway.Instant, i int) {
	o := e.open[i]
	e.open[i] = openAttempt{}
	e.freeOpen = append(e.freeOpen, i)
	e.openLive--
	e.quota.Release(&o.ask, o.ask.Money)
	if o.cloud.pool != nil {
		o.cloud.end(now, nil)
	}
	e.emit(Effect{Kind: Post, Decision: o.d, Open: o.intent, Attempt: o.attempt, Pool: o.pool, Line: billing.KindEstimate, Settled: o.ask.Money})
	e.drain(now, true)
}
