package dispatcher

import (
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/quota"
)

// Reload puts p, which was compiled as the successor of the Engine's platform, in
// its place. Nothing that runs is ended: a limit below its use lets nothing new in
// until it has drained, instances of code that changed serve the calls they have
// and are stopped, and a running call is settled at the prices it was placed at.
// Calls that wait go on waiting under the new rules; those whose function is gone
// are refused.
//
// spent is what budgets that are new in p have spent in their current window;
// the others keep what they know.
func (e *Engine) Reload(now spillway.Instant, p *spillway.Platform, spent []Spent) []Effect {
	e.out = e.out[:0]
	old := e.platform
	e.platform = p
	e.reloadTenants(old)
	e.reloadBursts()
	e.reloadJobs(now)
	e.reloadQuota(old, spent)
	for _, pool := range p.Pools {
		switch s := e.onPrem[pool.Index]; {
		case s != nil:
			same := s.pool.KeepAlivePolicy == pool.KeepAlivePolicy && s.pool.KeepAlive == pool.KeepAlive
			s.pool, s.capacity = pool, least(pool.Capacity, s.found)
			e.reloadFunctions(now, s)
			s.reloadKeepers(now, same)
		case e.clouds[pool.Index] == nil:
			e.addPool(pool)
		default:
			e.clouds[pool.Index].reload(p)
		}
	}
	e.reloadPicks()
	e.reloadWaiting(now)
	e.idle.free()
	e.drain(now, true)
	return e.out
}

// reloadTenants keeps the namespaces that are still there. Calls hold on to their
// own.
func (e *Engine) reloadTenants(old *spillway.Platform) {
	byName, idlers := map[string]*tenant{}, map[string]*tenant{}
	for i := range old.Namespaces {
		byName[old.Namespaces[i].Name], idlers[old.Namespaces[i].Name] = e.tenants[i], e.idlers[i]
	}
	e.tenants, e.idlers = make([]*tenant, len(e.platform.Namespaces)), make([]*tenant, len(e.platform.Namespaces))
	for i := range e.tenants {
		name := e.platform.Namespaces[i].Name
		e.idlers[i] = idlers[name]
		if e.tenants[i] = byName[name]; e.tenants[i] == nil {
			e.tenants[i] = &tenant{name: name}
		}
	}
}

// reloadBursts gives the policies that are still there, or are back while calls of
// theirs are in clouds, their new rules. A share over another window begins anew.
func (e *Engine) reloadBursts() {
	byName := map[string]*burstState{}
	before := append(e.former, e.bursts...)
	for _, b := range before {
		byName[b.policy.Name] = b
	}
	defer func() {
		e.former = nil
		for _, b := range before {
			if b.inFlight > 0 && !slices.Contains(e.bursts, b) {
				e.former = append(e.former, b)
			}
		}
	}()
	e.bursts = e.bursts[:0:0]
	for i := range e.platform.BurstPolicies {
		fresh := newBurstState(e.platform, i)
		b := byName[fresh.policy.Name]
		if b == nil {
			e.bursts = append(e.bursts, fresh)
			continue
		}
		b.minute = -1
		if fresh.policy.Hysteresis.OpenAfter == 0 {
			b.open, b.fullSince, b.calmSince = false, 0, 0
		}
		if b.policy.Shadow != fresh.policy.Shadow {
			b.shadow = ShadowView{}
		}
		switch s := fresh.share; {
		case s == nil || b.share == nil || b.share.limit.Window != s.limit.Window:
			b.share = s
		default:
			b.share.limit = s.limit
		}
		b.policy, b.purse = fresh.policy, fresh.purse
		e.bursts = append(e.bursts, b)
	}
}

// reloadQuota builds the new tree: budgets keep what they have spent, and all that
// calls hold is held again, in the nodes that their namespaces belong to now.
func (e *Engine) reloadQuota(old *spillway.Platform, spent []Spent) {
	nodes, before := quotaNodes(e.platform), quotaNodes(old)
	at := accounts(before, len(old.Quotas))
	tree := quota.New(nodes)
	tree.Inherit(e.quota, func(node, budget int) (int, int, bool) {
		found, ok := at[accountOf(nodes, node, budget, len(e.platform.Quotas))]
		return found.Node, found.Budget, ok
	})
	e.quota = tree
	for _, s := range spent {
		tree.Restore(s.Node, s.Budget, s.At, s.Amount)
	}
	for i := range e.calls {
		if r := &e.calls[i]; r.d != nil && (r.state == callActivating || r.state == callRunning) {
			e.holdAgain(&r.ask, r.tenant.name, e.burst(r.d.Call.Function))
		}
	}
	for i := range e.open {
		if o := &e.open[i]; o.live {
			e.holdAgain(&o.ask, o.namespace, o.cloud.burst)
		}
	}
}

func (e *Engine) holdAgain(ask *quota.Ask, namespace string, b *burstState) {
	ask.Leaf = e.leafOf(namespace)
	ask.Purse = 0
	for _, live := range e.bursts {
		if live == b && ask.Money > 0 {
			ask.Purse = b.purse
		}
	}
	e.quota.Reserve(ask)
}

// account names a budget across platforms.
type account struct {
	purse    bool
	name     string
	window   spillway.Window
	location string
}

func accountOf(nodes []spillway.QuotaNode, node, budget, quotas int) account {
	b := &nodes[node].Budgets[budget]
	return account{purse: node >= quotas, name: nodes[node].Name, window: b.Window, location: b.Location.String()}
}

func accounts(nodes []spillway.QuotaNode, quotas int) map[account]Spent {
	all := map[account]Spent{}
	for n := range nodes {
		for b := range nodes[n].Budgets {
			all[accountOf(nodes, n, b, quotas)] = Spent{Node: n, Budget: b}
		}
	}
	return all
}

// NewBudgets are the budgets of next that an Engine of p knows nothing of: Reload
// wants what they have spent. Their positions are those of Restore.
func NewBudgets(p, next *spillway.Platform) []Spent {
	known := accounts(quotaNodes(p), len(p.Quotas))
	nodes := quotaNodes(next)
	var fresh []Spent
	for n := range nodes {
		for b := range nodes[n].Budgets {
			if _, ok := known[accountOf(nodes, n, b, len(next.Quotas))]; !ok {
				fresh = append(fresh, Spent{Node: n, Budget: b})
			}
		}
	}
	return fresh
}

// reloadFunctions gives every function of the new platform its state on an on-prem
// pool: its own if its instances can serve on, else an empty one.
func (e *Engine) reloadFunctions(now spillway.Instant, s *onPremState) {
	type revision struct {
		spillway.FunctionKey
		name string
	}
	byName := map[revision]*functionState{}
	for _, fs := range s.functions {
		byName[revision{fs.fn.FunctionKey, fs.fn.Revision}] = fs
	}
	s.functions = s.functions[:0:0]
	for _, f := range e.platform.Functions {
		fs := byName[revision{f.FunctionKey, f.Revision}]
		if fs == nil || !servesOn(fs.fn, f) || s.pool.Retired {
			fresh := &functionState{fn: f, minWarm: s.minWarm(f)}
			if fs != nil { // other code, called as before
				fresh.keeper, fresh.windows, fs.keeping = fs.keeper, fs.windows, keeping{}
			}
			fs = fresh
		} else {
			delete(byName, revision{f.FunctionKey, f.Revision})
			fs.fn = f
			s.setMinWarm(fs, s.minWarm(f))
		}
		s.functions = append(s.functions, fs)
	}
	for _, fs := range byName {
		fs.retired = true
		s.setMinWarm(fs, 0)
	}
	for in := s.oldest; in != nil; {
		next := in.newer
		if in.of.retired {
			e.evict(s, in)
		}
		in = next
	}
	s.listWarm(e.platform.Functions)
	e.dropPending(s)
	e.dropTooLarge(now, s)
	s.warmAt = now
	e.startPending(s)
}

// minWarm is how many instances of f the pool keeps.
func (s *onPremState) minWarm(f *spillway.Function) int {
	if !f.Permitted.Has(s.pool.Index) {
		return 0
	}
	return f.MinWarm
}

// dropTooLarge gives up starts that will never have room since the pool is smaller,
// and places the calls that wait for them again.
func (e *Engine) dropTooLarge(now spillway.Instant, s *onPremState) {
	var calls []Handle
	kept := s.pending[:0]
	for _, fs := range s.pending {
		if s.capacity.Exceeds(spillway.Resources{}, fs.fn.Instance) == spillway.DimNone {
			kept = append(kept, fs)
			continue
		}
		calls = append(calls, s.giveUp(now, fs)...)
	}
	s.pending = kept
	for _, h := range calls {
		e.placeAgain(now, h, spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseCancelled, Detail: "the pool became too small for it"}, true)
	}
}

// dropPending gives up starts of retired functions that no call waits for.
func (e *Engine) dropPending(s *onPremState) {
	kept := s.pending[:0]
	for _, fs := range s.pending {
		if fs.retired && fs.places()-fs.fn.Concurrency >= fs.activating.len() {
			fs.coming--
			s.setTotal(fs, -1)
			s.promised = s.promised.Sub(fs.fn.Instance)
			continue
		}
		kept = append(kept, fs)
	}
	s.pending = kept
}

// servesOn reports that an instance of f can serve calls of its successor.
func servesOn(f, next *spillway.Function) bool {
	if f.Package.Digest != next.Package.Digest || f.Image != next.Image || f.ServiceAccount != next.ServiceAccount || f.Handler != next.Handler || f.Contract != next.Contract ||
		f.Instance != next.Instance || f.Concurrency != next.Concurrency || len(f.Env) != len(next.Env) {
		return false
	}
	for i := range f.Env {
		if f.Env[i] != next.Env[i] {
			return false
		}
	}
	return true
}

// reloadPicks forgets the choices of functions that are gone.
func (e *Engine) reloadPicks() {
	for key := range e.picks {
		if e.platform.Function(key) == nil {
			delete(e.picks, key)
		}
	}
}

// reloadWaiting puts the calls that wait under the new rules.
func (e *Engine) reloadWaiting(now spillway.Instant) {
	for i := 1; i < len(e.calls); i++ {
		r := &e.calls[i]
		if r.d == nil || r.state != callWaiting || r.job != nil {
			continue
		}
		h := Handle(r.generation)<<32 | Handle(i)
		f := e.current(&r.d.Call)
		if f == nil {
			r.d.Limit = spillway.Limit{Kind: spillway.LimitRemoved, Name: r.d.Call.Function.String()}
			e.refuse(now, h, r, spillway.ReasonDenied)
			continue
		}
		r.d.Call.Function = f
		e.queue(now, r, +1)
		r.tenant.least = least(r.tenant.least, f.Instance)
		r.tenant.shared = r.tenant.shared || f.Concurrency > 1
		if at := e.patience(r.d); now < at && at < r.timerAt {
			r.timerAt = at
			e.timers.push(timer{at: at, call: h})
		}
	}
}
