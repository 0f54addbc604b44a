package chaos

import (
	"testing"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// bothClouds starts both stand-ins and a server whose functions prefer one of them:
// those called may- go on-prem instead, those called only- do not.
func bothClouds(t *testing.T) (w *world, sites []*site) {
	sites = []*site{newSite(t, "lambda", cloud.Lambda, 1), newSite(t, "scf", cloud.SCF, 1)}
	return newWorld(t, 2, sites, []function{
		{"may-lambda", "never", "Hybrid", []string{"lambda", "onprem"}},
		{"may-scf", "never", "Hybrid", []string{"scf", "onprem"}},
		{"only-lambda", "never", "CloudOnly", []string{"lambda"}},
		{"only-scf", "never", "CloudOnly", []string{"scf"}},
	}), sites
}

// TestThrottlingOpensNoBreaker has both clouds throttle every call, several times
// over: calls wait for the clouds' sake, and no longer than that.
func TestThrottlingOpensNoBreaker(t *testing.T) {
	t.Parallel()
	w, sites := bothClouds(t)
	for _, s := range sites {
		must(t, s.cloud.Inject(cloud.Fault{Kind: cloud.Throttle}))
	}
	const rounds, calls = 3, 16
	for round := range rounds {
		for _, s := range sites {
			s.together(calls)
		}
		for _, r := range w.atOnce(calls, "only-lambda", "only-scf") {
			if r.ending != refused || r.status != 429 || r.reason != "no_capacity" {
				t.Errorf("round %d: want 429 no_capacity, got %s", round, r)
			}
		}
		for _, s := range sites {
			if total := s.total(); total != (round+1)*calls {
				t.Fatalf("round %d: %d sends to %s, want %d", round, total, s.pool, (round+1)*calls)
			}
			if w.breakerOpen(s.pool) {
				t.Errorf("round %d: throttling has opened the breaker of %s", round, s.pool)
			}
		}
	}
	for _, s := range sites {
		r, x := w.keptAway(s, "may-"+s.pool, spillway.LimitThrottled)
		if r.ending != succeeded || x.Pool != "onprem" || x.Reason != spillway.ReasonOverflowCapacity {
			t.Errorf("want it on-prem because of overflow_capacity: %s", r)
		}
		s.cloud.ClearFaults()
		if r := w.call("only-"+s.pool, `{}`); r.ending != succeeded {
			t.Errorf("after the throttling: %s", r)
		}
	}
	w.stop()
	b := w.books()
	b.check(t)
}

// TestBreaker breaks both clouds, one with resets and one with stalls. Their
// breakers open, calls go on-prem or are refused without being sent, and come back
// when the clouds work again.
func TestBreaker(t *testing.T) {
	t.Parallel()
	w, sites := bothClouds(t)
	const good, bad = 8, 12
	for _, r := range w.atOnce(good, "may-lambda", "may-scf") {
		if r.ending != succeeded || r.reason != "preferred" {
			t.Errorf("before: %s", r)
		}
	}
	must(t, sites[0].cloud.Inject(cloud.Fault{Kind: cloud.ResetAfter}))
	must(t, sites[1].cloud.Inject(cloud.Fault{Kind: cloud.Stall, HoldMs: 100}))
	for _, s := range sites {
		if w.breakerOpen(s.pool) {
			t.Errorf("the breaker of %s is open, and nothing has failed", s.pool)
		}
		s.together(bad)
	}
	for _, r := range w.atOnce(bad, "may-lambda", "may-scf") {
		if r.ending != unknown {
			t.Errorf("while it is broken: %s", r)
		}
	}
	for _, s := range sites {
		w.checkOpen(t, s)
		s.cloud.ClearFaults()
	}
	for _, s := range sites {
		w.checkCloses(t, s)
	}
	w.stop()
	b := w.books()
	b.check(t)
	for _, s := range sites {
		b.checkMoney(t, s)
	}
}

// checkOpen wants calls kept away from a cloud, and that they are told why.
func (w *world) checkOpen(t *testing.T, s *site) {
	t.Helper()
	if !w.breakerOpen(s.pool) {
		t.Errorf("the breaker of %s is not open after nothing but failures", s.pool)
	}
	may, only := "may-"+s.pool, "only-"+s.pool
	for _, f := range []string{may, only} {
		r, x := w.keptAway(s, f, spillway.LimitBreaker)
		if x.Limit.Name != "pool "+s.pool || x.Limit.Used < 1 || 2*x.Limit.Used < x.Limit.Need {
			t.Errorf("the limit of %s is %+v, want the pool's breaker, with half of the last calls failed", r, x.Limit)
		}
		if filter := x.Pools[0]; filter.Name != s.pool || filter.Filter != "unavailable" {
			t.Errorf("%s was kept away by %+v, want unavailable", r, filter)
		}
		switch {
		case f == may && (r.ending != succeeded || r.pool != "onprem" || r.reason != "overflow_health"):
			t.Errorf("want it on-prem because of overflow_health: %s", r)
		case f == only && (r.ending != refused || r.status != 503 || r.reason != "unavailable"):
			t.Errorf("want 503 unavailable: %s", r)
		}
	}
}

// keptAway calls until a call was kept from a cloud by a limit, and not sent there.
// Where this machine was slower than the pause, the cloud was tried again in vain, and
// the next pause begins.
func (w *world) keptAway(s *site, function string, by spillway.LimitKind) (r reply, x dispatcher.Explanation) {
	w.t.Helper()
	w.await("a call for "+s.pool+" is kept away by "+by.String(), func() bool {
		before := s.total()
		r = w.call(function, `{"millis":1}`)
		x = w.explain(r.invocation)
		tried := s.total() - before
		kept := x.Limit != nil && x.Limit.Kind == by
		if kept && tried != 0 || !kept && tried != 1 {
			w.t.Errorf("%d sends to %s for %s", tried, s.pool, r)
		}
		return kept
	})
	return r, x
}

// checkCloses calls until the breaker has closed. Nobody is failed by the trials.
func (w *world) checkCloses(t *testing.T, s *site) {
	t.Helper()
	before, function := s.total(), "may-"+s.pool
	w.await("the breaker of "+s.pool+" is closed", func() bool {
		if r := w.call(function, `{"millis":1}`); r.ending != succeeded {
			t.Errorf("after it works again: %s", r)
		}
		return !w.breakerOpen(s.pool)
	})
	if trials := s.total() - before; trials != 2 {
		t.Errorf("%d sends to %s before its breaker was closed, want 2 trials", trials, s.pool)
	}
	if r := w.call(function, `{}`); r.ending != succeeded || r.pool != s.pool || r.reason != "preferred" {
		t.Errorf("with the breaker closed: %s", r)
	}
}
