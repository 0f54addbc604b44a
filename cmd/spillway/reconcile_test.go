package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/ledger"
	"github.com/spillway-dev/spillway/billing/sqlite"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

const reconcileKey, reconcileSecret = "AKIARECONCILE", "canary-reconcile"

// twoClouds are the stand-ins and the configuration that calls them: a function of
// its own in each, and one function in one cloud under two names of ours.
func twoClouds(t *testing.T) (lambda, scf *cloud.Server, yaml string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("bootstrap", "#!/bin/sh\n")
	start := func(provider, name string) (*cloud.Server, string) {
		s, err := cloud.New(cloud.Config{Provider: provider, Keys: map[string]string{reconcileKey: reconcileSecret}, Functions: []cloud.Function{{
			Name: name, Qualifiers: map[string]string{"live": "1"}, MiB: 128, Timeout: time.Second,
			Handle: func(ctx context.Context, e cloud.Event) ([]byte, error) {
				var want struct{ Ms int }
				_ = json.Unmarshal(e.Payload, &want)
				select {
				case <-time.After(time.Duration(want.Ms) * time.Millisecond): // it is billed for it
				case <-ctx.Done():
				}
				return e.Payload, nil
			},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewServer(s)
		t.Cleanup(func() { web.CloseClientConnections(); _ = s.Close(); web.Close() })
		return s, web.URL
	}
	lambda, lambdaURL := start(cloud.Lambda, "east")
	scf, scfURL := start(cloud.SCF, "south")
	yaml = fmt.Sprintf(`apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: retail}
spec: {department: retail, namespaces: [shop], budgets: [{window: month, amount: "1000", currency: USD, timeZone: UTC, atLimit: reject}]}
---
apiVersion: spillway.dev/v1alpha1
kind: PriceBook
metadata: {name: prices}
spec:
  currency: USD
  exchangeRates: [{from: CNY, to: USD, rate: "0.14", date: 2026-01-01, source: treasury}]
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: lambda}
spec: {kind: lambda, region: us-east-1, initTimeout: 100ms, limits: {concurrency: 200, rampPer10s: 1000}, lambda: {endpoint: %q, credentials: {file: %s}}}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: scf}
spec: {kind: scf, region: ap-guangzhou, initTimeout: 100ms, limits: {memory: 128000Mi, rampPerMinute: 500}, scf: {endpoint: %q, credentials: {file: %s}}}
`, lambdaURL, write("aws", "[default]\naws_access_key_id = "+reconcileKey+"\naws_secret_access_key = "+reconcileSecret+"\n"),
		scfURL, write("tencent", "[default]\nsecret_id = "+reconcileKey+"\nsecret_key = "+reconcileSecret+"\n"))
	for _, f := range [][3]string{{"one", "lambda", "east"}, {"two", "scf", "south"}, {"three", "scf", "south"}} {
		yaml += fmt.Sprintf(`---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: %[1]s}
spec: {mode: CloudOnly, order: [%[2]s], maxBurstSpend: [{window: month, amount: "100"}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: %[1]s, namespace: shop}
spec:
  revisions: [{name: v1, package: {path: %[4]s}}]
  resources: {cpu: 100m, memory: 128Mi}
  timeout: 1s
  burst: allow
  burstPolicy: %[1]s
  cloud: [{pool: %[2]s, function: %[3]s, qualifier: live, memory: 128Mi, timeout: 1s}]
`, f[0], f[1], f[2], dir)
	}
	return lambda, scf, yaml
}

// lines are what the ledger has of a cloud pool.
func cloudLines(t *testing.T, a *app, pool string) []billing.Entry {
	t.Helper()
	var all []billing.Entry
	for e, err := range a.ledger.Lines(t.Context(), sqlite.Filter{Cloud: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Pool == pool {
			all = append(all, e)
		}
	}
	return all
}

// TestReconcile loses answers of two clouds, before and after calls ran, and wants
// the ledger to equal both clouds' bills to the last digit afterwards, the budget to
// follow, and a second time to change nothing.
func TestReconcile(t *testing.T) {
	lambda, scf, yaml := twoClouds(t)
	a := wired(t, yaml, t.TempDir())
	admin := httptest.NewServer(a.admin.Handler)
	defer admin.Close()
	// Everything is older than the lag two hours later.
	later := http.NewServeMux()
	later.Handle("POST /v1/reconcile", a.reconcileAt(func() time.Time { return time.Now().Add(2 * time.Hour) }))
	old := httptest.NewServer(later)
	defer old.Close()

	call := func(name string, ms int) {
		if _, err := a.server.Invoke(t.Context(), server.Ask{
			Function: spillway.FunctionKey{Namespace: "shop", Name: name}, Caller: "tester", Payload: fmt.Appendf(nil, `{"Ms":%d}`, ms),
		}); err != nil {
			t.Error(err)
		}
	}
	for _, cloudServer := range []*cloud.Server{lambda, scf} {
		for kind, every := range map[cloud.Kind]int{cloud.ResetAfter: 4, cloud.ResetBefore: 5, cloud.ErrorAfter: 6, cloud.Truncated: 7} {
			if err := cloudServer.Inject(cloud.Fault{Kind: kind, Every: every}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 24 {
		call("one", i)
		call([]string{"two", "three"}[i%2], 40-i)
	}
	lambda.ClearFaults()
	scf.ClearFaults()
	call("one", 1) // what the log shows last
	call("two", 1)
	waitFor(t, "all outcomes", func() bool { return a.server.View().Unknown == 0 })

	before := a.server.View().Quotas[0].Budgets[0].Spent
	dry := runReconcile(t, old.URL, 0, "--dry-run", "-o", "json")
	young := runReconcile(t, admin.URL, 0, "--lag", "10m", "-o", "json")
	if dry.Estimates == 0 || dry.Ran == 0 || dry.NeverRan == 0 || dry.Ran+dry.NeverRan != dry.Estimates || dry.Problems != 0 ||
		young.Waiting != dry.Estimates || a.server.View().Quotas[0].Budgets[0].Spent != before {
		t.Fatalf("dry %+v, young %+v", dry, young)
	}
	said := runReconcile(t, old.URL, 0, "-o", "json")
	if said.Counts != dry.Counts || said.Estimated.Cmp(&dry.Estimated.Decimal) != 0 || said.Charged.Cmp(&dry.Charged.Decimal) != 0 || len(said.Functions) != 2 {
		t.Fatalf("dry %+v\nthen %+v", dry, said)
	}
	for pool, is := range map[string]struct {
		bill cloud.Bill
		rate string
	}{"lambda": {lambda.Bill(), "1"}, "scf": {scf.Bill(), "0.14"}} {
		lines := cloudLines(t, a, pool)
		sum, charges, ids := new(apd.Decimal), 0, map[string]bool{}
		exact := apd.BaseContext.WithPrecision(60)
		for _, e := range lines {
			if name := map[string]string{"lambda": "east", "scf": "south"}[pool]; e.CloudFunction != name {
				t.Errorf("a %s says that %q was called, not %s", e.Kind, e.CloudFunction, name)
			}
			if e.Kind == billing.KindCharge {
				charges++
				ids[e.Usage.ProviderID] = true
			}
			if _, err := exact.Add(sum, sum, &e.Amount); err != nil {
				t.Fatal(err)
			}
		}
		want, rate := decimalOf(t, is.bill.Total), decimalOf(t, is.rate)
		if _, err := exact.Mul(want, want, rate); err != nil {
			t.Fatal(err)
		}
		if sum.Cmp(want) != 0 || charges != is.bill.Executions {
			t.Errorf("%s: %d charges, %s in all; the cloud bills %d, %s", pool, charges, sum.Text('f'), is.bill.Executions, want.Text('f'))
		}
		for _, l := range is.bill.Lines {
			if !ids[l.RequestID] {
				t.Errorf("%s: execution %s is not charged", pool, l.RequestID)
			}
		}
	}
	to := spillway.InstantOf(time.Now())
	from, until := spillway.WindowMonth.Bounds(to, time.UTC)
	spent, err := a.ledger.Spent(t.Context(), []spillway.FunctionKey{{Namespace: "shop"}}, from, until)
	if after := a.server.View().Quotas[0].Budgets[0].Spent; err != nil || after != spent || after >= before {
		t.Errorf("%v: the budget has %s spent, before %s, the ledger %s", err, after, before, spent)
	}
	own, err := a.ledger.Spent(t.Context(), []spillway.FunctionKey{{Namespace: "shop", Name: "one"}}, from, until)
	for _, b := range a.server.View().Bursts {
		if b.Name == "one" && (err != nil || len(b.Spend) != 1 || b.Spend[0].Spent != own || own >= spent) {
			t.Errorf("%v: the burst policy has spent %+v, the ledger %s", err, b.Spend, own)
		}
	}
	again := runReconcile(t, old.URL, 0, "-o", "json")
	if again.Estimates != 0 || len(again.Functions) != 0 || a.ledger.Stats().Conflicts != 0 {
		t.Errorf("again: %+v, %+v", again, a.ledger.Stats())
	}
}

func decimalOf(t *testing.T, text string) *apd.Decimal {
	d, _, err := apd.NewFromString(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	late := time.After(time.Minute)
	for !is() {
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// runReconcile runs the command against an admin port and wants an exit code.
func runReconcile(t *testing.T, admin string, code int, args ...string) *reconciled {
	t.Helper()
	var out, errs bytes.Buffer
	command, err := execute(t.Context(), streams{in: strings.NewReader(""), out: &out, err: &errs}, append([]string{"reconcile", "--admin", admin}, args...))
	if got := exitCode(err); got != code || command != "spillway reconcile" {
		t.Fatalf("%v: exit code %d of %s: %v %s%s", args, got, command, err, &errs, &out)
	}
	said := new(reconciled)
	if err := json.Unmarshal(out.Bytes(), said); err != nil && code == 0 {
		t.Fatalf("%v: %v in %s", args, err, &out)
	}
	return said
}

// TestReconcileHere settles the ledger of a server that does not run. Where a log
// cannot be used it says what to do and posts nothing, which is exit code 1.
func TestReconcileHere(t *testing.T) {
	lambda, scf, yaml := twoClouds(t)
	conf, data := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(conf, "all.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := loadConfig(conf)
	if err != nil {
		t.Fatal(err)
	}
	sent := time.Now().Add(-5 * time.Hour)
	l, err := ledger.Open(data, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range [][2]string{{"one", "lambda"}, {"two", "scf"}, {"gone", "lambda"}} {
		e := cloudLine(fmt.Sprintf("0199f0c2-7c1a-7d3e-9c55-1f2e3d4c5b6%d", i), sent)
		e.Namespace, e.Function, e.Pool, e.Kind, e.Reserved, e.Deadline = "shop", f[0], f[1], billing.KindIntent, 5000, sent.Add(time.Minute)
		estimate := billing.EstimateOf(&e, sent.Add(time.Minute))
		if err := errors.Join(l.Intent(t.Context(), &e), l.Post(&estimate)); err != nil {
			t.Fatal(err)
		}
	}
	here := []string{"reconcile", "--config", conf, "--data", data}
	run := func(more ...string) (string, int) {
		var out, errs bytes.Buffer
		_, err := execute(t.Context(), streams{in: strings.NewReader(""), out: &out, err: &errs}, append(here, more...))
		if err != nil {
			fmt.Fprintln(&out, err)
		}
		return out.String(), exitCode(err)
	}
	if text, code := run(); code != 1 || !strings.Contains(text, "a server that runs does it without --config") {
		t.Errorf("beside a server: %d\n%s", code, text)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, code := run()
	for _, want := range []string{
		"there is no log group /aws/lambda/east: nothing of the function was ever logged",
		"the configuration has no such function, pool or binding any more",
		"1 without a trace, and no other call shows that the log is written",
		"0 estimates of 0 USD became 0 charges of 0; 0 never ran, 3 left as estimates",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if code != 1 || strings.Contains(text, reconcileSecret) {
		t.Errorf("exit code %d\n%s", code, text)
	}
	aws := strings.TrimPrefix(loaded.Platform.Pools[0].Lambda.CredentialsFrom, "file:")
	if err := os.WriteFile(aws, []byte("[default]\naws_access_key_id = "+reconcileKey+"\naws_secret_access_key = another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, code := run("-o", "yaml"); code != 1 || !strings.Contains(text, "credentials are wrong or have expired") || !strings.Contains(text, "problems: 2") {
		t.Errorf("a wrong secret: %d\n%s", code, text)
	}
	if lambda.Bill().Executions+scf.Bill().Executions != 0 {
		t.Error("a function was run")
	}
	store, err := openForReading(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if n, err := store.Count(t.Context()); err != nil || n.Lines != 6 || n.Conflicts != 0 {
		t.Errorf("%v: %+v, want the lines of before", err, n)
	}
}

// TestReconcilePort refuses what it does not understand.
func TestReconcilePort(t *testing.T) {
	a := wired(t, budgeted, t.TempDir())
	admin := httptest.NewServer(a.admin.Handler)
	defer admin.Close()
	for query, status := range map[string]int{
		"": 200, "?since=2h&lag=10m&dryRun=true": 200, "?lag=0s": 400, "?lag=9m59s": 400, "?since=1h&lag=1h": 400, "?since=-1h": 400, "?since=9999h": 400, "?lag=-1s": 400,
		"?dry-run=true": 400, "?lag=1h&lag=2h": 400, "?since=yesterday": 400,
	} {
		resp, err := http.Post(admin.URL+"/v1/reconcile"+query, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != status || !json.Valid(body) || status == 400 && !strings.Contains(string(body), `"message"`) {
			t.Errorf("%q: %d %s", query, resp.StatusCode, body)
		}
	}
	if resp, err := http.Get(admin.URL + "/v1/reconcile"); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("%v: GET gave %+v", err, resp)
	} else {
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestExplainReconciled: a call whose estimate was taken back cost nothing, one that
// was charged after all what it was charged.
func TestExplainReconciled(t *testing.T) {
	intent := cloudLine("id", time.Now())
	intent.Kind, intent.Reserved = billing.KindIntent, 5
	estimate := billing.EstimateOf(&intent, time.Now())
	back := billing.ReversalOf(&estimate, time.Now())
	if a := explanationOf("id", []billing.Entry{estimate, intent, back}); a.Outcome != "not_executed" || a.Attempts[0].Cost != "0" || len(a.Attempts) != 1 {
		t.Errorf("taken back: %+v", a)
	}
	charge := intent
	charge.Kind, charge.Outcome, charge.Amount = billing.KindCharge, spillway.Executed, billing.DecimalOf(3)
	if a := explanationOf("id", []billing.Entry{charge, estimate, intent, back}); a.Outcome != "executed" || a.Attempts[0].Cost != "0.000000003000000000" {
		t.Errorf("charged: %+v", a)
	}
	if a := explanationOf("id", []billing.Entry{estimate, intent}); a.Outcome != "unknown" {
		t.Errorf("open: %+v", a)
	}
}
