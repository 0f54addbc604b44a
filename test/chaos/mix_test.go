package chaos

import (
	"math/big"
	"sync"
	"testing"

	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/simulator/cloud"
	"github.com/spillway-dev/spillway/test/internal/badday"
)

// enough is how many sends each cloud must have seen. With their seeds every kind of
// fault has happened after a hundred, as the test makes sure.
const enough = 250

// TestBadDay overflows to two clouds that do everything that clouds do wrong, at
// once, and compares what clients, clouds, functions and the ledger say.
func TestBadDay(t *testing.T) {
	t.Parallel()
	lambda, scf := newSite(t, "lambda", cloud.Lambda, 35), newSite(t, "scf", cloud.SCF, 39)
	sites := []*site{lambda, scf}
	for _, s := range sites {
		for _, f := range badday.Faults(s.provider) {
			must(t, s.cloud.Inject(f))
		}
		s.fails = 60 // of executions, which are about 60 of 100 sends: one of 100
	}
	w := newWorld(t, 2, sites, []function{
		{"once", "never", "Hybrid", []string{"onprem", "lambda", "scf"}},
		{"again", "idempotent", "Hybrid", []string{"onprem", "scf", "lambda"}},
	})
	replies := w.load(96, func() bool { return lambda.total() >= enough && scf.total() >= enough })
	w.stop()
	b := w.books()
	b.check(t)
	for _, s := range sites {
		s.checkMet(t)
		if settled := b.checkMoney(t, s); settled.Cmp(new(big.Rat)) <= 0 {
			t.Errorf("nothing was charged for %s", s.pool)
		}
		checkAmbiguous(t, b, s)
	}
	checkAnswers(t, b, sites, replies)
	checkSends(t, b, sites, len(replies))
}

// load runs a closed loop of workers until enough says yes, and returns all answers.
func (w *world) load(workers int, enough func() bool) []reply {
	var mu sync.Mutex
	var all []reply
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for n := i; !enough(); n++ {
				r := w.call([]string{"once", "again"}[n%2], `{"millis":40}`)
				mu.Lock()
				all = append(all, r)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return all
}

func (s *site) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, times := range s.sent {
		n += times
	}
	return n
}

// checkMet makes sure that the cloud did everything that it was to do.
func (s *site) checkMet(t *testing.T) {
	t.Helper()
	for _, f := range s.cloud.State().Faults {
		if f.Fired == 0 {
			t.Errorf("%s: %s %s never happened in %d sends", s.pool, f.Kind, f.Reason, s.total())
		}
	}
}

// checkAmbiguous wants an estimate for each answer that the cloud spoilt, and for
// nothing else.
func checkAmbiguous(t *testing.T, b *books, s *site) {
	t.Helper()
	spoilt, throttled := 0, 0
	for kind, n := range s.fired() {
		if kind == cloud.Throttle {
			throttled += n
		} else {
			spoilt += n
		}
	}
	if n := b.count(s.pool, billing.KindEstimate); n != spoilt {
		t.Errorf("%s spoilt %d answers, %d attempts are estimated", s.pool, spoilt, n)
	}
	if n := b.count(s.pool, billing.KindVoid); n != throttled {
		t.Errorf("%s throttled %d calls, %d attempts are void", s.pool, throttled, n)
	}
	t.Logf("%s: %d sends, %d throttled, %d ambiguous, %d charged", s.pool, s.total(), throttled, spoilt, b.count(s.pool, billing.KindCharge))
}

// told is what all sides know of one call.
type told struct {
	executions, charges, estimates int
	last                           attempt
}

// checkAnswers wants one answer for each call that is true by what ran and what is
// in the ledger.
func checkAnswers(t *testing.T, b *books, sites []*site, replies []reply) {
	t.Helper()
	calls := map[string]*told{}
	of := func(invocation string) *told {
		if calls[invocation] == nil {
			calls[invocation] = &told{}
		}
		return calls[invocation]
	}
	for key, lines := range b.lines {
		c := of(key.invocation)
		if _, ok := lines[billing.KindCharge]; ok {
			c.charges++
		}
		if _, ok := lines[billing.KindEstimate]; ok {
			c.estimates++
		}
		if key.n > c.last.n {
			c.last = key
		}
	}
	for key, n := range executions(b, sites) {
		if n != 1 {
			t.Errorf("%v ran %d times", key, n)
		}
		of(key.invocation).executions++
	}
	answered, endings, onPrem := map[string]bool{}, map[ending]int{}, 0
	for _, r := range replies {
		c := of(r.invocation)
		endings[r.ending]++
		if r.ending == broken || r.invocation == "" || answered[r.invocation] {
			t.Errorf("not an answer, or a second one: %s", r)
		}
		answered[r.invocation] = true
		if r.pool == "onprem" {
			if onPrem++; r.ending != succeeded && r.ending != refused {
				t.Errorf("an on-prem call did not succeed: %s", r)
			}
		}
		if !c.agrees(r) {
			t.Errorf("%d executions, %d charges, %d estimates of %s", c.executions, c.charges, c.estimates, r)
		}
	}
	for invocation := range calls {
		if !answered[invocation] {
			t.Errorf("%s is in the ledger or ran, and nobody was answered", invocation)
		}
	}
	t.Logf("%d calls: %v; %d on-prem", len(replies), endings, onPrem)
	if endings[failed] == 0 || endings[unknown] == 0 || onPrem == 0 {
		t.Error("the load did not meet every ending")
	}
}

// agrees reports whether an answer is true. Only a call that may be repeated may
// have an end beside an unknown one, or run twice.
func (c *told) agrees(r reply) bool {
	if r.function == "once" && (c.executions > 1 || c.charges+c.estimates > 1) {
		return false
	}
	switch r.ending {
	case succeeded, failed:
		return c.charges == 1 && c.executions >= 1
	case unknown:
		return c.charges == 0 && c.estimates >= 1
	case refused:
		return c.charges == 0 && c.estimates == 0 && c.executions == 0
	}
	return false
}

// executions are those that functions saw themselves, everywhere.
func executions(b *books, sites []*site) map[attempt]int {
	all := map[attempt]int{}
	for key, n := range b.onPrem {
		all[key] += n
	}
	for _, s := range sites {
		_, ran := s.seen()
		for key, n := range ran {
			all[key] += n
		}
	}
	return all
}

// checkSends bounds how much a bad cloud is asked again: by 1.2 sends for each call
// that was offered, and by a fifth of the calls that went to a cloud at all, and a few.
func checkSends(t *testing.T, b *books, sites []*site, offered int) {
	t.Helper()
	sends, first := 0, map[string]bool{}
	for _, s := range sites {
		sent, _ := s.seen()
		for key, n := range sent {
			sends += n
			first[key.invocation] = true
			if _, ok := b.lines[key][billing.KindIntent]; n != 1 || !ok {
				t.Errorf("%v was sent %d times, with an intent: %t", key, n, ok)
			}
		}
	}
	repeats := sends - len(first)
	t.Logf("%d sends for %d calls that went to a cloud, of %d offered: %.3f per offered call", sends, len(first), offered, float64(sends)/float64(offered))
	if 5*sends > 6*offered || 5*repeats > len(first)+15 {
		t.Errorf("%d sends for %d calls, %d of which went to a cloud: more than 1.2 each", sends, offered, len(first))
	}
	if repeats == 0 {
		t.Error("no call was placed in a second cloud")
	}
}
