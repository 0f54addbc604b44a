package billing

import (
	"fmt"
	"iter"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
)

func yielding(lines []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range lines {
			if !yield(e, nil) {
				return
			}
		}
	}
}

var from, to = day("2026-11-01"), day("2026-12-01")

// drawLines makes lines of all kinds, in random order.
func drawLines(t *rapid.T) []Entry {
	var lines []Entry
	add := func(e Entry, kind Kind) Entry { e.Kind = kind; lines = append(lines, e); return e }
	for i := range rapid.IntRange(0, 30).Draw(t, "calls") {
		e := Entry{
			Invocation: fmt.Sprint("i", i), Attempt: 1,
			Department: rapid.SampledFrom([]string{"", "search", "ads"}).Draw(t, "department"),
			Namespace:  rapid.SampledFrom([]string{"a", "b"}).Draw(t, "namespace"),
			Function:   "f", Pool: "local", Reason: spillway.ReasonPreferred, Rate: drawRate(t),
			Admitted:  from.Add(time.Duration(rapid.Int64Range(-1e15, 3.6e15).Draw(t, "at"))),
			Resources: spillway.Resources{MiB: rapid.Int64Range(1, 4096).Draw(t, "mib"), MilliCPU: 100},
		}
		if e.Cloud = rapid.Bool().Draw(t, "cloud"); e.Cloud {
			e.Pool, e.Reason, e.Reserved = "aws", spillway.ReasonOverflowCapacity, 5_000_000
			add(e, KindIntent)
		}
		if err := e.Charge(rapid.Int64Range(1, 60_000).Draw(t, "ms")); err != nil {
			t.Fatal(err)
		}
		switch rapid.SampledFrom([]string{"charge", "estimate", "void", "open", "reversed"}).Draw(t, "end") {
		case "charge":
			add(e, KindCharge)
		case "estimate":
			add(e, KindEstimate)
		case "void":
			e.Amount, e.Settled, e.BilledMillis = apd.Decimal{}, 0, 0
			add(e, KindVoid)
		case "reversed":
			estimate := add(EstimateOf(&e, to), KindEstimate)
			add(ReversalOf(&estimate, to), KindReversal)
			add(e, KindCharge)
		}
	}
	seed := rapid.Uint64().Draw(t, "order")
	rand.New(rand.NewPCG(seed, seed)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return lines
}

func sumRows(rows ...[]Row) *big.Rat {
	total := new(big.Rat)
	for _, r := range rows {
		for _, row := range r {
			total.Add(total, ratOfDecimal(row.Amount))
		}
	}
	return total
}

func TestStatementAddsUp(t *testing.T) {
	owned := []OwnedPool{{"local", 454_150_685}}
	rapid.Check(t, func(t *rapid.T) {
		lines := drawLines(t)
		want, onPrem := new(big.Rat), new(big.Rat)
		open := map[string]bool{}
		for _, e := range lines {
			if e.Admitted.Before(from) || !e.Admitted.Before(to) {
				continue
			}
			want.Add(want, ratOfDecimal(e.Amount))
			if !e.Cloud {
				onPrem.Add(onPrem, ratOfDecimal(e.Amount))
			}
			if e.Kind == KindIntent {
				open[e.Invocation] = true
			}
		}
		for _, e := range lines {
			if e.Kind != KindIntent {
				delete(open, e.Invocation)
			}
		}
		for _, by := range []By{ByDepartment, ByNamespace, ByFunction, ByPool} {
			s, err := NewStatement(yielding(lines), by, from, to, owned)
			if err != nil {
				t.Fatal(err)
			}
			for name, got := range map[string]*big.Rat{
				"total": ratOfDecimal(s.Total), "rows": sumRows(s.Rows, s.Estimated), "reasons": sumRows(s.ByReason),
			} {
				if got.Cmp(want) != 0 {
					t.Fatalf("by %s: %s %s, lines %s", by, name, got.FloatString(18), want.FloatString(18))
				}
			}
			if s.Open.Attempts != int64(len(open)) {
				t.Fatalf("by %s: %d open, want %d", by, s.Open.Attempts, len(open))
			}
			idle := s.Idle[0]
			if got := new(big.Rat).Add(ratOfDecimal(idle.Amount), onPrem); got.Cmp(ratOfDecimal(idle.Cost)) != 0 || idle.Cost.Text('f') != "326.988493200000000000" {
				t.Fatalf("idle %s + charged %s is not %s", idle.Amount.Text('f'), onPrem.FloatString(18), idle.Cost.Text('f'))
			}
		}
	})
}

func TestStatementRow(t *testing.T) {
	e := Entry{Kind: KindCharge, Invocation: "i", Attempt: 1, Department: "ads", Admitted: from, BilledMillis: 1500,
		Resources: spillway.Resources{MiB: 1, MilliCPU: 250}, Usage: spillway.Usage{InitMicros: 70}}
	s, err := NewStatement(yielding([]Entry{e, e}), ByDepartment, from, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := s.Rows[0]
	got := fmt.Sprint(r.Key, r.Calls, r.BilledMillis, r.ColdMicros, " ", r.GiBSeconds.Text('f'), " ", r.VCPUSeconds.Text('f'))
	if want := "ads2 3000 140 0.002929687500000 0.750000000000000"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

func TestApportionKeepsTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var amounts []apd.Decimal
		sum := new(big.Rat)
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			d := *apd.New(rapid.Int64().Draw(t, "coefficient"), -int32(rapid.IntRange(0, 18).Draw(t, "scale")))
			amounts = append(amounts, d)
			sum.Add(sum, ratOfDecimal(d))
		}
		places := rapid.IntRange(0, 18).Draw(t, "places")
		parts, whole, err := Apportion(amounts, places)
		if err != nil {
			t.Fatal(err)
		}
		unit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil))
		total := new(big.Rat)
		for i, p := range parts {
			total.Add(total, ratOfDecimal(p))
			if off := new(big.Rat).Sub(ratOfDecimal(p), ratOfDecimal(amounts[i])); off.Abs(off).Cmp(unit) >= 0 {
				t.Fatalf("part %s is shown as %s", amounts[i].Text('f'), p.Text('f'))
			}
		}
		if total.Cmp(ratOfDecimal(whole)) != 0 {
			t.Fatalf("parts make %s, whole %s", total.FloatString(18), whole.Text('f'))
		}
		if off := new(big.Rat).Sub(sum, ratOfDecimal(whole)); off.Abs(off).Cmp(unit.Mul(unit, big.NewRat(1, 2))) > 0 {
			t.Fatalf("whole %s for %s", whole.Text('f'), sum.FloatString(18))
		}
	})
	parts, whole, err := Apportion([]apd.Decimal{*apd.New(333, -3), *apd.New(333, -3), *apd.New(334, -3)}, 2)
	if err != nil || whole.Text('f') != "1.00" || parts[0].Text('f')+parts[1].Text('f')+parts[2].Text('f') != "0.330.330.34" {
		t.Fatal(parts, whole, err)
	}
}
