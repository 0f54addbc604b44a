package chaos

import (
	"testing"

	"github.com/spillway-dev/spillway"
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
		x := w.explain(w.call("may-"+s.pool, `{}`).invocation)
		if x.Pool != "onprem" || x.Reason != spillway.ReasonOverflowCapacity || x.Limit == nil || x.Limit.Kind != spillway.LimitThrottled {
			t.Errorf("the next call for %s went to %s because of %s, limit %+v; want on-prem, as it is throttled", s.pool, x.Pool, x.Reason, x.Limit)
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
		w.checkOpen(t, s, good+bad)
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
func (w *world) checkOpen(t *testing.T, s *site, sent int) {
	t.Helper()
	if !w.breakerOpen(s.pool) {
		t.Errorf("the breaker of %s is not open after nothing but failures", s.pool)
	}
	may, only := "may-"+s.pool, "only-"+s.pool
	for _, f := range []string{may, only} {
		r := w.call(f, `{}`)
		x := w.explain(r.invocation)
		if x.Limit == nil || x.Limit.Kind != spillway.LimitBreaker || x.Limit.Name != "pool "+s.pool || x.Limit.Used < 5 || 2*x.Limit.Used < x.Limit.Need {
			t.Errorf("the limit of %s is %+v, want the breaker, with half of the last calls failed", r, x.Limit)
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
	if total := s.total(); total != sent {
		t.Errorf("%d sends to %s, want %d: the breaker is open", total, s.pool, sent)
	}
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
