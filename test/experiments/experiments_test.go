package main

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway/simulator/trace"
)

// The experiments build platforms of text: one small run of each kind must load, keep
// every call and send none elsewhere than it says.
func TestPlatformsDoWhatTheySay(t *testing.T) {
	calls, err := trace.New(trace.Workload{Preset: trace.Mixed, Seed: 1, Days: 1, Functions: 8, CallsPerDay: 2_000})
	if err != nil {
		t.Fatal(err)
	}
	defer calls.Close()
	l := &lab{ctx: t.Context()}
	for name, c := range map[string]struct {
		setup
		cloud, onPrem bool // calls may be there
	}{
		"cloud":       {setup{mode: "CloudOnly"}, true, false},
		"hybrid":      {setup{nodes: 1}, true, true},
		"on-prem":     {setup{boundless: true, mode: "OnPremOnly", cold: true, keepAlive: time.Minute}, false, true},
		"windows":     {setup{boundless: true, mode: "OnPremOnly", cold: true, policy: "{kind: windows}"}, false, true},
		"hybrid keep": {setup{boundless: true, mode: "OnPremOnly", cold: true, policy: "{kind: forecast, worth: 30m}"}, false, true},
	} {
		r, err := l.simulate(calls, c.setup)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		own, _ := onPrem(r)
		here, there := int64(0), pool(r, "lambda").Executed
		if own != nil {
			here = own.Executed
		}
		if here+there != r.Calls || r.Refused > 0 || (there > 0 && !c.cloud) || (here > 0) != c.onPrem {
			t.Errorf("%s: of %d calls %d ran here, %d there, %d were refused", name, r.Calls, here, there, r.Refused)
		}
	}
}

func TestHoursOfNodes(t *testing.T) {
	steps, hours := capacities(func(int) int64 { return 4 }, false)
	if hours != 4*hoursInWeek || len(steps) != hoursInWeek {
		t.Errorf("%g hours in %d steps, want %d in %d", hours, len(steps), 4*hoursInWeek, hoursInWeek)
	}
	steps, less := capacities(func(int) int64 { return 4 }, true)
	revocations := (len(steps) - hoursInWeek) / 2
	if want := hours - float64(revocations)*2*missingFor.Hours(); revocations == 0 || less-want > 1e-9 || want-less > 1e-9 {
		t.Errorf("%g hours with %d revocations of two nodes, want %g", less, revocations, want)
	}
	for i := 1; i < len(steps); i++ {
		if steps[i].At <= steps[i-1].At {
			t.Errorf("step %d is at %s, not after %s", i, steps[i].At, steps[i-1].At)
		}
	}
}

func TestCurveOfFixedWindows(t *testing.T) {
	curve := []keeping{{cold: 100, wasted: 10}, {cold: 50, wasted: 20}, {cold: 40, wasted: 40}}
	for wasted, want := range map[float64]float64{10: 100, 15: 75, 30: 45} {
		if got, ok := interpolate(curve, wasted); !ok || got != want {
			t.Errorf("at %g wasted: %g cold starts (%t), want %g", wasted, got, ok, want)
		}
	}
	if _, ok := interpolate(curve, 41); ok {
		t.Error("beyond the curve there is an answer")
	}
}

func TestNodesHoldWhatIsAsked(t *testing.T) {
	for _, c := range []struct {
		milliCPU, mib float64
		want          int64
	}{{0, 0, 1}, {nodeMilliCPU, 0, 1}, {nodeMilliCPU + 1, 0, 2}, {1, 3*nodeMiB - 1, 3}} {
		if got := nodesFor(c.milliCPU, c.mib); got != c.want {
			t.Errorf("%g mCPU and %g MiB need %d nodes, want %d", c.milliCPU, c.mib, got, c.want)
		}
	}
}
