package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/ledger"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

const budgeted = `apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec: {budgets: [{window: day, amount: "10"}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: team}
spec: {parent: company, namespaces: [team]}
`

// wired builds a server from YAML over a data directory, without listening.
func wired(t *testing.T, yaml, data string) *app {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return wiredIn(t, dir, data)
}

// wiredIn builds a server of a configuration directory.
func wiredIn(t *testing.T, dir, data string) *app {
	t.Helper()
	loaded, err := loadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	loaded.Server.DataDir = data
	a, err := wire(t.Context(), inDirectory(dir), loaded, loaded.Server, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func dirOf(a *app) string { return string(a.from.(inDirectory)) }

func TestMetricsAreWellFormed(t *testing.T) {
	a := wired(t, budgeted, t.TempDir())
	problems, err := testutil.GatherAndLint(a.metrics)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestLedgerIsPrivate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	wired(t, budgeted, data)
	for name, most := range map[string]os.FileMode{"": 0o711, databaseFile: 0o600, databaseFile + "-wal": 0o600, "journal": 0o700, ownedFile: 0o600} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm()&^most != 0 {
			t.Errorf("%s has mode %04o, want at most %04o", name, info.Mode().Perm(), most)
		}
	}
}

// TestRestore wants spend and reservations of before a restart to count after it.
func TestRestore(t *testing.T) {
	data, now := t.TempDir(), time.Now()
	l, err := ledger.Open(data, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	charge := cloudLine("0199f0c2-7c1a-7d3e-9c55-1f2e3d4c5b6a", now)
	charge.Kind, charge.Settled, charge.Amount = billing.KindCharge, 2e9, billing.DecimalOf(2e9)
	open := cloudLine("0199f0c2-7c1a-7d3e-9c55-1f2e3d4c5b6b", now)
	open.Kind, open.Reserved, open.Deadline = billing.KindIntent, 3e9, now.Add(time.Hour)
	if err := errors.Join(l.Post(&charge), l.Intent(t.Context(), &open), l.Close()); err != nil {
		t.Fatal(err)
	}

	a := wired(t, budgeted, data)
	view := a.server.View()
	i := slices.IndexFunc(view.Quotas, func(q dispatcher.QuotaView) bool { return q.Name == "company" })
	got := view.Quotas[i].Budgets[0]
	if got.Spent != 2e9 || got.Reserved != 3e9 {
		t.Errorf("spent %s and reserved %s, want 2 and 3", got.Spent, got.Reserved)
	}
	if view.Unknown != 1 {
		t.Errorf("%d unknown, want 1", view.Unknown)
	}
	text, err := a.Explain(t.Context(), charge.Invocation)
	var x dispatcher.Explanation
	if err = errors.Join(err, json.Unmarshal(text, &x)); err != nil {
		t.Fatal(err)
	}
	if x.Note == "" || x.Outcome != "executed" || x.Attempts[0].Cost != "2.000000000000000000" {
		t.Errorf("explained as %s", text)
	}
	if _, err := a.Explain(t.Context(), "none"); !errors.Is(err, server.ErrUnknownInvocation) {
		t.Errorf("an id that nobody knows: %v", err)
	}
}

func cloudLine(id string, at time.Time) billing.Entry {
	return billing.Entry{
		Invocation: id, Attempt: 1, Namespace: "team", Function: "f", Pool: "lambda", Cloud: true, Currency: "USD",
		Reason: spillway.ReasonOverflowQuota, Admitted: at, Posted: at, Resources: spillway.Resources{Slots: 1, MiB: 128}, Outcome: spillway.Executed,
	}
}

func TestRequestKeys(t *testing.T) {
	line := func(kind billing.Kind, key string) billing.Entry { return billing.Entry{Kind: kind, RequestKey: key} }
	got := requestKeys(ledger.Restored{
		Recent: []billing.Entry{
			line(billing.KindIntent, "refused"), line(billing.KindVoid, "refused"),
			line(billing.KindIntent, "ran"), line(billing.KindCharge, "ran"), line(billing.KindEstimate, "unknown"),
		},
		Open: []billing.Entry{line(billing.KindIntent, "open"), line(billing.KindIntent, "")},
	})
	if want := []string{"open", "ran", "unknown"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestExplainedFromLines reads two attempts of one call, the first refused by the
// provider and the second run.
func TestExplainedFromLines(t *testing.T) {
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	intent, void, again := cloudLine("id", at), cloudLine("id", at), cloudLine("id", at)
	intent.Kind, intent.Reserved, void.Kind = billing.KindIntent, 5, billing.KindVoid
	again.Kind, again.Attempt, again.Pool, again.Cloud, again.Amount = billing.KindCharge, 2, "onprem", false, billing.DecimalOf(7)
	x := explanationOf("id", []billing.Entry{intent, void, again})
	if x.Outcome != "executed" || x.Pool != "onprem" || len(x.Attempts) != 2 ||
		x.Attempts[0].Outcome != "not_executed" || x.Attempts[1].Cost != "0.000000007000000000" {
		t.Errorf("got %+v", x)
	}
}

// TestOneCurrency wants a report to refuse sums over two currencies.
func TestOneCurrency(t *testing.T) {
	data, now := t.TempDir(), time.Now()
	l, err := ledger.Open(data, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dollars, yuan := cloudLine("a", now), cloudLine("b", now.Add(time.Millisecond))
	dollars.Kind, yuan.Kind, yuan.Currency = billing.KindCharge, billing.KindCharge, "CNY"
	if err := errors.Join(l.Post(&dollars), l.Post(&yuan), l.Close()); err != nil {
		t.Fatal(err)
	}
	if b, err := billFromLedger(context.Background(), data, period{by: billing.ByPool, to: now.Add(time.Hour)}); err == nil {
		t.Errorf("added up to %s", b.Total.Text('f'))
	}
}

// TestChangeThatIsNotKept serves nothing of itself, and what served goes on.
func TestChangeThatIsNotKept(t *testing.T) {
	a := wired(t, budgeted, t.TempDir())
	if err := os.WriteFile(filepath.Join(dirOf(a), "more.yaml"), []byte("apiVersion: spillway.dev/v1alpha1\nkind: Quota\nmetadata: {name: other}\nspec: {namespaces: [other]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, full := a.server.Platform(), errors.New("disk full")
	a.live.mu.Lock()
	defer a.live.mu.Unlock()
	said, err := a.loadAndServe(t.Context(), additions{}, func() error { return full })
	if !errors.Is(err, full) || a.server.Platform() != before || said.Generation != before.Generation {
		t.Errorf("%v; generation %d serves, %d is said", err, a.server.Platform().Generation, said.Generation)
	}
	kept := 0
	if said, err = a.loadAndServe(t.Context(), additions{}, func() error { kept++; return nil }); err != nil || kept != 1 || a.server.Platform() == before || !said.Changed {
		t.Errorf("kept %d times; %+v (%v)", kept, said, err)
	}
}
