package ledger

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/journal"
	"github.com/spillway-dev/spillway/billing/sqlite"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv("SPILLWAY_LEDGER_CHILD"); mode != "" {
		os.Exit(child(mode))
	}
	goleak.VerifyTestMain(m)
}

// quick flushes at once, so that nothing waits for time.
var quick = Options{FlushEvery: time.Nanosecond, Journal: journal.Options{SegmentBytes: 1 << 20}}

var admitted = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func entry(invocation string, attempt int) *billing.Entry {
	return &billing.Entry{
		Kind: billing.KindCharge, Invocation: invocation, Attempt: attempt,
		Namespace: "shop", NamespaceUID: "uid", Department: "retail", Function: "resize", Pool: "local", Currency: "USD",
		Reason: spillway.ReasonPreferred, Admitted: admitted, Posted: admitted, RequestKey: "key-" + invocation,
		Rate:      spillway.Rate{PerRequest: 200_000_000, PerGiBSecond: 16_666_700_000, PerVCPUSecond: 3_000_000, IncrementMillis: 1},
		Resources: spillway.Resources{Slots: 1, MilliCPU: 500, MiB: 256},
	}
}

func cloud(invocation string, attempt int) *billing.Entry {
	e := entry(invocation, attempt)
	e.Cloud, e.Pool, e.Reserved, e.Deadline = true, "aws", 7_000_000, admitted.Add(time.Minute)
	return e
}

func charge(t testing.TB, e *billing.Entry, ms int64) *billing.Entry {
	t.Helper()
	if err := e.Charge(ms); err != nil {
		t.Fatal(err)
	}
	e.Outcome = spillway.Executed
	return e
}

func open(t testing.TB, dir string, o Options) *Ledger {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// all returns every line by "invocation/attempt/kind".
func all(t testing.TB, l *Ledger) map[string]billing.Entry {
	t.Helper()
	lines := map[string]billing.Entry{}
	for e, err := range l.Lines(t.Context(), sqlite.Filter{}) {
		must(t, err)
		lines[fmt.Sprintf("%s/%d/%s", e.Invocation, e.Attempt, e.Kind)] = e
	}
	return lines
}

func TestLifeOfACall(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, quick)
	must(t, l.Reserve(), l.Begin(entry("a", 1)), l.Post(charge(t, entry("a", 1), 12)))
	l.Release()
	must(t, l.Reserve(), l.Intent(t.Context(), cloud("b", 1)), l.Post(charge(t, cloud("b", 1), 34)))
	l.Release()
	must(t, l.Intent(t.Context(), cloud("c", 1)))
	l.Explain("a", admitted, []byte(`{"why":"room"}`))

	lines, decision, err := l.Lookup(t.Context(), "a")
	if err != nil || len(lines) != 1 || string(decision) != `{"why":"room"}` {
		t.Fatal(lines, string(decision), err)
	}
	must(t, l.Close())

	l = open(t, dir, quick)
	if found := l.Recovery(); found.Estimated != 0 || found.Journal.CutBytes != 0 {
		t.Fatalf("after a clean close: %+v", found)
	}
	got := all(t, l)
	for _, want := range []string{"a/1/charge", "b/1/intent", "b/1/charge", "c/1/intent"} {
		if _, ok := got[want]; !ok || len(got) != 4 {
			t.Fatalf("%s is not among %d lines", want, len(got))
		}
	}
	restored, err := l.Restore(t.Context())
	if err != nil || len(restored.Open) != 1 || restored.Open[0].Invocation != "c" || restored.Open[0].Reserved != 7_000_000 || !restored.Open[0].Deadline.Equal(admitted.Add(time.Minute)) {
		t.Fatalf("%+v, %v", restored.Open, err)
	}
	if _, decision, err = l.Lookup(t.Context(), "a"); err != nil || string(decision) != `{"why":"room"}` {
		t.Fatal(string(decision), err)
	}
	window := func(from, to time.Time) spillway.Nano {
		n, err := l.Spent(t.Context(), []spillway.FunctionKey{{Namespace: "shop"}, {Namespace: "elsewhere"}}, spillway.InstantOf(from), spillway.InstantOf(to))
		must(t, err)
		return n
	}
	bill := charge(t, cloud("b", 1), 34).Settled
	if got := window(admitted, admitted.Add(1)); got != bill || bill == 0 {
		t.Fatalf("spent %d, want %d", got, bill)
	}
	if got := window(admitted.Add(1), admitted.Add(time.Hour)); got != 0 {
		t.Fatalf("spent %d outside the window", got)
	}
	estimate := billing.EstimateOf(&restored.Open[0], admitted)
	reversal := billing.ReversalOf(&estimate, admitted)
	must(t, l.Post(&estimate))
	if got := window(admitted, admitted.Add(1)); got != bill+7_000_000 {
		t.Fatalf("spent %d with the estimate", got)
	}
	must(t, l.Post(&reversal))
	if got := window(admitted, admitted.Add(1)); got != bill {
		t.Fatalf("spent %d after the reversal", got)
	}
	if restored, err = l.Restore(t.Context()); err != nil || len(restored.Open) != 0 {
		t.Fatal(restored.Open, err)
	}
}

func TestRecentRequestKeys(t *testing.T) {
	o := quick
	o.Now = func() time.Time { return admitted.Add(14 * time.Minute) }
	l := open(t, t.TempDir(), o)
	old := charge(t, entry("old", 1), 1)
	old.Posted = admitted.Add(-2 * time.Minute)
	long := charge(t, entry("long", 1), 1) // admitted an hour ago, ended now
	long.Admitted = admitted.Add(-46 * time.Minute)
	must(t, l.Post(old), l.Post(long), l.Post(charge(t, entry("new", 1), 1)))
	r, err := l.Restore(t.Context())
	if err != nil || len(r.Recent) != 2 || r.Recent[0].RequestKey != "key-long" || r.Recent[1].RequestKey != "key-new" {
		t.Fatal(r.Recent, err)
	}
}

// crash leaves the directory as a kill would: nothing more is written or flushed.
func crash(t *testing.T, dir string) string {
	t.Helper()
	image := t.TempDir()
	must(t, os.CopyFS(image, os.DirFS(dir)))
	return image
}

func TestBegunAndNotEndedIsEstimated(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{FlushEvery: time.Hour})
	must(t, l.Begin(entry("a", 1)))
	later := entry("b", 1)
	later.Posted = admitted.Add(1500 * time.Millisecond)
	must(t, l.Begin(later), l.Begin(entry("c", 1)), l.Post(charge(t, entry("c", 1), 3)))

	image := crash(t, dir)
	for range 2 { // a second recovery changes nothing
		l = open(t, image, quick)
		got := all(t, l)
		if len(got) != 3 {
			t.Fatalf("%d lines", len(got))
		}
		a, b := got["a/1/estimate"], got["b/1/estimate"]
		if a.BilledMillis != 1500 || b.BilledMillis != 1 || a.Outcome != spillway.Unknown || !a.Usage.Estimated || a.Settled != 0 || a.Amount.IsZero() {
			t.Fatalf("a %+v\nb %+v", a, b)
		}
		if got["c/1/charge"].BilledMillis != 3 {
			t.Fatalf("%+v", got)
		}
		must(t, l.Close())
	}
}

// The line is in the database but not in the journal, whose begin is older.
func TestReplayOfABeginWhoseLineIsWritten(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, quick)
	must(t, l.Begin(entry("a", 1)))
	before := crash(t, filepath.Join(dir, journalName))
	must(t, l.Post(charge(t, entry("a", 1), 9)), l.Close())
	must(t, os.RemoveAll(filepath.Join(dir, journalName)), os.CopyFS(filepath.Join(dir, journalName), os.DirFS(before)))
	l = open(t, dir, quick)
	if got := all(t, l); len(got) != 1 || l.Recovery().Estimated != 0 || got["a/1/charge"].BilledMillis != 9 {
		t.Fatalf("%+v", got)
	}
}

func TestSameLineTwiceCountsOnceAndADifferentOneIsQuarantined(t *testing.T) {
	l := open(t, t.TempDir(), quick)
	for range 3 {
		must(t, l.Post(charge(t, entry("a", 1), 5)), l.Flush(t.Context()))
	}
	if got := l.Stats().Conflicts; got != 0 {
		t.Fatalf("%d conflicts between equal lines", got)
	}
	for range 2 {
		must(t, l.Post(charge(t, entry("a", 1), 6)), l.Flush(t.Context()))
	}
	got := all(t, l)
	if len(got) != 1 || got["a/1/charge"].BilledMillis != 5 || l.Stats().Conflicts != 1 {
		t.Fatalf("%+v, %d conflicts", got, l.Stats().Conflicts)
	}
}

func TestOnlyOneProcess(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, quick)
	if _, err := Open(dir, quick); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatal(err)
	}
	must(t, l.Post(charge(t, entry("a", 1), 1)), l.Flush(t.Context()))
	for range 2 { // beside the writer, and after it
		s, err := OpenReadOnly(t.Context(), dir)
		must(t, err)
		c, err := s.Count(t.Context())
		if err != nil || c.Lines != 1 {
			t.Fatal(c, err)
		}
		if err := s.Write(t.Context(), sqlite.Batch{}); err == nil {
			t.Fatal("wrote through a read-only store")
		}
		must(t, s.Close(), l.Close())
	}
}

func TestTooLongIsRefusedBeforeItRuns(t *testing.T) {
	l := open(t, t.TempDir(), quick)
	e := cloud("a", 1)
	e.Caller = strings.Repeat("c", billing.MaxEncoded-300)
	if err := l.Intent(t.Context(), e); !errors.Is(err, billing.ErrTooLong) {
		t.Error(err)
	}
	if err := l.Begin(e); !errors.Is(err, billing.ErrTooLong) {
		t.Error(err)
	}
	must(t, l.Health())
}

func TestConcurrentCalls(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, quick)
	const workers, calls = 8, 40
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range calls {
				id := fmt.Sprintf("%d-%d", w, i)
				err := l.Reserve()
				if w%2 == 0 {
					err = errors.Join(err, l.Begin(entry(id, 1)), l.Post(charge(t, entry(id, 1), 1)))
				} else {
					err = errors.Join(err, l.Intent(context.Background(), cloud(id, 1)), l.Post(charge(t, cloud(id, 1), 1)))
				}
				l.Release()
				l.Explain(id, admitted, []byte("{}"))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	must(t, l.Flush(t.Context()))
	if s := l.Stats(); s.Live != 0 || s.Pending != 0 {
		t.Fatalf("left over: %+v", s)
	}
	got := all(t, l)
	var sequences []int64
	for _, e := range got {
		sequences = append(sequences, e.Sequence)
	}
	slices.Sort(sequences)
	if n := int64(workers * calls * 3 / 2); int64(len(got)) != n || sequences[0] != 1 || sequences[n-1] != n || len(slices.Compact(sequences)) != int(n) {
		t.Fatalf("%d lines, sequences %d to %d", len(got), sequences[0], sequences[len(sequences)-1])
	}
	must(t, l.Close())
	open(t, dir, quick) // checks the sequence
}

// What a statement sums over the ledger is what was posted, however it was cut up
// by crashes.
func TestLedgerSumsWhatWasPosted(t *testing.T) {
	must(t, flag.Set("rapid.checks", "15")) // each opens files and syncs
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "")
		must(t, err)
		dir := filepath.Join(root, "0")
		var want billing.Entry
		lines := map[string]*billing.Entry{}
		l, err := Open(dir, quick)
		must(t, err)
		for i := range rapid.IntRange(1, 25).Draw(rt, "steps") {
			e := charge(t, cloud(fmt.Sprint(rapid.IntRange(0, 20).Draw(rt, "id")), 1), 0)
			if known := lines[e.Invocation]; known != nil {
				e = known // posted again
			} else {
				charge(t, e, rapid.Int64Range(1, 1e6).Draw(rt, "ms"))
				want.Settled += e.Settled
				lines[e.Invocation] = e
			}
			must(t, l.Post(e))
			if rapid.IntRange(0, 9).Draw(rt, "crash") == 0 {
				image := filepath.Join(root, fmt.Sprint(i+1))
				must(t, l.Flush(context.Background())) // a quiet file can be copied whole
				must(t, os.CopyFS(image, os.DirFS(dir)), l.Close())
				l, err = Open(image, quick)
				must(t, err)
				dir = image
			}
		}
		spent, err := l.Spent(context.Background(), []spillway.FunctionKey{{Namespace: "shop"}}, spillway.InstantOf(admitted), spillway.Never)
		must(t, err, l.Close())
		if spent != want.Settled || l.Stats().Conflicts != 0 {
			rt.Fatalf("spent %d, posted %d, %d conflicts", spent, want.Settled, l.Stats().Conflicts)
		}
	})
}
