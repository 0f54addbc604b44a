package main

import (
	"context"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/examples/demo"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testStage is a stage whose programs are empty files.
func testStage(t *testing.T) *stage {
	t.Helper()
	programs := t.TempDir()
	names := []string{"spillway"}
	for folder, functions := range packages {
		for _, f := range functions {
			names = append(names, folder+"/"+f+"/bootstrap")
		}
	}
	for _, name := range names {
		path := filepath.Join(programs, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s, err := newStage(programs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.dir) })
	if _, err := s.configure(demo.Live{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestConfigurationFitsTheScript holds the files and the script together.
func TestConfigurationFitsTheScript(t *testing.T) {
	s := testStage(t)
	p, err := s.platform()
	if err != nil {
		t.Fatal(err)
	}
	least := 0
	for _, phase := range script() {
		least += phase.Calls
		if phase.Calm {
			calmFits(t, p, phase)
		}
		for _, stream := range phase.Streams {
			if p.Function(spillway.FunctionKey{Namespace: stream.Namespace, Name: stream.Function}) == nil || keyIDs[stream.Namespace] == "" {
				t.Errorf("phase %s calls %s/%s, which is not there or has no key", phase.Name, stream.Namespace, stream.Function)
			}
		}
	}
	if least < atLeast {
		t.Errorf("%d calls, want at least %d", least, atLeast)
	}
	for _, at := range s.sites {
		account, err := cloud.LoadConfig(s.path(at.file))
		if err != nil {
			t.Fatal(err)
		}
		pool := poolNamed(t, p, at.pool)
		l := pool.Limits
		ours := [4]int64{l.Concurrency, l.RampPer10s, l.MemoryMiB, l.RampPerMinute}
		if theirs := [4]int64{int64(account.Concurrency), int64(account.RampPer10s), int64(account.MemoryQuota), int64(account.RampPerMinute)}; ours != theirs {
			t.Errorf("limits of %s differ: ours %v, the cloud's %v", at.pool, ours, theirs)
		}
		bindingsAgree(t, p, pool, account)
	}
}

func poolNamed(t *testing.T, p *spillway.Platform, name string) *spillway.Pool {
	t.Helper()
	for _, pool := range p.Pools {
		if pool.Name == name {
			return pool
		}
	}
	t.Fatalf("no pool %s", name)
	return nil
}

// calmFits wants no calm phase to need more than there is on the premises.
func calmFits(t *testing.T, p *spillway.Platform, phase phase) {
	t.Helper()
	need, total := map[int]int64{}, int64(0)
	for _, s := range phase.Streams {
		fn := p.Function(spillway.FunctionKey{Namespace: s.Namespace, Name: s.Function})
		for q := p.Namespaces[fn.Namespace].Quota; q >= 0; q = p.Quotas[q].Parent {
			need[q] += int64(s.Workers)
		}
		total += int64(s.Workers)
	}
	for q, n := range need {
		if limit := p.Quotas[q].Nominal[spillway.ClassOnPrem].Slots; n > limit {
			t.Errorf("phase %s needs %d slots of %s, it has %d", phase.Name, n, p.Quotas[q].Name, limit)
		}
	}
	for _, pool := range p.Pools {
		if !pool.Kind.Cloud() && total > pool.Capacity.Slots {
			t.Errorf("phase %s needs %d places, %s has %d", phase.Name, total, pool.Name, pool.Capacity.Slots)
		}
	}
}

// bindingsAgree wants the same memory and time limit on both sides, or the money
// would differ for another reason than a mistake of ours.
func bindingsAgree(t *testing.T, p *spillway.Platform, pool *spillway.Pool, account cloud.Config) {
	t.Helper()
	deployed := map[string]cloud.Function{}
	for _, f := range account.Functions {
		deployed[f.Name] = f
	}
	for _, fn := range p.Functions {
		b := fn.Bindings[pool.Index]
		if b.Name == "" {
			continue
		}
		if d := deployed[b.Name]; int64(d.MiB) != b.MiB || d.Timeout != b.Timeout || d.Qualifiers[b.Qualifier] == "" {
			t.Errorf("%s in %s: bound as %d MiB and %s and %q, deployed as %d MiB and %s and %v", fn, pool.Name, b.MiB, b.Timeout, b.Qualifier, d.MiB, d.Timeout, d.Qualifiers)
		}
	}
}

// TestRateIsThatOfTheFiles holds the rate of the check and the price book together:
// SCF's published price is 0.00011108 CNY a GB-second.
func TestRateIsThatOfTheFiles(t *testing.T) {
	p, err := testStage(t).platform()
	if err != nil {
		t.Fatal(err)
	}
	scf := poolNamed(t, p, "scf")
	fn := p.Function(spillway.FunctionKey{Namespace: "media", Name: "report"})
	want := new(big.Rat).Mul(money("0.00011108"), inDollars["CNY"])
	if got := new(big.Rat).SetFrac64(int64(fn.Bindings[scf.Index].Rate.PerGiBSecond), 1e15); got.Cmp(want) != 0 {
		t.Errorf("a GB-second is %s USD, want %s", decimal(got), decimal(want))
	}
}

// TestLiveRulesAreWhatTheScriptSays loads the files of every phase.
func TestLiveRulesAreWhatTheScriptSays(t *testing.T) {
	s := testStage(t)
	lives := []demo.Live{{KillSwitch: true, Canary: 10}}
	for _, phase := range script() {
		lives = append(lives, phase.Live)
	}
	for _, live := range lives {
		if _, err := s.configure(live); err != nil {
			t.Fatal(err)
		}
		if again, err := s.configure(live); again || err != nil {
			t.Errorf("the same rules were written twice (%v)", err)
		}
		p, err := s.platform()
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range p.BurstPolicies {
			if b.Name != "default" && (b.KillSwitch != live.KillSwitch || b.Shadow != live.Shadow) {
				t.Errorf("%+v: policy %s has kill switch %t, shadow %t", live, b.Name, b.KillSwitch, b.Shadow)
			}
		}
		v2 := p.RevisionOf(spillway.FunctionKey{Namespace: "shop", Name: "thumbnail"}, "v2")
		if v2 == nil || v2.Weight != int64(live.Canary) {
			t.Errorf("%+v: v2 is %v", live, v2)
		}
	}
}

// TestFinanceMustStop wants the budget to be spent well within the phase that is
// about it, however fast the machine: no call costs less than 1 ms.
func TestFinanceMustStop(t *testing.T) {
	p, err := testStage(t).platform()
	if err != nil {
		t.Fatal(err)
	}
	fn := p.Function(spillway.FunctionKey{Namespace: "finance", Name: "report"})
	var budget, least spillway.Nano
	for _, q := range p.Quotas {
		if q.Name == "finance" {
			budget = q.Budgets[0].Limit
		}
	}
	for i, pool := range p.Pools {
		if pool.Kind.Cloud() && fn.Permitted.Has(i) {
			least, err = fn.Bindings[i].Rate.CeilNano(1, spillway.Resources{MiB: fn.Bindings[i].MiB})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, phase := range script() {
		for _, w := range phase.Wants {
			if w.Ending == "budget_exceeded" && int64(budget/least)*4 > int64(phase.Most) {
				t.Errorf("up to %d cloud calls until the budget is spent, the phase has %d calls in all", budget/least, phase.Most)
			}
		}
	}
}

func TestMissingPrograms(t *testing.T) {
	_, err := newStage(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "make demo") {
		t.Errorf("error %v, want what to do", err)
	}
}

func TestEarlyDeathIsExplained(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	c, err := startChild("spillway up", log, "/bin/sh", "-c", "echo the port is taken >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = c.await(t.Context(), time.Minute, func() bool { return false })
	if err == nil || !strings.Contains(err.Error(), "spillway up ended before it was ready (exit status 3)") || !strings.Contains(err.Error(), "the port is taken") {
		t.Errorf("error %v, want the status and the log", err)
	}
	if err := c.stop(); err == nil {
		t.Error("stopping a child that died is no error")
	}
}

func TestAwaitEnds(t *testing.T) {
	c, err := startChild("sleeper", filepath.Join(t.TempDir(), "log"), "/bin/sleep", "600")
	if err != nil {
		t.Fatal(err)
	}
	defer c.kill()
	if err := c.await(t.Context(), time.Nanosecond, func() bool { return false }); err == nil || !strings.Contains(err.Error(), "is not ready after") {
		t.Errorf("late: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.await(ctx, time.Minute, func() bool { return false }); err == nil {
		t.Error("cancelled: no error")
	}
	if err := c.stop(); err == nil || !strings.Contains(err.Error(), "did not end well") {
		t.Errorf("a child that dies of the signal: %v", err)
	}
}
