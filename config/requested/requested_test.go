package requested

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/config"
)

const tree = `apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec: {approvers: [boss, dev], nominal: {onPrem: {slots: 100}}}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: team}
spec: {parent: company, namespaces: [team], nominal: {onPrem: {slots: 4}}, budgets: [{window: day, amount: 3, currency: USD}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: lone}
spec: {namespaces: [lone]}
`

var start = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// bench is a store over a configuration directory, and a clock.
type bench struct {
	t     fatal
	dir   string
	store *Store
	now   time.Time
}

type fatal interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func newBench(t fatal, data, dir string) *bench {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "quota.yaml"), []byte(tree), 0o600); err != nil {
		t.Fatal(err)
	}
	return &bench{t, dir, Open(filepath.Join(data, "requests")), start}
}

func (b *bench) load() *config.Loaded {
	b.t.Helper()
	all, err := b.store.All()
	if err != nil {
		b.t.Fatal(err)
	}
	l, err := config.Load(b.dir, b.now, config.Checks{QuotaOverlays: Overlays(all)})
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

// step is a second later than the one before.
func (b *bench) step(by string) Step {
	b.now = b.now.Add(time.Second)
	return Step{At: b.now, By: by, Comment: "because"}
}

func slots(n int64) v1alpha1.Nominal {
	return v1alpha1.Nominal{OnPrem: &v1alpha1.Capacity{Slots: &n}}
}

func (b *bench) ask(quota string, n v1alpha1.Nominal) *v1alpha1.QuotaRequest {
	b.t.Helper()
	c, err := b.store.Ask(b.load(), b.step("dev"), v1alpha1.QuotaRequestSpec{Quota: quota, Nominal: n, Reason: "more"})
	return b.commit(c, err)
}

func (b *bench) commit(c *Candidate, err error) *v1alpha1.QuotaRequest {
	b.t.Helper()
	if err == nil {
		err = c.Commit()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return c.Request
}

func (b *bench) simulate(r *v1alpha1.QuotaRequest) {
	b.t.Helper()
	found := &v1alpha1.QuotaSimulation{At: b.now, Base: b.load().QuotaNow(r.Spec.Quota), Summary: "P95 wait 12 ms", Present: v1alpha1.QuotaOutcome{BurstCost: "0"}, Asked: v1alpha1.QuotaOutcome{BurstCost: "0"}}
	if _, err := b.store.Simulated(b.load(), r.Metadata.Name, b.step("dev"), found, []byte(`{"of": "`+r.Metadata.Name+`"}`)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) approve(r *v1alpha1.QuotaRequest) *v1alpha1.QuotaRequest {
	b.t.Helper()
	return b.commit(b.tryApprove(r.Metadata.Name, b.step("boss")))
}

// tryApprove approves on the report that the request has now.
func (b *bench) tryApprove(name string, step Step) (*Candidate, error) {
	if r, err := b.store.Read(name); err == nil && r.Status.Simulation != nil {
		step.Report = r.Status.Simulation.Report
	}
	return b.store.Approve(b.load(), name, step)
}

func (b *bench) slots(quota string) int64 {
	b.t.Helper()
	return *b.load().Quota(quota).Spec.Nominal.OnPrem.Slots
}

func TestLifeOfARequest(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	r := b.ask("team", slots(8))
	if r.Metadata.Name != "qr-1" || r.Status.Phase != v1alpha1.PhaseAsked || b.slots("team") != 4 {
		t.Fatalf("asked: %+v; %d slots", r, b.slots("team"))
	}
	b.simulate(r)
	r = b.approve(r)
	if b.slots("team") != 8 {
		t.Errorf("%d slots once approved", b.slots("team"))
	}
	kept, err := Open(b.store.dir).Read("qr-1")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := asJSON(t, kept), asJSON(t, r); got != want {
		t.Errorf("kept %s, was %s", got, want)
	}
	var story []string
	for _, e := range kept.Status.History {
		story = append(story, e.By+" "+e.What)
	}
	if got := strings.Join(story, ", "); got != "dev asked, dev simulated, boss approved" {
		t.Errorf("history: %s", got)
	}
	e := kept.Status.History[2]
	if *e.Before.Nominal.OnPrem.Slots != 4 || *e.After.Nominal.OnPrem.Slots != 8 || e.Summary != "P95 wait 12 ms" || !strings.HasPrefix(e.Report, "sha256:") {
		t.Errorf("approval is recorded as %s", asJSON(t, e))
	}
	report, err := os.ReadFile(filepath.Join(b.store.dir, "reports", strings.TrimPrefix(e.Report, "sha256:")+".json"))
	if err != nil || string(report) != `{"of": "qr-1"}` {
		t.Errorf("report %q, %v", report, err)
	}
	revoked := b.commit(b.store.Revoke(b.load(), "qr-1", b.step("boss")))
	if e := revoked.Status.History[3]; b.slots("team") != 4 || *e.Before.Nominal.OnPrem.Slots != 8 || *e.After.Nominal.OnPrem.Slots != 4 {
		t.Errorf("revoked: %d slots, %s", b.slots("team"), asJSON(t, e))
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWhoMayDecide(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	b.simulate(b.ask("team", slots(8)))
	b.simulate(b.ask("lone", slots(8)))
	b.ask("team", slots(9))
	refused := func(err error, says string) {
		t.Helper()
		var f Forbidden
		var p Problem
		if !errors.As(err, &f) && !errors.As(err, &p) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
	approve := func(name string, s Step) error { _, err := b.tryApprove(name, s); return err }
	deny := func(name string, s Step) error { _, err := b.store.Deny(b.load(), name, s); return err }
	refused(approve("qr-1", b.step("other")), "other may not decide on requests for Quota team; its approvers are boss, dev (of Quota company)")
	refused(approve("qr-1", b.step("dev")), "dev asked for qr-1 and cannot approve it")
	refused(approve("qr-1", b.step("anonymous")), "needs an identity")
	refused(approve("qr-2", b.step("boss")), "write 'approvers: [IDENTITY]' into its spec")
	refused(approve("qr-3", b.step("boss")), "was not simulated")
	refused(approve("qr-1", Step{At: b.now, By: "boss"}), "a decision is recorded with one")
	refused(approve("qr-1", Step{At: b.now, By: "boss", Comment: "\x1b[2J"}), "a decision is recorded with one")
	refused(deny("qr-1", b.step("other")), "may not decide")
	_, err := b.store.Revoke(b.load(), "qr-1", b.step("boss"))
	refused(err, "only an approved one")
	if b.slots("team") != 4 {
		t.Error("a refused decision counts")
	}
	if err := deny("qr-1", b.step("dev")); err != nil {
		t.Errorf("the requester cannot take it back: %v", err)
	}
	refused(approve("qr-1", b.step("boss")), "was denied already")
	for _, name := range []string{"qr-9", "qr-0", "../qr-1", "", "qr-1.yaml", "qr-99999999999999999999"} {
		if err := approve(name, b.step("boss")); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSimulationOfOtherLimitsDoesNotCount(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	first, second := b.ask("team", slots(8)), b.ask("team", v1alpha1.Nominal{OnPrem: &v1alpha1.Capacity{CPU: new(v1alpha1.MilliCPU(500))}})
	b.simulate(first)
	b.simulate(second)
	b.approve(first)
	if _, err := b.tryApprove(second.Metadata.Name, b.step("boss")); err == nil || !strings.Contains(err.Error(), "was changed since the simulation of qr-2") {
		t.Errorf("got %v", err)
	}
	b.simulate(second)
	b.approve(second)
	if l := b.load(); b.slots("team") != 8 || *l.Quota("team").Spec.Nominal.OnPrem.CPU != 500 {
		t.Errorf("limits: %s", asJSON(t, l.Quota("team")))
	}
}

func TestAskRefuses(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	past := start
	amount := new(v1alpha1.Amount(1))
	for says, spec := range map[string]v1alpha1.QuotaRequestSpec{
		`there is no Quota "nowhere"`: {Quota: "nowhere", Nominal: slots(1), Reason: "r"},
		"reason: is required":         {Quota: "team", Nominal: slots(1), Reason: " \n"},
		"reason: allowed":             {Quota: "team", Nominal: slots(1), Reason: strings.Repeat("r", maxText+1)},
		"until: 2026-11-01T00":        {Quota: "team", Nominal: slots(1), Reason: "r", Until: &past},
		"has these limits already":    {Quota: "team", Nominal: slots(4), Reason: "r"},
		"budgets: allowed":            {Quota: "team", Reason: "r", Budgets: []v1alpha1.Budget{{Window: "day"}}},
		"one for each window":         {Quota: "team", Reason: "r", Budgets: []v1alpha1.Budget{{Window: "day", Amount: amount}, {Window: "day", Amount: amount}}},
	} {
		var p Problem
		if _, err := b.store.Ask(b.load(), b.step("dev"), spec); !errors.As(err, &p) || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	for range maxOpenOfQuota {
		b.ask("team", slots(1))
	}
	if _, err := b.store.Ask(b.load(), b.step("dev"), v1alpha1.QuotaRequestSpec{Quota: "team", Nominal: slots(1), Reason: "r"}); err == nil || !strings.Contains(err.Error(), "20 requests for Quota team are open") {
		t.Errorf("got %v", err)
	}
}

// TestBudgetsAreSpelledOut wants what a Quota leaves out to be written down when it is
// asked for, since it may be other later.
func TestBudgetsAreSpelledOut(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	one := new(v1alpha1.Amount(1_000_000_000))
	c, err := b.store.Ask(b.load(), b.step("dev"), v1alpha1.QuotaRequestSpec{Quota: "team", Reason: "r", Budgets: []v1alpha1.Budget{{Window: "month", Amount: one}, {Window: "day", Amount: one, AtLimit: "redirect"}}})
	r := b.commit(c, err)
	want := []v1alpha1.Budget{{Window: "day", Amount: one, Currency: "USD", TimeZone: "UTC", AtLimit: "redirect"}, {Window: "month", Amount: one, Currency: "USD", TimeZone: "UTC", AtLimit: "reject"}}
	if !reflect.DeepEqual(r.Spec.Budgets, want) {
		t.Errorf("got %s", asJSON(t, r.Spec.Budgets))
	}
}

// TestFilesThatAreDamaged are said by name; limits are never guessed.
func TestFilesThatAreDamaged(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	r := b.ask("team", slots(8))
	file := b.store.file(r.Metadata.Name)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{", string(good[:len(good)/2]), strings.Replace(string(good), "asked", "aproved", 1), strings.Replace(string(good), "reason", "raeson", 1),
		strings.Replace(string(good), "qr-1", "qr-2", 1), strings.Replace(string(good), "QuotaRequest", "Quota", 1), strings.Replace(string(good), `"slots": 8`, `"slots": "many"`, 1)} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := b.store.All(); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "mend the file") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestWhatIsNotCommittedDoesNotCount(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	r := b.ask("team", slots(8))
	b.simulate(r)
	c, err := b.tryApprove("qr-1", b.step("boss"))
	if err != nil || len(c.Overlays) != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	if kept, err := b.store.Read("qr-1"); err != nil || kept.Status.Phase != v1alpha1.PhaseSimulated || b.slots("team") != 4 {
		t.Errorf("%+v, %v", kept, err)
	}
	if left, err := filepath.Glob(filepath.Join(b.store.dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// few sets how many cases rapid draws in this test.
func few(t *testing.T, n int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := checks.Value.Set(fmt.Sprint(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(before) })
}

// TestLimitsAreOfTheLatestApproval draws requests, decisions, ends and restarts, and
// compares what holds with a list of what was approved.
func TestLimitsAreOfTheLatestApproval(t *testing.T) {
	few(t, 30) // each one waits for the disk
	data := t.TempDir()
	dirs := 0
	rapid.Check(t, func(t *rapid.T) {
		dirs++
		dir := filepath.Join(data, fmt.Sprint(dirs))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		b := newBench(t, dir, dir)
		var approved []*v1alpha1.QuotaRequest // in their order
		most := int64(10)
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			most++ // never what the Quota has already
			r := b.ask("team", slots(most))
			switch rapid.SampledFrom([]string{"leave", "deny", "approve", "revoke", "reopen"}).Draw(t, "then") {
			case "deny":
				if _, err := b.store.Deny(b.load(), r.Metadata.Name, b.step("boss")); err != nil {
					t.Fatal(err)
				}
			case "approve":
				b.simulate(r)
				approved = append(approved, b.approve(r))
			case "revoke":
				if len(approved) > 0 {
					at := rapid.IntRange(0, len(approved)-1).Draw(t, "which")
					b.commit(b.store.Revoke(b.load(), approved[at].Metadata.Name, b.step("boss")))
					approved = append(approved[:at:at], approved[at+1:]...)
				}
			case "reopen":
				b.store = Open(b.store.dir)
			}
			want := int64(4)
			if n := len(approved); n > 0 {
				want = *approved[n-1].Spec.Nominal.OnPrem.Slots
			}
			if got := b.slots("team"); got != want {
				t.Fatalf("%d slots, want %d", got, want)
			}
		}
	})
}

// TestNobodyKnowsWhoAsked: what nobody's name stands behind could be the approver's own.
func TestNobodyKnowsWhoAsked(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	c, err := b.store.Ask(b.load(), b.step(auth.AnonymousName), v1alpha1.QuotaRequestSpec{Quota: "team", Reason: "r", Nominal: slots(8)})
	r := b.commit(c, err)
	b.simulate(r)
	if _, err := b.tryApprove(r.Metadata.Name, b.step("boss")); err == nil || !strings.Contains(err.Error(), "nobody knows who asked") {
		t.Errorf("approved: %v", err)
	}
}
