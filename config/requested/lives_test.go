package requested

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/auth"
)

// TestWhatIsNotSyncedIsNotChanged fails the last step of keeping a file: what was
// refused must not hold later.
func TestWhatIsNotSyncedIsNotChanged(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	r := b.ask("team", slots(8))
	b.simulate(r)
	c, err := b.tryApprove("qr-1", b.step("boss"))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk is gone")
	b.store.sync = func(string) error {
		if text, _ := os.ReadFile(b.store.file("qr-1")); strings.Contains(string(text), `"approved"`) {
			return broken
		}
		return nil
	}
	if err := c.Commit(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if kept, err := b.store.Read("qr-1"); err != nil || kept.Status.Phase != v1alpha1.PhaseSimulated || b.slots("team") != 4 {
		t.Errorf("kept as %+v (%v)", kept, err)
	}
	b.store.sync = func(string) error {
		if _, err := os.Stat(b.store.file("qr-2")); err == nil {
			return broken
		}
		return nil
	}
	c, err = b.store.Ask(b.load(), b.step("dev"), v1alpha1.QuotaRequestSpec{Quota: "team", Nominal: slots(9), Reason: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := b.store.Read("qr-2"); !errors.Is(err, ErrUnknown) {
		t.Errorf("kept: %v", err)
	}
}

// nothing is what a simulation of no calls finds.
func nothing() *v1alpha1.QuotaSimulation {
	return &v1alpha1.QuotaSimulation{Present: v1alpha1.QuotaOutcome{BurstCost: "0"}, Asked: v1alpha1.QuotaOutcome{BurstCost: "0"}}
}

// TestApprovalNamesItsNumbers refuses one on a report that is not the latest.
func TestApprovalNamesItsNumbers(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	r := b.ask("team", slots(8))
	b.simulate(r)
	step := b.step("boss")
	for report, says := range map[string]string{"": "report: is required", "sha256:5": "was simulated again"} {
		step.Report = report
		if _, err := b.store.Approve(b.load(), "qr-1", step); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", report, err)
		}
	}
}

// TestWhatCannotBeReadIsNotWritten, since nothing could be loaded then.
func TestWhatCannotBeReadIsNotWritten(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	b.ask("team", slots(8))
	if _, err := b.store.Simulated(b.load(), "qr-1", b.step("dev"), &v1alpha1.QuotaSimulation{}, nil); err == nil {
		t.Error("costs that are no number are kept")
	}
	b.load()
}

// TestWhoMaySimulate keeps others from putting their numbers under a request.
func TestWhoMaySimulate(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	r := b.ask("team", slots(8))
	for by, may := range map[string]bool{"dev": true, "boss": true, "other": false, auth.AnonymousName: false} {
		_, err := b.store.Simulated(b.load(), "qr-1", b.step(by), nothing(), nil)
		var f Forbidden
		if may != (err == nil) || !may && !errors.As(err, &f) {
			t.Errorf("%s: %v", by, err)
		}
	}
	if _, err := b.store.Deny(b.load(), r.Metadata.Name, b.step("dev")); err != nil {
		t.Error(err)
	}
	if _, err := b.store.Simulated(b.load(), "qr-1", b.step("dev"), nothing(), nil); err == nil || !strings.Contains(err.Error(), "was denied already") {
		t.Errorf("got %v", err)
	}
}

// TestLongHistoryCanBeDecided: simulations fill a history, decisions find room.
func TestLongHistoryCanBeDecided(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	for _, slot := range []int64{8, 9} {
		r := b.ask("team", slots(slot))
		for len(r.Status.History) < maxHistory-1 {
			note(r, b.step("dev"), v1alpha1.QuotaEvent{What: v1alpha1.PhaseSimulated})
		}
		if err := b.store.write(r); err != nil {
			t.Fatal(err)
		}
		b.simulate(r)
		if _, err := b.store.Simulated(b.load(), r.Metadata.Name, b.step("dev"), nothing(), nil); err == nil || !strings.Contains(err.Error(), "history of 200 entries") {
			t.Errorf("got %v", err)
		}
	}
	if _, err := b.store.Deny(b.load(), "qr-1", b.step("boss")); err != nil {
		t.Error(err)
	}
	b.commit(b.tryApprove("qr-2", b.step("boss")))
	b.commit(b.store.Revoke(b.load(), "qr-2", b.step("boss")))
}

// TestQuotaThatIsGone leaves requests that can be ended by those who had to do with them.
func TestQuotaThatIsGone(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	for range 2 {
		r := b.ask("team", slots(8))
		b.simulate(r)
	}
	b.commit(b.tryApprove("qr-1", b.step("boss")))
	nodes := strings.Split(tree, "---\n")
	for _, approvers := range []string{"[finance]", "[boss]"} {
		text := strings.Replace(nodes[0], "[boss, dev]", approvers, 1) + "---\n" + nodes[2]
		if err := os.WriteFile(filepath.Join(b.dir, "quota.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, by := range []string{"finance", "dev", "boss"} {
			if _, err := b.store.Revoke(b.load(), "qr-1", b.step(by)); (err == nil) != (by != "finance" || approvers == "[finance]") {
				t.Errorf("approvers %s: %s: %v", approvers, by, err)
			}
		}
	}
	_, err := b.store.Deny(b.load(), "qr-2", b.step("other"))
	var f Forbidden
	if !errors.As(err, &f) || !strings.Contains(err.Error(), "boss, dev may") {
		t.Errorf("got %v", err)
	}
	if _, err := b.store.Deny(b.load(), "qr-2", b.step("boss")); err != nil {
		t.Error(err)
	}
	b.commit(b.store.Revoke(b.load(), "qr-1", b.step("boss")))
}

// TestAskedWithinADay bounds what one identity can ask, whatever becomes of it.
func TestAskedWithinADay(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	for range maxAskedADay {
		if _, err := b.store.Deny(b.load(), b.ask("team", slots(8)).Metadata.Name, b.step("dev")); err != nil {
			t.Fatal(err)
		}
	}
	spec := v1alpha1.QuotaRequestSpec{Quota: "team", Nominal: slots(8), Reason: "r"}
	if _, err := b.store.Ask(b.load(), b.step("dev"), spec); err == nil || !strings.Contains(err.Error(), "dev asked 50 times within a day") {
		t.Errorf("got %v", err)
	}
	if _, err := b.store.Ask(b.load(), b.step("boss"), spec); err != nil {
		t.Errorf("another one: %v", err)
	}
	b.now = b.now.Add(24 * time.Hour)
	if _, err := b.store.Ask(b.load(), b.step("dev"), spec); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

// TestAnotherEnd can be asked for while limits hold that were approved.
func TestAnotherEnd(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	day := func(n int) *time.Time { return new(start.AddDate(0, 0, n)) }
	ask := func(slot int64, until *time.Time) (*v1alpha1.QuotaRequest, error) {
		c, err := b.store.Ask(b.load(), b.step("dev"), v1alpha1.QuotaRequestSpec{Quota: "team", Nominal: slots(slot), Until: until, Reason: "r"})
		if err != nil {
			return nil, err
		}
		return c.Request, c.Commit()
	}
	if _, err := ask(4, day(2)); err == nil {
		t.Error("limits of the directory are asked for, to an end")
	}
	first, err := ask(8, day(10))
	if err != nil {
		t.Fatal(err)
	}
	b.simulate(first)
	b.approve(first)
	if _, err := ask(8, day(10)); err == nil || !strings.Contains(err.Error(), "has these limits already") {
		t.Errorf("the same again: %v", err)
	}
	longer, err := ask(8, day(20))
	if err != nil {
		t.Fatal(err)
	}
	b.simulate(longer)
	b.approve(longer)
	if b.now = *day(15); b.slots("team") != 8 {
		t.Error("it ends in spite of the longer one")
	}
	if b.now = *day(20); b.slots("team") != 4 {
		t.Error("it does not end")
	}
}

// TestReportsOfEarlierSimulations go; those that decisions rest on stay.
func TestReportsOfEarlierSimulations(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	first, second := b.ask("team", slots(8)), b.ask("team", slots(9))
	simulate := func(r *v1alpha1.QuotaRequest, text string) string {
		t.Helper()
		r, err := b.store.Simulated(b.load(), r.Metadata.Name, b.step("dev"), nothing(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return r.Status.Simulation.Report
	}
	left := func(want ...string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(b.store.dir, "reports", "*"))
		if err != nil || len(files) != len(want) {
			t.Errorf("left: %v, want %v", files, want)
		}
		for _, report := range want {
			if _, err := os.Stat(b.store.reportFile(report)); err != nil {
				t.Error(err)
			}
		}
	}
	one := simulate(first, "one")
	simulate(second, "one")
	two := simulate(second, "two")
	left(one, two)
	three := simulate(first, "three")
	left(two, three)
	left(simulate(first, "three"), two)
}

// TestSweep removes what was on its way, and nothing else.
func TestSweep(t *testing.T) {
	b := newBench(t, t.TempDir(), t.TempDir())
	if err := b.store.Sweep(); err != nil {
		t.Errorf("without a directory: %v", err)
	}
	b.simulate(b.ask("team", slots(8)))
	trace, err := b.store.NewTrace()
	if err != nil {
		t.Fatal(err)
	}
	if err := trace.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".next-1", "reports/.next-2", fmt.Sprintf("reports/%064d.json", 0)} {
		if err := os.WriteFile(filepath.Join(b.store.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.store.Sweep(); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, pattern := range []string{"*", "reports/*"} {
		files, err := filepath.Glob(filepath.Join(b.store.dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, files...)
	}
	if len(left) != 3 || b.load() == nil { // the request, the directory of reports, the report
		t.Errorf("left: %v", left)
	}
}
