package simulator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

const sharedFunction = `
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: web, namespace: shop}
spec:
  revisions: [{name: v1, package: {path: .}}]
  contract: http
  concurrency: 2
  timeout: 10s
  maxWait: 5s
`

// shared is a world whose one function takes two requests at once and stays on-prem.
func shared(t *testing.T) *world {
	w := newWorld(t, 1)
	w.config.Platform = platform(t, fmt.Sprintf(twoPools, 1)+sharedFunction)
	w.config.Functions = []int{0}
	return w
}

// TestTimeoutsEndTheProcess and with it what else it runs, as they do live.
func TestTimeoutsEndTheProcess(t *testing.T) {
	r := shared(t).run(call(0, time.Minute), call(5*time.Second, 8*time.Second), call(20*time.Second, time.Second))
	p := r.Pools[onprem]
	if p.Executed != 3 || p.TimedOut != 1 || p.Starts != 2 || p.DurationMicros != 10_000_000+5_100_000+1_000_000 {
		t.Errorf("%d executed in %d µs, %d timed out, %d starts", p.Executed, p.DurationMicros, p.TimedOut, p.Starts)
	}
	if p.Peak.Slots != 2 || p.HeldGiBHours < p.BusyGiBHours {
		t.Errorf("%d at once, held %v, busy %v", p.Peak.Slots, p.HeldGiBHours, p.BusyGiBHours)
	}
}

// TestSharedInstanceIsReclaimed with all that it runs, also when one of them has ended.
func TestSharedInstanceIsReclaimed(t *testing.T) {
	for name, c := range map[string]struct {
		second              time.Duration // the execution
		reclaimed, executed int64
	}{"both": {6 * time.Second, 2, 2}, "one has ended": {time.Second, 1, 2}} {
		w := shared(t)
		full := w.config.Platform.Pools[onprem].Capacity
		none := full
		none.Slots = 0
		w.config.Pools[onprem].Capacity = []simulator.CapacityStep{{At: 3 * time.Second, Capacity: none}, {At: 5 * time.Second, Capacity: full}}
		r := w.run(call(0, 8*time.Second), call(time.Second, c.second))
		p := r.Pools[onprem]
		if p.Reclaimed != c.reclaimed || p.Executed != c.executed || p.Starts != 2 || r.Refused != 0 {
			t.Errorf("%s: %d reclaimed, %d executed, %d starts, %d refused", name, p.Reclaimed, p.Executed, p.Starts, r.Refused)
		}
	}
}

// TestCapacityComesBack: calls whose instance was taken away, while they ran or while it
// started, run on the pool again when it has room, within their maxWait.
func TestCapacityComesBack(t *testing.T) {
	for name, at := range map[string]time.Duration{"starting": 50 * time.Millisecond, "running for long": 8 * time.Second} {
		w := shared(t)
		full := w.config.Platform.Pools[onprem].Capacity
		none := full
		none.Slots = 0
		w.config.Pools[onprem].Capacity = []simulator.CapacityStep{{At: at, Capacity: none}, {At: at + time.Second, Capacity: full}}
		r := w.run([]trace.Call{call(0, 9*time.Second)}...)
		if p := r.Pools[onprem]; p.Executed != 1 || r.Refused != 0 {
			t.Errorf("%s: %d executed, %d refused, reasons %v", name, p.Executed, r.Refused, r.Reasons)
		}
	}
}

// TestProviderRefuses what the platform believes to be free: the limits of the model are
// those that the provider enforces.
func TestProviderRefuses(t *testing.T) {
	for name, limits := range map[string]spillway.CloudLimits{
		"concurrency": {Concurrency: 1}, "memory": {MemoryMiB: 200}, "requests": {RequestsPerSecond: 1}, "ramp": {RampPer10s: 1}, "account ramp": {RampPerMinute: 1},
	} {
		w := newWorld(t, 1, "f")
		w.config.Pools[cloud].Limits = limits
		r := w.run(call(0, 9*time.Second), call(time.Second, time.Second), call(time.Second, time.Second))
		if p := r.Pools[cloud]; p.Executed != 1 || p.Throttled != 1 {
			t.Errorf("%s: %d executed, %d throttled", name, p.Executed, p.Throttled)
		}
	}
}
