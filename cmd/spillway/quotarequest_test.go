package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config/requested"
)

func TestQuotaSummary(t *testing.T) {
	f := &v1alpha1.QuotaSimulation{
		Length: v1alpha1.Duration(7 * 24 * time.Hour), Currency: "CNY",
		Asked:   v1alpha1.QuotaOutcome{Placed: 1000, Overflow: 42, WaitP95: v1alpha1.Duration(11500 * time.Microsecond), BurstCost: "723.333333333333333333"},
		Present: v1alpha1.QuotaOutcome{Placed: 990, Refused: 10, WaitP95: v1alpha1.Duration(90 * time.Second), BurstCost: "0"},
	}
	got, err := quotaSummary(f)
	if want := "P95 wait 12 ms, burst 3,100 CNY/month, 4.2 % overflow, 0 % refused; with the present limits: P95 wait 1m30s, burst 0 CNY/month, 0 % overflow, 1 % refused"; got != want || err != nil {
		t.Errorf("got %s (%v)\nwant %s", got, err, want)
	}
	f.Present = f.Asked
	if got, _ := quotaSummary(f); !strings.HasSuffix(got, ", as with the present limits") {
		t.Errorf("got %s", got)
	}
	f.Asked.BurstCost = "much"
	if _, err := quotaSummary(f); err == nil {
		t.Error("an amount that is none is summed up")
	}
}

func TestBurstText(t *testing.T) {
	for _, test := range []struct {
		cost   string
		length time.Duration
		want   string
	}{
		{"1", 30 * 24 * time.Hour, "1.00 USD/month"},
		{"1", 10 * 24 * time.Hour, "3.00 USD/month"},
		{"0.0000001", 10 * 24 * time.Hour, "<0.01 USD/month"},
		{"33.333", 24 * time.Hour, "999.99 USD/month"},
		{"1234567.5", 30 * 24 * time.Hour, "1,234,568 USD/month"},
		{"12", 23 * time.Hour, "12.00 USD in 23h0m0s"},
		{"0", 0, "0 USD in 1s"},
	} {
		if got, err := burstText(test.cost, "USD", test.length); got != test.want || err != nil {
			t.Errorf("%s in %s: %s (%v), want %s", test.cost, test.length, got, err, test.want)
		}
	}
}

func TestShareText(t *testing.T) {
	for _, test := range []struct {
		part, whole int64
		want        string
	}{{0, 0, "0 %"}, {0, 9, "0 %"}, {1, 1, "100 %"}, {1, 3, "33.3 %"}, {1, 1_000_000, "<0.1 %"}, {999_999, 1_000_000, ">99.9 %"}, {42, 1000, "4.2 %"}} {
		if got := shareText(test.part, test.whole); got != test.want {
			t.Errorf("%d of %d: %s, want %s", test.part, test.whole, got, test.want)
		}
	}
}

const decided = `apiVersion: spillway.dev/v1alpha1
kind: Server
metadata: {name: server}
spec: {auth: {tokens: [{tokenFrom: {env: SPILLWAY_TEST_DEV}, identity: dev, invoke: ["*"]}, {tokenFrom: {env: SPILLWAY_TEST_BOSS}, identity: boss, invoke: ["*"]}]}}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: f, namespace: team}
spec: {revisions: [{name: v1, package: {path: fn}}], resources: {memory: 128Mi}}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec: {approvers: [boss], nominal: {onPrem: {slots: 100}}}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: team}
spec: {parent: company, namespaces: [team], nominal: {onPrem: {slots: 4}}, lendingLimit: {onPrem: {slots: 0}}}
`

const oneCall = "admitted,namespace,function,revision,department,pool,reason,outcome,duration_us,init_us,memory_mib,milli_cpu,billed_ms,amount,currency,waited_us\n" +
	"2026-01-01T00:00:00Z,team,f,v1,d,onprem,preferred,executed,5000,0,128,100,5,0,USD,0\n"

const (
	devToken  = "token-of-the-developer"
	bossToken = "token-of-the-boss-1234"
)

// decidedServer serves decided from a directory with a package.
func decidedServer(t *testing.T) *app {
	t.Helper()
	t.Setenv("SPILLWAY_TEST_DEV", devToken)
	t.Setenv("SPILLWAY_TEST_BOSS", bossToken)
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "fn"), 0o755), os.WriteFile(filepath.Join(dir, "fn", "bootstrap"), []byte("#!/bin/sh\n"), 0o755),
		os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(decided), 0o600)); err != nil {
		t.Fatal(err)
	}
	return wiredIn(t, dir, t.TempDir())
}

// post asks the admin port as who has token, and returns the status and what it said.
func postQuota(t *testing.T, a *app, token, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/v1/quota/requests"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:4000"
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := &deadlined{httptest.NewRecorder()}
	a.admin.Handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// deadlined is a recorder whose request may be given a deadline.
type deadlined struct{ *httptest.ResponseRecorder }

func (d *deadlined) SetReadDeadline(time.Time) error { return nil }

// approved has a request of these limits approved.
func approved(t *testing.T, a *app, name, spec string) {
	t.Helper()
	simulated(t, a, name, spec)
	if code, said := approve(t, a, name); code != http.StatusOK {
		t.Fatalf("%s: %d %s", name, code, said)
	}
}

// simulated has limits asked for, and the request simulated.
func simulated(t *testing.T, a *app, name, spec string) {
	t.Helper()
	for _, step := range [][2]string{{"", spec}, {"/" + name + "/simulation", oneCall}} {
		if code, said := postQuota(t, a, devToken, step[0], step[1]); code/100 != 2 || strings.Contains(said, `"error"`) {
			t.Fatalf("%s: %d %s", step[0], code, said)
		}
	}
}

// approve lets the boss approve on the latest report.
func approve(t *testing.T, a *app, name string) (int, string) {
	t.Helper()
	r, err := a.requested.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	return postQuota(t, a, bossToken, "/"+name+"/approval", `{"comment": "ok", "report": "`+r.Status.Simulation.Report+`"}`)
}

func teamSlots(a *app) int64 { return slotsOf(a, "team") }

func slotsOf(a *app, quota string) int64 {
	for _, q := range a.server.Platform().Quotas {
		if q.Name == quota {
			return q.Nominal[spillway.ClassOnPrem].Slots
		}
	}
	return -1
}

// TestApprovalEnds wants limits to go by themselves at their end, also if that comes
// before anything else that the server waits for.
func TestApprovalEnds(t *testing.T) {
	a := decidedServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan struct{})
	go func() { defer close(followed); a.follow(ctx) }()
	defer func() { cancel(); <-followed }()
	until := time.Now().Add(10 * time.Second).UTC().Format(time.RFC3339Nano)
	approved(t, a, "qr-1", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 8}}, "until": "`+until+`"}`)
	if got := teamSlots(a); got != 8 {
		t.Fatalf("%d slots once approved", got)
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for late := time.After(readyWithin); teamSlots(a) != 4; {
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("%d slots long after the end", teamSlots(a))
		}
	}
	var view quotaRequestView
	get(t, a, "/v1/quota/requests/qr-1", &view)
	if view.Applies || !strings.HasPrefix(view.Why, "it ended ") {
		t.Errorf("shown as %+v", view)
	}
}

// TestApprovalIsTold: whoever keeps limits elsewhere is told of what was approved, as long
// as it holds.
func TestApprovalIsTold(t *testing.T) {
	a := decidedServer(t)
	told := func(quota string) *kube.Approved {
		use, known := useOf(a.server.View(), *a.live.approved.Load()).Quotas[quota]
		if !known {
			t.Fatalf("nothing is told of %s", quota)
		}
		return use.Approved
	}
	if is := told("team"); is != nil {
		t.Errorf("nothing was approved, and told is %+v", is)
	}
	approved(t, a, "qr-1", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 8}}}`)
	if is := told("team"); is == nil || is.Base != a.loaded.QuotaBase("team") || is.Nominal.OnPrem == nil || *is.Nominal.OnPrem.Slots != 8 {
		t.Errorf("told is %+v", is)
	}
	if is := told("company"); is != nil {
		t.Errorf("of another it tells %+v", is)
	}
	if code, said := postQuota(t, a, bossToken, "/qr-1/revocation", `{"comment": "too much"}`); code != http.StatusOK {
		t.Fatalf("%d %s", code, said)
	}
	if is := told("team"); is != nil {
		t.Errorf("it was revoked, and told is %+v", is)
	}
}

func get(t *testing.T, a *app, path string, into any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
	r.RemoteAddr = "127.0.0.1:4000"
	w := httptest.NewRecorder()
	a.admin.Handler.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), into); w.Code != http.StatusOK || err != nil {
		t.Fatalf("%s: %d %s (%v)", path, w.Code, w.Body, err)
	}
}

// TestApprovalThatIsAtFault does not fit a change of the directory: the fault names
// the request, and revoking it is the way out.
func TestApprovalThatIsAtFault(t *testing.T) {
	a := decidedServer(t)
	approved(t, a, "qr-1", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 50}}}`)
	less := strings.Replace(decided, "slots: 100", "slots: 20", 1)
	if err := os.WriteFile(filepath.Join(dirOf(a), "all.yaml"), []byte(less), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := a.reloadNow(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the limits of qr-1") || !strings.Contains(err.Error(), "quota revoke") || teamSlots(a) != 50 {
		t.Fatalf("%d slots, %v", teamSlots(a), err)
	}
	if code, said := postQuota(t, a, bossToken, "/qr-1/revocation", `{"comment": "too much"}`); code != http.StatusOK {
		t.Fatalf("%d %s", code, said)
	}
	if teamSlots(a) != 4 {
		t.Errorf("%d slots", teamSlots(a))
	}
}

// TestSimulationIsTheSame runs one twice: same calls, same report.
func TestSimulationIsTheSame(t *testing.T) {
	a := decidedServer(t)
	if code, said := postQuota(t, a, devToken, "", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 8}}}`); code != http.StatusCreated {
		t.Fatal(code, said)
	}
	var calls bytes.Buffer
	calls.WriteString(oneCall)
	for range 6 {
		calls.WriteString(strings.SplitAfter(oneCall, "\n")[1])
	}
	reports := map[string]bool{}
	for range 2 {
		if _, said := postQuota(t, a, devToken, "/qr-1/simulation", calls.String()); strings.Contains(said, `"error"`) {
			t.Fatal(said)
		}
		r, err := a.requested.Read("qr-1")
		if err != nil {
			t.Fatal(err)
		}
		reports[r.Status.Simulation.Report] = true
		if s := r.Status.Simulation; s.Calls != 7 || s.Asked.Placed != 7 || s.Asked.WaitP95 > s.Present.WaitP95 {
			t.Errorf("found %+v", s)
		}
	}
	if len(reports) != 1 {
		t.Errorf("reports: %v", reports)
	}
	if left, _ := filepath.Glob(filepath.Join(a.loaded.Server.DataDir, "requests", ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestQuotaPortRefuses(t *testing.T) {
	a := decidedServer(t)
	approved(t, a, "qr-1", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 8}}}`)
	for _, test := range []struct {
		token, path, body string
		code              int
		says              string
	}{
		{"", "", `{}`, 403, "Authorization"},
		{"no-such-token-here", "/qr-1/revocation", `{"comment": "c"}`, 403, "not known"},
		{devToken, "/qr-1/revocation", `{"comment": "c"}`, 403, "dev may not decide"},
		{devToken, "/qr-7/simulation", "", 404, "no such request"},
		{devToken, "/qr-1/simulation?days=0", "", 422, "allowed: 1 to 90"},
		{devToken, "/qr-1/simulation?days=many", "", 422, "allowed: 1 to 90"},
		{devToken, "", `{"quota": 5}`, 422, "cannot be read"},
		{devToken, "", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 9}}} {"until": "2030-01-01T00:00:00Z"}`, 422, "more after its end"},
		{bossToken, "/qr-1/revocation", `{"comment": "c", "report": "sha256:1"}`, 422, "of an approval only"},
		{devToken, "", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"memory": "lots"}}}`, 422, "cannot be read"},
		{devToken, "", strings.Repeat("x", maxQuotaBody+1), 413, "too large"},
		{bossToken, "/qr-1/revocation", `{"comment": ""}`, 422, "a decision is recorded with one"},
		{bossToken, "/%2e%2e%2fx/denial", `{"comment": "c"}`, 404, "no such request"},
	} {
		if code, said := postQuota(t, a, test.token, test.path, test.body); code != test.code || !strings.Contains(said, test.says) {
			t.Errorf("%s %.80s: %d %s", test.path, test.body, code, said)
		}
		if teamSlots(a) != 8 {
			t.Fatalf("%s %.80s changes the limits", test.path, test.body)
		}
	}
}

// TestOneSimulationAtATime refuses a second one, since each takes a core.
func TestOneSimulationAtATime(t *testing.T) {
	a := decidedServer(t)
	if code, said := postQuota(t, a, devToken, "", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 8}}}`); code != http.StatusCreated {
		t.Fatal(code, said)
	}
	a.simulating.Lock()
	defer a.simulating.Unlock()
	if code, said := postQuota(t, a, devToken, "/qr-1/simulation", ""); code != http.StatusConflict || !strings.Contains(said, "try again") {
		t.Errorf("%d %s", code, said)
	}
}

// TestAskerIsWhoHasTheToken lets nobody ask in another's name.
func TestAskerIsWhoHasTheToken(t *testing.T) {
	a := decidedServer(t)
	if code, said := postQuota(t, a, bossToken, "", `{"quota": "team", "requester": "dev", "reason": "r", "nominal": {"onPrem": {"slots": 8}}}`); code != http.StatusCreated {
		t.Fatal(code, said)
	}
	r, err := a.requested.Read("qr-1")
	if err != nil || r.Spec.Requester != "boss" || !requested.Undecided(r) {
		t.Errorf("%+v (%v)", r, err)
	}
}
