package chaos

import (
	"math/big"
	"testing"

	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/ledger"
	"github.com/spillway-dev/spillway/billing/sqlite"
	"github.com/spillway-dev/spillway/simulator/cloud"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

// books are what is left of a run: the ledger by attempt and kind, and what
// functions on-prem wrote of their executions.
type books struct {
	lines  map[attempt]map[billing.Kind]billing.Entry
	onPrem map[attempt]int
}

// books reads what the server has left, which has ended.
func (w *world) books() *books {
	w.t.Helper()
	b := &books{lines: map[attempt]map[billing.Kind]billing.Entry{}, onPrem: map[attempt]int{}}
	for invocation, n := range testbed.Executions(w.t, w.log) {
		b.onPrem[attempt{invocation, n}]++
	}
	store, err := ledger.OpenReadOnly(w.t.Context(), w.data)
	must(w.t, err)
	defer store.Close()
	for line, err := range store.Lines(w.t.Context(), sqlite.Filter{}) {
		must(w.t, err)
		key := attempt{line.Invocation, line.Attempt}
		if b.lines[key] == nil {
			b.lines[key] = map[billing.Kind]billing.Entry{}
		}
		if _, twice := b.lines[key][line.Kind]; twice {
			w.t.Errorf("%v has two lines of kind %s", key, line.Kind)
		}
		b.lines[key][line.Kind] = line
	}
	return b
}

// count is how many attempts on a pool have a line of a kind.
func (b *books) count(pool string, kind billing.Kind) int {
	n := 0
	for _, lines := range b.lines {
		if l, ok := lines[kind]; ok && l.Pool == pool {
			n++
		}
	}
	return n
}

// check holds every cloud attempt against its own lines: an intent first, then one
// end. An estimate is the reservation, posted when the attempt cannot be running any
// more.
func (b *books) check(t *testing.T) {
	t.Helper()
	for key, lines := range b.lines {
		intent, begun := lines[billing.KindIntent]
		ends := len(lines)
		if begun {
			ends--
		}
		if ends != 1 {
			t.Errorf("%v has %d ends in the ledger, want one: %v", key, ends, lines)
		}
		estimate, guessed := lines[billing.KindEstimate]
		switch {
		case !guessed:
		case !begun:
			t.Errorf("%v was estimated without an intent", key)
		case estimate.Settled != intent.Reserved || intent.Reserved <= 0 || money(estimate.Amount.Text('f')).Cmp(big.NewRat(int64(intent.Reserved), 1e9)) != 0:
			t.Errorf("%v: reserved %s, estimated %s and settled %s", key, intent.Reserved, estimate.Amount.Text('f'), estimate.Settled)
		case estimate.Posted.Before(intent.Deadline):
			t.Errorf("%v was estimated at %s, before its deadline %s", key, estimate.Posted, intent.Deadline)
		}
	}
}

// checkMoney compares charges with the cloud's own bill, line by line, and estimates
// with what it billed for those attempts.
func (b *books) checkMoney(t *testing.T, s *site) (settled *big.Rat) {
	t.Helper()
	bill := s.cloud.Bill()
	rate := big.NewRat(1, 1)
	if bill.Currency == "CNY" {
		rate = big.NewRat(14, 100)
	}
	billed := map[attempt]cloud.Line{}
	for _, l := range bill.Lines {
		key := attempt{l.Invocation, l.Attempt}
		if _, twice := billed[key]; twice {
			t.Errorf("%s billed %v twice", s.pool, key)
		}
		billed[key] = l
	}
	settled = new(big.Rat)
	for key, lines := range b.lines {
		theirs, ran := billed[key]
		cost := new(big.Rat)
		if ran {
			cost.Mul(money(theirs.Cost), rate)
		}
		if charge, ok := lines[billing.KindCharge]; ok && charge.Pool == s.pool {
			settled.Add(settled, cost)
			if ours := money(charge.Amount.Text('f')); !ran || ours.Cmp(cost) != 0 {
				t.Errorf("%v on %s: we charge %s, its bill says %s (%t)", key, s.pool, ours.FloatString(18), cost.FloatString(18), ran)
			}
		}
		if estimate, ok := lines[billing.KindEstimate]; ok && estimate.Pool == s.pool && money(estimate.Amount.Text('f')).Cmp(cost) < 0 {
			t.Errorf("%v on %s: estimated %s, below its bill of %s", key, s.pool, estimate.Amount.Text('f'), cost.FloatString(18))
		}
		if void, ok := lines[billing.KindVoid]; ok && void.Pool == s.pool && ran {
			t.Errorf("%v on %s is void, and billed there", key, s.pool)
		}
	}
	for key := range billed {
		if b.lines[key] == nil {
			t.Errorf("%s billed %v, which the ledger does not know", s.pool, key)
		}
	}
	return settled
}

// money reads a decimal; one that is none counts as a value no bill has.
func money(text string) *big.Rat {
	amount, ok := new(big.Rat).SetString(text)
	if !ok {
		return big.NewRat(-1, 1)
	}
	return amount
}
