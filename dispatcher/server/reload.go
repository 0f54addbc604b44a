package server

import (
	"strings"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/pools"
)

// scene is what calls find when they arrive: one platform and what belongs to it.
type scene struct {
	platform    *spillway.Platform
	pools       map[int]pools.Pool
	residencies []string // policy input by function index
	counts      []*revisionCount
}

// newScene follows before, which is nil at first.
func newScene(p *spillway.Platform, all map[int]pools.Pool, before *scene) *scene {
	c := &scene{platform: p, pools: all, residencies: make([]string, len(p.Functions)), counts: revisionCounts(p, before)}
	for i, f := range p.Functions {
		c.residencies[i] = strings.Join(f.Residency, ",")
	}
	return c
}

// residency is the policy input of f, which may be of an earlier platform.
func (c *scene) residency(f *spillway.Function) string {
	if f.Platform == c.platform {
		return c.residencies[f.Index]
	}
	return strings.Join(f.Residency, ",")
}

// pool returns the pool at an index. Retired pools stay for what runs there.
func (s *Server) pool(i int) pools.Pool { return s.scene.Load().pools[i] }

// Platform returns the configuration that calls are admitted by now.
func (s *Server) Platform() *spillway.Platform { return s.scene.Load().platform }

// Reload puts p, compiled as the successor of Platform, in its place, with the
// pools that it adds or whose connection changed. spent is what budgets that are
// new in p have spent, see dispatcher.NewBudgets. Calls in flight go on.
func (s *Server) Reload(p *spillway.Platform, changed map[int]pools.Pool, spent []dispatcher.Spent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, before := map[int]pools.Pool{}, s.scene.Load()
	for i, old := range before.pools {
		all[i] = old
	}
	var found []dispatcher.Observation
	for i, fresh := range changed {
		if all[i] == nil {
			found = append(found, s.watch(i, fresh)...)
		}
		all[i] = fresh
	}
	for i, old := range all {
		if r, ok := old.(renewer); ok {
			r.Renew(p.Pools[i])
		}
	}
	s.scene.Store(newScene(p, all, before))
	s.route(s.engine.Reload(s.clock.now(), p, spent))
	for _, o := range found {
		s.route(s.engine.Observe(s.clock.now(), o))
	}
}

// renewer is a pool that follows its object while it runs.
type renewer interface{ Renew(now *spillway.Pool) }

// watch listens for instances of a pool that end by themselves and for its capacity,
// and returns what that is now, of a pool that is measured.
func (s *Server) watch(i int, p pools.Pool) (found []dispatcher.Observation) {
	if st, ok := p.(pools.Starter); ok {
		s.background.Go(func() { s.watchInstances(i, dispatcher.InstanceExited, st.Exits()) })
	}
	if m, ok := p.(pools.Placer); ok {
		s.background.Go(func() { s.watchInstances(i, dispatcher.InstancePlaced, m.Placed()) })
	}
	if m, ok := p.(pools.Measurer); ok {
		now, changes := m.Capacity()
		s.background.Go(func() { s.watchCapacity(i, changes) })
		found = append(found, dispatcher.Observation{Kind: dispatcher.PoolCapacity, Pool: i, Capacity: now})
	}
	return found
}
