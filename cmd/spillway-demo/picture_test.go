package main

import (
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/spillway-dev/spillway/dispatcher"
)

// busyFrame is a picture in the middle of a run, with everything in it.
func busyFrame() frame {
	f := frame{elapsed: 75 * time.Second, left: 12 * time.Second, phase: 4, note: "the kill switch is thrown", script: script(), done: 4321, planned: 12_345}
	for i, p := range f.script {
		g := figures{Name: p.Name, Endings: map[string]int{}, Refusals: map[string]int{}}
		if i <= f.phase {
			g = figures{Name: p.Name, Calls: 12_345, Overflowed: 6_000, Refused: 1_234, Unknown: 7, Failed: 321, P50: 31 * time.Millisecond, P99: 1234 * time.Millisecond,
				Endings:  map[string]int{"preferred": 1234, "pinned": 321, "canary": 123, "weight": 1235, "overflow_health": 17, "overflow_quota": 1233, "overflow_capacity": 1212, "overflow_wait": 1211, "replaced": 2, "budget_exceeded": 1111},
				Refusals: map[string]int{"budget_exceeded": 1111, "quota_exceeded": 12, "no_capacity": 123, "unavailable": 11, "deadline": 3}}
		}
		f.phases = append(f.phases, g)
	}
	use := func(used, limit int64) dispatcher.UseView { return dispatcher.UseView{Used: used, Limit: limit} }
	f.view = dispatcher.View{InFlight: 26, Unknown: 7, Waiting: 12,
		Pools: []dispatcher.PoolView{{Name: "lambda", Cloud: true, Running: 12, Slots: 1000}, {Name: "onprem", Running: 6, Slots: 6}, {Name: "scf", Cloud: true, Running: 10}},
		Bursts: []dispatcher.BurstView{{Name: "eager", State: "shadow", Shadow: &dispatcher.ShadowView{Calls: 1234, Cost: 567_000}},
			{Name: "patient", State: "kill_switch"}, {Name: "default", State: "on_prem_only"}},
		Quotas: []dispatcher.QuotaView{
			{Name: "company", OnPrem: use(6, -1), Cloud: use(12, 12)},
			{Name: "retail", Parent: "company", OnPrem: use(4, 4), Cloud: use(8, 10), Budgets: []dispatcher.BudgetView{{Window: "day", Spent: 812_345, Reserved: 400_000, Limit: 50_000_000}}},
			{Name: "shop", Parent: "retail", OnPrem: use(3, 3), Cloud: use(2, 8)},
			{Name: "media", Parent: "retail", OnPrem: use(1, 3), Cloud: use(6, 8)},
			{Name: "finance", Parent: "company", OnPrem: use(2, 3), Cloud: use(4, 4), Budgets: []dispatcher.BudgetView{{Window: "day", Spent: 49_000, Reserved: 100_000, Limit: 150_000}}},
		}}
	return f
}

func TestPictureFits(t *testing.T) {
	frames := map[string]frame{"begin": {script: script(), phases: make([]figures, len(script()))}}
	for i, p := range script() {
		f := busyFrame()
		f.phase = i
		frames[p.Name] = f
	}
	for name, f := range frames {
		for _, columns := range []int{80, 100, 120, 200} {
			text := picture(f, columns)
			if lines := strings.Count(text, "\n"); lines > 23 {
				t.Errorf("%s at %d columns has %d lines, want at most 23", name, columns, lines)
			}
			fits(t, text, columns)
		}
	}
}

func fits(t *testing.T, text string, columns int) {
	t.Helper()
	for _, line := range strings.Split(text, "\n") {
		if w := lipgloss.Width(line); w > columns {
			t.Errorf("at %d columns a line is %d wide: %q", columns, w, line)
		}
	}
}

// TestChecksFit prints good and bad results of a run.
func TestChecksFit(t *testing.T) {
	bad := goodEvidence()
	bad.clouds[1].bill.Total, bad.call("page").Kind, bad.call("page").Detail = "0.1", failed, strings.Repeat("a long story ", 20)
	for _, e := range []*evidence{goodEvidence(), bad} {
		s := &summary{Checks: checkAll(e)}
		for _, columns := range []int{80, 84, 85, 100, 200} {
			var b strings.Builder
			s.printChecks(&b, columns)
			fits(t, b.String(), columns)
		}
	}
}

func TestPictureSaysWhatMatters(t *testing.T) {
	text := picture(busyFrame(), 120)
	for _, want := range []string{"bad weather", "lambda 12  scf 10", "shadow: 1,234 calls", "v2 gets 10 %", "4,321 of 12,345 calls", "budget_exceeded", "finance", "6/6", "12/12", "$0.00015"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if line := plainFrame(busyFrame()); !strings.Contains(line, "5/8 kill switch") || strings.Contains(line, "\x1b") {
		t.Errorf("plain line %q", line)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %s, want %s", n, got, want)
		}
	}
}
