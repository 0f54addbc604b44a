package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/reconcile"
)

var (
	midnight = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	rate     = spillway.Rate{PerRequest: 200_000_000, PerGiBSecond: 16_666_700_000, IncrementMillis: 1}
)

// at is a time in seconds after midnight.
func at(seconds int) time.Time { return midnight.Add(time.Duration(seconds) * time.Second) }

// line is one of a cloud attempt that was sent and could run in a time.
func line(kind billing.Kind, invocation string, from, to int) billing.Entry {
	return billing.Entry{
		Kind: kind, Invocation: invocation, Attempt: 1, Namespace: "shop", Function: "resize", Pool: "lambda", Cloud: true, Currency: "USD",
		Reason: spillway.ReasonOverflowCapacity, Admitted: at(from), Posted: at(from), Deadline: at(to), Rate: rate,
		Resources: spillway.Resources{Slots: 1, MiB: 1024}, Reserved: 1_000_000,
	}
}

func estimate(invocation string, from, to int) billing.Entry {
	intent := line(billing.KindIntent, invocation, from, to)
	return billing.EstimateOf(&intent, at(to))
}

func record(id string, ended int, ms int64) spillway.Usage {
	return spillway.Usage{Started: spillway.InstantOf(at(ended)).Add(-time.Duration(ms) * time.Millisecond), DurationMicros: ms * 1000, BilledMillis: ms, MemoryMiB: 1024, ProviderID: id}
}

func charge(t testing.TB, invocation, id string, from, to int, ms int64) billing.Entry {
	e := line(billing.KindCharge, invocation, from, to)
	e.Posted, e.Outcome, e.Usage = at(to), spillway.Executed, record(id, to, ms)
	if err := e.Charge(ms); err != nil {
		t.Fatal(err)
	}
	return e
}

// world is a ledger and a log as a test describes them.
type world struct {
	estimates, lines, open, others []billing.Entry
	records                        []spillway.Usage
}

// read takes lines such as "estimate a from=10 to=20 id=x".
func (w *world) read(t *testing.T, d *datadriven.TestData) {
	for text := range strings.Lines(d.Input) {
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		var from, to, ms int
		id, ns := "", "shop"
		for _, word := range words[2:] {
			name, value, _ := strings.Cut(word, "=")
			switch name {
			case "id":
				id = value
			case "ns":
				ns = value
			default:
				_, err := fmt.Sscan(value, map[string]*int{"from": &from, "to": &to, "ms": &ms}[name])
				if err != nil {
					d.Fatalf(t, "%s: %v", word, err)
				}
			}
		}
		switch words[0] {
		case "estimate":
			e := estimate(words[1], from, to)
			e.Usage.ProviderID, e.Namespace = id, ns
			w.estimates = append(w.estimates, e)
			w.lines = append(w.lines, e)
		case "charge":
			e := charge(t, words[1], id, from, to, int64(ms))
			w.lines = append(w.lines, e)
		case "other":
			w.others = append(w.others, charge(t, words[1], id, from, to, int64(ms)))
		case "guess": // a charge without the provider's figures
			e := charge(t, words[1], id, from, to, int64(ms))
			e.Usage.Estimated = true
			w.lines = append(w.lines, e)
		case "void":
			e := line(billing.KindVoid, words[1], from, to)
			e.Posted, e.Usage.ProviderID = at(to), id
			w.lines = append(w.lines, e)
		case "intent":
			w.lines = append(w.lines, line(billing.KindIntent, words[1], from, to))
		case "left": // an estimate that another run settles
			w.open = append(w.open, estimate(words[1], from, to))
		case "open":
			w.open = append(w.open, line(billing.KindIntent, words[1], from, to))
		case "record":
			w.records = append(w.records, record(words[1], to, int64(ms)))
		default:
			d.Fatalf(t, "what is %s?", words[0])
		}
	}
}

func (w *world) book() *reconcile.Book {
	b := reconcile.NewBook(spillway.PoolLambda, w.estimates)
	for i := range w.open {
		b.Await(&w.open[i])
	}
	for i := range w.lines {
		b.Add(&w.lines[i])
	}
	for i := range w.others {
		b.Other(&w.others[i])
	}
	return b
}

// TestData runs the cases of testdata. Times are seconds after midnight; settle
// takes until=, from when on estimates wait.
func TestData(t *testing.T) {
	datadriven.RunTest(t, "testdata/settle", func(t *testing.T, d *datadriven.TestData) string {
		var w world
		w.read(t, d)
		b := w.book()
		var out strings.Builder
		if d.Cmd == "spans" {
			for _, s := range b.Spans() {
				fmt.Fprintf(&out, "%.0f to %.0f\n", s.From.Sub(midnight).Seconds(), s.To.Sub(midnight).Seconds())
			}
			return out.String()
		}
		until := 80_000
		d.MaybeScanArgs(t, "until", &until)
		r := b.Settle(w.records, at(until), at(86_000))
		if r.Problem != "" {
			return r.Problem + "\n"
		}
		fmt.Fprintf(&out, "%+v\n", r.Counts)
		for _, e := range r.Lines {
			fmt.Fprintf(&out, "%s %s %s", e.Kind, e.Invocation, e.Amount.Text('f'))
			if e.Kind == billing.KindCharge {
				fmt.Fprintf(&out, " %d ms %s", e.BilledMillis, e.Usage.ProviderID)
			}
			fmt.Fprintln(&out)
		}
		if len(r.Lines) > 0 {
			fmt.Fprintf(&out, "%s becomes %s\n", r.Before.Text('f'), r.After.Text('f'))
		}
		return out.String()
	})
}

func sum(t testing.TB, lines ...billing.Entry) *apd.Decimal {
	total, exact := new(apd.Decimal), apd.BaseContext.WithPrecision(60)
	for i := range lines {
		if lines[i].Kind == billing.KindIntent || lines[i].Kind == billing.KindVoid {
			continue
		}
		if _, err := exact.Add(total, total, &lines[i].Amount); err != nil {
			t.Fatal(err)
		}
	}
	return total
}

// TestProperty loses answers at random. With a whole log, what the ledger holds for
// the function afterwards is what ran, to the last digit, and each invocation's too
// where no two could have run at the same time; a second time nothing is left to do.
func TestProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		apart := rapid.Bool().Draw(rt, "apart")
		var w world
		var ledger, truth []billing.Entry
		mine := map[string]billing.Entry{} // by invocation
		for i := range rapid.IntRange(1, 12).Draw(rt, "calls") {
			name := fmt.Sprintf("call-%02d", i)
			from := 1000 + 100*i
			if !apart {
				from = rapid.IntRange(1000, 1060).Draw(rt, "from")
			}
			to, ran := from+rapid.IntRange(0, 30).Draw(rt, "took"), rapid.IntRange(0, 3).Draw(rt, "fate")
			deadline, ms, id := from+30, int64(rapid.IntRange(1, 5).Draw(rt, "ms")), fmt.Sprintf("id-%02d", i)
			ledger = append(ledger, line(billing.KindIntent, name, from, deadline))
			really := charge(t, name, id, from, to, ms)
			switch ran {
			case 0: // never
				ledger = append(ledger, estimate(name, from, deadline))
				continue
			case 1: // without an answer
				ledger = append(ledger, estimate(name, from, deadline))
			default:
				ledger = append(ledger, really)
			}
			w.records = append(w.records, record(id, to, ms))
			truth = append(truth, really)
			mine[name] = really
		}
		w.records = append(w.records, record("witness", 500, 7))
		seen := charge(t, "witness", "witness", 499, 500, 7)
		ledger, truth = append(ledger, seen), append(truth, seen)
		w.records = rapid.Permutation(w.records).Draw(rt, "records")

		settle := func() reconcile.Result {
			again := world{lines: ledger, records: w.records}
			reversed := map[string]bool{}
			for _, e := range ledger {
				reversed[e.Invocation] = reversed[e.Invocation] || e.Kind == billing.KindReversal
			}
			for _, e := range ledger {
				if e.Kind == billing.KindEstimate && !reversed[e.Invocation] {
					again.estimates = append(again.estimates, e)
				}
			}
			r := again.book().Settle(w.records, at(80_000), at(86_000))
			if r.Problem != "" {
				rt.Fatal(r.Problem)
			}
			return r
		}
		r := settle()
		ledger = append(ledger, r.Lines...)
		if r.Ran+r.NeverRan != r.Estimates || r.Unaccounted != 0 {
			rt.Fatalf("%+v", r.Counts)
		}
		if got, want := sum(t, ledger...), sum(t, truth...); got.Cmp(want) != 0 {
			rt.Fatalf("the ledger has %s, %s ran", got, want)
		}
		if apart {
			byCall := map[string][]billing.Entry{}
			for _, e := range ledger {
				byCall[e.Invocation] = append(byCall[e.Invocation], e)
			}
			for name, lines := range byCall {
				want := new(apd.Decimal)
				if e, ran := mine[name]; ran {
					want = &e.Amount
				} else if name == "witness" {
					want = &seen.Amount
				}
				if got := sum(t, lines...); got.Cmp(want) != 0 {
					rt.Fatalf("%s has %s, it cost %s", name, got, want)
				}
			}
		}
		if r := settle(); len(r.Lines) != 0 || r.Estimates != 0 {
			rt.Fatalf("the second time: %+v", r)
		}
	})
}

// TestLinesAreStorable wants new lines that any ledger takes, of the estimate's
// window and payer.
func TestLinesAreStorable(t *testing.T) {
	w := world{estimates: []billing.Entry{estimate("a", 100, 130)}, records: []spillway.Usage{record("x", 110, 12)}}
	w.estimates[0].Writer, w.estimates[0].Sequence, w.estimates[0].RequestKey = "another", 7, "key"
	r := w.book().Settle(w.records, at(200), at(300))
	if len(r.Lines) != 2 {
		t.Fatal(r)
	}
	var settled spillway.Nano
	for _, e := range r.Lines {
		if err := e.Validate(); err != nil || e.Writer != "" || e.Sequence != 0 || !e.Posted.Equal(at(300)) ||
			!e.Admitted.Equal(at(100)) || e.Namespace != "shop" || e.Attempt != 1 || e.PriceVersion != w.estimates[0].PriceVersion {
			t.Errorf("%v: %+v", err, e)
		}
		settled += e.Settled
	}
	if want, _ := rate.CeilNano(12, spillway.Resources{MiB: 1024}); settled != want-w.estimates[0].Settled {
		t.Errorf("budgets change by %s, want %s", settled, want-w.estimates[0].Settled)
	}
	if c := r.Lines[0]; c.Kind != billing.KindCharge || c.Usage.Estimated || c.Outcome != spillway.Executed || c.Usage.ProviderID != "x" {
		t.Errorf("%+v", c)
	}
	if w.estimates[0].Amount.Negative || w.estimates[0].Kind != billing.KindEstimate {
		t.Error("the estimate was written to")
	}
}

// TestNobodyCanPay: a report that no cloud writes keeps its own function from being
// settled, and no other.
func TestNobodyCanPay(t *testing.T) {
	w := world{estimates: []billing.Entry{estimate("a", 100, 130), estimate("b", 200, 230)}, records: []spillway.Usage{record("x", 110, 12), record("y", 210, 12)}}
	w.records[1].BilledMillis, w.records[1].MemoryMiB = 1<<40, 1<<40
	r := w.book().Settle(w.records, at(400), at(500))
	if r.Counts != (reconcile.Counts{Estimates: 2}) || len(r.Lines) != 0 || !r.Before.IsZero() || !r.After.IsZero() || !strings.Contains(r.Problem, "execution y") {
		t.Errorf("%+v", r)
	}
}
