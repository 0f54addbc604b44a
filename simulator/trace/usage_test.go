package trace

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
)

func amount(t testing.TB, text string) apd.Decimal {
	d, _, err := apd.NewFromString(text)
	if err != nil {
		t.Fatal(err)
	}
	return *d
}

func writeUsage(t testing.TB, rows ...UsageRow) string {
	t.Helper()
	var b bytes.Buffer
	w := NewUsageWriter(&b)
	for i := range rows {
		if err := w.Write(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestUsageText(t *testing.T) {
	text := writeUsage(t, UsageRow{Admitted: time.Date(2026, 1, 31, 23, 59, 59, 5_000_000, time.FixedZone("", 8*3600)), Namespace: "shop", Function: "ssr", Revision: "r7",
		Department: "retail, web", Pool: "lambda-bj", Reason: spillway.ReasonOverflowQuota, Outcome: spillway.Executed, Duration: 1234567 * time.Nanosecond, Init: -1,
		MemoryMiB: 512, MilliCPU: 300, BilledMillis: 2, Amount: amount(t, "0.000000033400000001"), Currency: "CNY", Waited: ms(1.5)})
	want := "admitted,namespace,function,revision,department,pool,reason,outcome,duration_us,init_us,memory_mib,milli_cpu,billed_ms,amount,currency,waited_us\n" +
		"2026-01-31T15:59:59.005Z,shop,ssr,r7,\"retail, web\",lambda-bj,overflow_quota,executed,1234,,512,300,2,0.000000033400000001,CNY,1500\n"
	if text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
	if empty := writeUsage(t); empty != want[:strings.Index(want, "\n")+1] {
		t.Errorf("no rows: %q", empty)
	}
}

// TestUsageRoundTrip: what is written is what is read.
func TestUsageRoundTrip(t *testing.T) {
	dir := t.TempDir()
	text := rapid.StringMatching(`[a-z0-9 ,"\n=é-]{1,12}`)
	micros := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "µs")) * time.Microsecond
	})
	known := rapid.OneOf(micros, rapid.Just(time.Duration(-1)))
	rapid.Check(t, func(rt *rapid.T) {
		row := UsageRow{
			Admitted:  time.Unix(0, rapid.Int64Range(0, 7e18).Draw(rt, "at")).UTC(),
			Namespace: text.Draw(rt, "namespace"), Function: text.Draw(rt, "function"), Revision: text.Draw(rt, "revision"),
			Department: text.Draw(rt, "department"), Pool: text.Draw(rt, "pool"), Currency: "CNY",
			Reason:   rapid.SampledFrom(append(spillway.Reasons(), spillway.ReasonNone)).Draw(rt, "reason"),
			Outcome:  rapid.SampledFrom([]spillway.OutcomeClass{spillway.NotExecuted, spillway.Executed, spillway.Unknown}).Draw(rt, "outcome"),
			Duration: known.Draw(rt, "duration"), Init: known.Draw(rt, "init"), Waited: micros.Draw(rt, "waited"),
			MemoryMiB: rapid.Int64Range(0, 1e6).Draw(rt, "MiB"), MilliCPU: rapid.Int64Range(0, 1e6).Draw(rt, "cpu"), BilledMillis: rapid.Int64Range(0, 1e6).Draw(rt, "billed"),
			Amount: *apd.New(rapid.Int64Range(-1e9, 1e9).Draw(rt, "amount"), -9),
		}
		path := filepath.Join(dir, "usage.csv")
		if err := os.WriteFile(path, []byte(writeUsage(t, row)), 0o666); err != nil {
			rt.Fatal(err)
		}
		for got, err := range UsageRows(path) {
			if err != nil {
				rt.Fatal(err)
			}
			if got.Amount.Cmp(&row.Amount) != 0 {
				rt.Fatalf("amount %s, wrote %s", &got.Amount, &row.Amount)
			}
			got.Amount = row.Amount
			if !reflect.DeepEqual(got, row) {
				rt.Fatalf("read  %+v\nwrote %+v", got, row)
			}
		}
	})
}

func TestUsageWriterRefuses(t *testing.T) {
	good := UsageRow{Admitted: time.Unix(1, 0), Namespace: "n", Function: "f"}
	for name, spoil := range map[string]func(*UsageRow){
		"year":      func(r *UsageRow) { r.Admitted = time.Time{} },
		"namespace": func(r *UsageRow) { r.Namespace = "" },
		"duration":  func(r *UsageRow) { r.Duration = -2 },
		"long":      func(r *UsageRow) { r.Waited = 1<<63 - 1 },
		"memory":    func(r *UsageRow) { r.MemoryMiB = -1 },
		"amount":    func(r *UsageRow) { r.Amount.Form = apd.NaN },
	} {
		row := good
		spoil(&row)
		var b bytes.Buffer
		if err := NewUsageWriter(&b).Write(&row); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestUsageTrace(t *testing.T) {
	at := func(seconds int) time.Time { return time.Date(2026, 3, 1, 0, 0, seconds, 0, time.UTC) }
	row := func(seconds int, function, department string, outcome spillway.OutcomeClass, d, init time.Duration) UsageRow {
		return UsageRow{Admitted: at(seconds), Namespace: "n", Function: function, Department: department, Outcome: outcome, Duration: d, Init: init, MemoryMiB: 100 + int64(seconds)}
	}
	text := writeUsage(t,
		row(5, "f", "d", spillway.Executed, ms(10), 0),
		row(3, "f", "d", spillway.Executed, ms(20), ms(200)),
		row(7, "f", "d", spillway.Unknown, time.Hour, -1),
		row(8, "g", "", spillway.NotExecuted, -1, -1))
	tr := open(t, folder(t, "month", text), Options{Seed: 9})
	calls := all(t, tr)
	if !tr.Start().Equal(at(3)) || tr.Length() != 5*time.Second+1 {
		t.Errorf("%s from %s", tr.Length(), tr.Start())
	}
	if calls[0] != (Call{0, ms(20), ms(200), 0}) || calls[1] != (Call{2 * time.Second, ms(10), 0, 0}) {
		t.Errorf("%v", calls)
	}
	if d := calls[2].Duration; d < ms(10) || d > ms(20) || calls[2].Init != -1 {
		t.Errorf("a call whose end nobody knows lasts %s", d)
	}
	f := tr.Functions()
	if f[0].Tenant != "d" || f[0].App != "n" || f[0].MiB != 107 || f[1].Tenant != "n" {
		t.Errorf("%+v", f)
	}
	if !slices.Equal(again(t, tr), calls) {
		t.Error("not the same calls after Rewind")
	}
	for _, bad := range []string{strings.Replace(text, ",none,", ",whim,", 1), strings.Replace(text, ",105,", ",,", 1), strings.Replace(text, "admitted", "when", 1)} {
		path := filepath.Join(folder(t, "bad", bad), "bad")
		var last error
		for _, err := range UsageRows(path) {
			last = err
		}
		if last == nil {
			t.Errorf("read %s", bad)
		}
	}
}
