package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 123, time.UTC)

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func temporary(t testing.TB) string { return filepath.Join(t.TempDir(), "ledger ?#%.db") }

// full has a value of its own in every column.
func full(invocation string) billing.Entry {
	return billing.Entry{
		Kind: billing.KindCharge, Invocation: invocation, Attempt: 2, Namespace: "ns", NamespaceUID: "uid", Department: "d",
		Caller: "c", Function: "f", Revision: "r", Pool: "p", Region: "re", Cloud: true, CloudFunction: "cf", Reason: spillway.ReasonOverflowWait,
		Admitted: noon, Posted: noon.Add(1), Deadline: noon.Add(2), Resources: spillway.Resources{Slots: 1, MilliCPU: 2, MiB: 3},
		Usage: spillway.Usage{Started: 4, DurationMicros: 5, BilledMillis: 6, InitMicros: 7, MemoryMiB: 8, MaxMemoryMiB: 9, CPUMicros: 10,
			ProviderID: "provider", Estimated: true},
		Outcome: spillway.Unknown, Error: spillway.FunctionHandled, Currency: "USD", PriceVersion: "v",
		Rate:         spillway.Rate{PerRequest: 11, PerGiBSecond: 12, PerVCPUSecond: 13, IncrementMillis: 14, MinimumMillis: 15},
		BilledMillis: 16, Amount: *apd.New(-1234567890123456789, -18), Reserved: 17, Settled: 18, RequestKey: "key",
	}
}

func lines(t testing.TB, s *Store, f Filter) []billing.Entry {
	t.Helper()
	var all []billing.Entry
	for e, err := range s.Lines(context.Background(), f) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func write(t testing.TB, s *Store, entries ...billing.Entry) {
	t.Helper()
	if err := s.Write(context.Background(), Batch{Lines: entries}); err != nil {
		t.Fatal(err)
	}
}

func TestEveryColumnIsReadBack(t *testing.T) {
	path := temporary(t)
	s := open(t, path)
	want := full("a")
	write(t, s, want)
	want.Writer, want.Sequence = s.Writer(), 1
	s.Close()
	s = open(t, path)
	if got := lines(t, s, Filter{}); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Fatalf("\n got %+v\nwant %+v", got, want)
	}
}

// raw runs SQL beside the Store, as somebody with the sqlite3 program would.
func raw(t *testing.T, path, statement string) error {
	t.Helper()
	db, err := database(path, "mode=rw", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec(statement)
	return err
}

func TestAppendOnlyAndUnique(t *testing.T) {
	path := temporary(t)
	s := open(t, path)
	write(t, s, full("a"))
	changed := full("a")
	changed.BilledMillis++
	write(t, s, changed)
	for statement, want := range map[string]string{
		"UPDATE line SET amount = '0'":                  "append-only",
		"DELETE FROM line":                              "append-only",
		"UPDATE conflict SET entry = x'00'":             "append-only",
		"DELETE FROM conflict":                          "append-only",
		"INSERT INTO line SELECT * FROM line":           "UNIQUE",
		"INSERT INTO line (kind) VALUES ('charge')":     "NOT NULL",
		"INSERT OR REPLACE INTO meta VALUES (2,'',0,0)": "CHECK",
	} {
		if err := raw(t, path, statement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if got := lines(t, s, Filter{}); len(got) != 1 || got[0].BilledMillis != 16 || s.Conflicts() != 1 {
		t.Fatalf("%+v, %d conflicts", got, s.Conflicts())
	}
}

// The control of the one before: without the key the same line is there twice.
func TestWithoutTheKeyALineIsBilledTwice(t *testing.T) {
	path := temporary(t)
	open(t, path).Close()
	db, err := database(path, "mode=rw", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	e := full("a")
	insert := strings.Replace(insertLine, "INTO line", "INTO loose", 1)
	if _, err := db.Exec("CREATE TABLE loose AS SELECT * FROM line"); err != nil {
		t.Fatal(err)
	}
	var n int
	for range 2 {
		var values []any
		for _, v := range new(binding).of(&e, "w", 1) {
			values = append(values, v.Value)
		}
		_, err = db.Exec(insert, values...)
	}
	if err := errors.Join(err, db.QueryRow("SELECT count(*) FROM loose").Scan(&n)); err != nil || n != 2 {
		t.Fatal(n, err)
	}
}

func TestMissingLineIsNoticed(t *testing.T) {
	path := temporary(t)
	s := open(t, path)
	write(t, s, full("a"), full("b"), full("c"))
	s.Close()
	for _, statement := range []string{"DROP TRIGGER line_is_never_deleted", "DELETE FROM line WHERE invocation = 'b'"} {
		if err := raw(t, path, statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "lines are missing") {
		t.Fatal(err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := temporary(t)
	open(t, path).Close()
	if err := raw(t, path, "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "newer program") {
		t.Fatal(err)
	}
}

// A damaged page must not open, or must still answer exactly what was written.
func TestDamageIsNeverASilentWrongBill(t *testing.T) {
	path := temporary(t)
	s := open(t, path)
	var want []billing.Entry
	for i := range 60 {
		want = append(want, full(fmt.Sprintf("i%02d", i)))
	}
	write(t, s, want...)
	want = lines(t, s, Filter{})
	s.Close()
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 5))
	detected := 0
	for range 25 {
		page := 4096 * random.IntN(len(image)/4096)
		damaged := append([]byte(nil), image...)
		for i := range 64 { // a torn sector: the page's header
			damaged[page+i] ^= byte(1 + random.IntN(255))
		}
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), path)
		if err != nil {
			detected++
			continue
		}
		for i, e := range lines(t, s, Filter{}) {
			if !reflect.DeepEqual(e, want[i]) {
				t.Errorf("page %d: line %d changed unnoticed", page/4096, i)
			}
		}
		s.Close()
	}
	if detected < 20 {
		t.Errorf("%d of 25 damaged files were noticed", detected)
	}
}

func TestFullKeepsNothingInPart(t *testing.T) {
	path := temporary(t)
	s, err := openWith(t.Context(), path, "&_pragma=max_page_count(60)")
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	stored := 0
	for i := 0; failed == nil && i < 2000; i++ {
		if failed = s.Write(t.Context(), Batch{Lines: []billing.Entry{full(fmt.Sprint("i", i)), full(fmt.Sprint("j", i))}}); failed == nil {
			stored += 2
		}
	}
	if !errors.Is(failed, ErrFull) || errors.Is(failed, ErrFailed) {
		t.Fatal(failed)
	}
	if got := len(lines(t, s, Filter{})); got != stored {
		t.Fatalf("%d lines, %d were acknowledged: a write was kept in part", got, stored)
	}
	s.Close()
	s = open(t, path) // with room again
	write(t, s, full("after"))
	if got := len(lines(t, s, Filter{})); got != stored+1 {
		t.Fatalf("%d lines, want %d", got, stored+1)
	}
}

func TestOpenIntentsInAnyOrder(t *testing.T) {
	s := open(t, temporary(t))
	intent, charge, void := full("a"), full("a"), full("b")
	intent.Kind, void.Kind = billing.KindIntent, billing.KindVoid
	left := full("c")
	left.Kind = billing.KindIntent
	after := full("b")
	after.Kind = billing.KindIntent
	write(t, s, intent, left)
	write(t, s, charge, void)
	write(t, s, after) // an intent that comes after its end opens nothing
	var open []string
	for e, err := range s.OpenIntents(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, e.Invocation)
	}
	if fmt.Sprint(open) != "[c]" {
		t.Fatal(open)
	}
}

func TestFilterAndSpent(t *testing.T) {
	s := open(t, temporary(t))
	for i := range 4 {
		e := full(fmt.Sprint(i))
		e.Admitted, e.Namespace, e.Settled = noon.Add(time.Duration(i)*time.Hour), fmt.Sprint("ns", i%2), 1<<i
		write(t, s, e)
	}
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	if got := lines(t, s, Filter{From: hour(1), To: hour(3)}); len(got) != 2 || got[0].Invocation != "1" || got[1].Invocation != "2" {
		t.Error(got)
	}
	if got := lines(t, s, Filter{Namespaces: []string{"ns1"}, From: hour(2)}); len(got) != 1 || got[0].Invocation != "3" {
		t.Error(got)
	}
	if got := lines(t, s, Filter{Namespaces: []string{}}); len(got) != 0 {
		t.Error(got)
	}
	n, err := s.Spent(t.Context(), []spillway.FunctionKey{{Namespace: "ns0"}, {Namespace: "ns1"}}, hour(1), hour(3))
	if err != nil || n != 2+4 {
		t.Error(n, err)
	}
}

func TestDecisionsArePruned(t *testing.T) {
	s := open(t, temporary(t))
	err := s.Write(t.Context(), Batch{Decisions: []Decision{{"old", noon, []byte(`1`)}, {"new", noon.Add(time.Hour), []byte(`2`)}}})
	if err == nil {
		err = s.Write(t.Context(), Batch{PruneBefore: noon.Add(time.Minute)})
	}
	old, err1 := s.Decision(t.Context(), "old")
	kept, err2 := s.Decision(t.Context(), "new")
	if err := errors.Join(err, err1, err2); err != nil || old != nil || string(kept) != "2" {
		t.Fatal(old, kept, err)
	}
}

func TestAfterClose(t *testing.T) {
	s := open(t, temporary(t))
	s.Close()
	if err := s.Write(t.Context(), Batch{}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

// BenchmarkIntent measures durable writes from many callers that share commits.
func BenchmarkIntent(b *testing.B) {
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "l.db"))
			var wg sync.WaitGroup
			ids := make(chan int, callers)
			for range callers {
				wg.Go(func() {
					for i := range ids {
						e := full(fmt.Sprintf("%09d", i))
						e.Kind = billing.KindIntent
						if err := s.Write(context.Background(), Batch{Lines: []billing.Entry{e}}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for i := range b.N {
				ids <- i
			}
			close(ids)
			wg.Wait()
		})
	}
}

// TestFirstSchemaIsReadAndBroughtForward has a ledger of before lines named the
// cloud's function. Its lines are read as they are, also beside a process of before,
// which does not bring it forward.
func TestFirstSchemaIsReadAndBroughtForward(t *testing.T) {
	path := temporary(t)
	db, err := database(path, "mode=rwc", 1)
	if err != nil {
		t.Fatal(err)
	}
	old := full("a")
	old.CloudFunction, old.Writer, old.Sequence = "", "w", 1
	var values []any
	for _, v := range new(binding).of(&old, "w", 1)[:columnCount-1] {
		values = append(values, v.Value)
	}
	for _, do := range []func() error{
		func() error {
			_, err := db.Exec(migrations[0] + "INSERT INTO meta VALUES (1, 'w', 1, 0); PRAGMA user_version = 1")
			return err
		},
		func() error {
			_, err := db.Exec("INSERT INTO line VALUES (?"+strings.Repeat(", ?", columnCount-2)+")", values...)
			return err
		},
		db.Close,
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if got := lines(t, reader, Filter{}); len(got) != 1 || !reflect.DeepEqual(got[0], old) {
		t.Errorf("before: %+v", got)
	}
	s := open(t, path)
	write(t, s, full("b"))
	write(t, s, old) // of its journal; it is there already
	for _, from := range []*Store{s, reader} {
		got := lines(t, from, Filter{})
		if len(got) != 2 || !reflect.DeepEqual(got[0], old) || from == s && got[1].CloudFunction != "cf" {
			t.Errorf("after: %+v", got)
		}
	}
	if s.Conflicts() != 0 {
		t.Errorf("%d conflicts", s.Conflicts())
	}
}
