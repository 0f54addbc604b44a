package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/sqlite"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// linesOf is a ledger of given lines that ends with an error, if there is one.
type linesOf struct {
	lines []billing.Entry
	err   error
}

func (l linesOf) Lines(context.Context, sqlite.Filter) iter.Seq2[billing.Entry, error] {
	return func(yield func(billing.Entry, error) bool) {
		for _, e := range l.lines {
			if !yield(e, nil) {
				return
			}
		}
		if l.err != nil {
			yield(billing.Entry{}, l.err)
		}
	}
}

// ledgerLine is a line of a call that was admitted so many seconds after the first.
func ledgerLine(kind billing.Kind, call string, attempt int, second int64, change func(*billing.Entry)) billing.Entry {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second)
	e := billing.Entry{
		Kind: kind, Invocation: call, Attempt: attempt, Namespace: "shop", Function: "cart", Revision: "r1", Pool: "lambda", Cloud: true,
		Reason: spillway.ReasonOverflowCapacity, Admitted: at, Outcome: spillway.Executed, Currency: "USD", Resources: spillway.Resources{Slots: 1, MiB: 256},
	}
	switch kind {
	case billing.KindCharge:
		e.Usage = spillway.Usage{Started: spillway.InstantOf(at.Add(3 * time.Millisecond)), DurationMicros: 1500, MemoryMiB: 256}
		e.BilledMillis, e.Amount = 2, *apd.New(5, -6)
	case billing.KindEstimate:
		e.Outcome, e.Amount, e.Usage.Estimated = spillway.Unknown, *apd.New(7, -3), true
	case billing.KindReversal:
		e.Outcome, e.Amount = spillway.Unknown, *apd.New(-7, -3)
	}
	if change != nil {
		change(&e)
	}
	return e
}

func TestUsageExportOfCalls(t *testing.T) {
	onprem := func(e *billing.Entry) {
		e.Pool, e.Cloud, e.Reason, e.Resources.MilliCPU = "onprem", false, spillway.ReasonPreferred, 100
	}
	cold := func(e *billing.Entry) { e.Usage.InitMicros = 400_000 }
	all := []billing.Entry{
		ledgerLine(billing.KindCharge, "a-first", 1, 0, nil),
		ledgerLine(billing.KindIntent, "a-first", 1, 0, nil),
		ledgerLine(billing.KindCharge, "b-onprem", 1, 1, onprem),
		ledgerLine(billing.KindEstimate, "c-unknown", 1, 2, nil),
		ledgerLine(billing.KindIntent, "c-unknown", 1, 2, nil),
		ledgerLine(billing.KindCharge, "d-corrected", 1, 3, cold),
		ledgerLine(billing.KindEstimate, "d-corrected", 1, 3, nil),
		ledgerLine(billing.KindReversal, "d-corrected", 1, 3, nil),
		ledgerLine(billing.KindEstimate, "e-neverran", 1, 4, nil),
		ledgerLine(billing.KindReversal, "e-neverran", 1, 4, nil),
		ledgerLine(billing.KindIntent, "f-refused", 1, 5, nil),
		ledgerLine(billing.KindVoid, "f-refused", 1, 5, nil),
		ledgerLine(billing.KindIntent, "g-running", 1, 6, nil),
		ledgerLine(billing.KindEstimate, "h-again", 1, 7, nil),
		ledgerLine(billing.KindCharge, "h-again", 2, 7, onprem),
		ledgerLine(billing.KindVoid, "i-elsewhere", 1, 8, nil),
		ledgerLine(billing.KindCharge, "i-elsewhere", 2, 8, nil),
		ledgerLine(billing.KindCharge, "j-ourclock", 1, 9, func(e *billing.Entry) { e.Usage.Estimated = true }),
	}
	all = append(all,
		ledgerLine(billing.KindCharge, "k-sentagain", 1, 10, nil),
		ledgerLine(billing.KindEstimate, "k-sentagain", 2, 10, onprem),
		ledgerLine(billing.KindReversal, "k-sentagain", 2, 10, onprem),
		ledgerLine(billing.KindEstimate, "k-sentagain", 3, 10, onprem),
		ledgerLine(billing.KindReversal, "k-sentagain", 3, 10, onprem),
		ledgerLine(billing.KindEstimate, "l-neverran", 1, 11, onprem),
		ledgerLine(billing.KindReversal, "l-neverran", 1, 11, onprem),
		ledgerLine(billing.KindEstimate, "l-neverran", 2, 11, nil),
		ledgerLine(billing.KindReversal, "l-neverran", 2, 11, nil))
	var out strings.Builder
	var calls atomic.Int64
	if err := exportUsage(t.Context(), &out, linesOf{lines: all}, sqlite.Filter{}, &calls); err != nil {
		t.Fatal(err)
	}
	head, rows, _ := strings.Cut(out.String(), "\n")
	if !strings.HasPrefix(head, "admitted,") {
		t.Errorf("begins with %s", head)
	}
	want := `2026-03-02T00:00:00Z,shop,cart,r1,,lambda,overflow_capacity,executed,1500,,256,0,2,0.000005,USD,3000
2026-03-02T00:00:01Z,shop,cart,r1,,onprem,preferred,executed,1500,0,256,100,2,0.000005,USD,3000
2026-03-02T00:00:02Z,shop,cart,r1,,lambda,overflow_capacity,unknown,,,256,0,0,0.007,USD,0
2026-03-02T00:00:03Z,shop,cart,r1,,lambda,overflow_capacity,executed,1500,400000,256,0,2,0.000005,USD,3000
2026-03-02T00:00:04Z,shop,cart,r1,,lambda,overflow_capacity,not_executed,,,256,0,0,0.000,USD,0
2026-03-02T00:00:07Z,shop,cart,r1,,onprem,preferred,executed,1500,0,256,100,2,0.007005,USD,3000
2026-03-02T00:00:08Z,shop,cart,r1,,lambda,overflow_capacity,executed,1500,0,256,0,2,0.000005,USD,3000
2026-03-02T00:00:09Z,shop,cart,r1,,lambda,overflow_capacity,executed,1500,,256,0,2,0.000005,USD,3000
2026-03-02T00:00:10Z,shop,cart,r1,,lambda,overflow_capacity,executed,1500,0,256,0,2,0.000005,USD,3000
2026-03-02T00:00:11Z,shop,cart,r1,,lambda,overflow_capacity,not_executed,,,256,0,0,0.000,USD,0
`
	if rows != want {
		t.Errorf("rows\n%s\nwant\n%s", rows, want)
	}
	if calls.Load() != 10 {
		t.Errorf("%d calls", calls.Load())
	}
	sameTotal(t, all, out.String())
}

// sameTotal holds the amounts of rows against those of the ledger's lines.
func sameTotal(t *testing.T, lines []billing.Entry, csv string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "usage.csv")
	if err := os.WriteFile(path, []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	var got, want apd.Decimal
	for r, err := range trace.UsageRows(path) {
		if err != nil {
			t.Fatal(err)
		}
		must(exact.Add(&got, &got, &r.Amount))
	}
	for i := range lines {
		must(exact.Add(&want, &want, &lines[i].Amount))
	}
	if got.Cmp(&want) != 0 {
		t.Errorf("rows cost %s, lines %s", &got, &want)
	}
}

// TestUsageExportThatBreaksOff leaves no file that would be taken for the whole.
func TestUsageExportThatBreaksOff(t *testing.T) {
	broken := linesOf{[]billing.Entry{ledgerLine(billing.KindCharge, "a", 1, 0, nil), ledgerLine(billing.KindCharge, "b", 1, 1, nil)}, errors.New("the disk is gone")}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var calls atomic.Int64
		if err := exportUsage(r.Context(), newPatientWriter(w), broken, sqlite.Filter{}, &calls); err == nil {
			t.Error("the export of a broken ledger ended well")
		}
		if _, err := io.WriteString(w, "admitted\n"); err != nil {
			t.Error(err)
		}
		must(0, http.NewResponseController(w).Flush())
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	dir := t.TempDir()
	f := usageFlags{admin: server.URL}
	err := f.export(t.Context(), streams{nil, io.Discard, io.Discard}, filepath.Join(dir, "usage.csv.gz"))
	if err == nil || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
