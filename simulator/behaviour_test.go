package simulator_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

var start = spillway.InstantOf(time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC))

// world is a platform with a process pool "onprem" and a Lambda pool "cloud"; pools
// are sorted by name, so cloud is pool 0.
type world struct {
	tb     testing.TB
	config simulator.Config
}

const (
	cloud  = 0
	onprem = 1
)

func newWorld(tb testing.TB, slots int, functions ...string) *world {
	yaml := fmt.Sprintf(twoPools, slots)
	mapping := []int{}
	for i, name := range functions {
		yaml += fmt.Sprintf(shopFunction, name)
		mapping = append(mapping, i)
	}
	return &world{tb, simulator.Config{
		Platform: platform(tb, yaml), Policy: permitAll{}, Functions: mapping, Start: start, Length: time.Hour, Step: time.Minute,
		Pools: []simulator.PoolModel{cloud: constant(300 * time.Millisecond), onprem: constant(100 * time.Millisecond)},
	}}
}

func (w *world) run(all ...trace.Call) *simulator.Result {
	w.tb.Helper()
	w.config.Calls = &calls{all}
	r, err := simulator.Run(w.tb.Context(), w.config)
	if err != nil {
		w.tb.Fatal(err)
	}
	if r.Calls != r.Placed+r.Refused+r.Skipped {
		w.tb.Errorf("%d calls are not %d placed, %d refused and %d skipped", r.Calls, r.Placed, r.Refused, r.Skipped)
	}
	return r
}

func call(at, takes time.Duration) trace.Call { return trace.Call{At: at, Duration: takes, Init: -1} }

// TestEndsComeBeforeArrivals of the same instant, so that the place is free.
func TestEndsComeBeforeArrivals(t *testing.T) {
	w := newWorld(t, 1, "f")
	r := w.run(call(0, time.Second), call(1100*time.Millisecond, time.Second)) // 100 ms of cold start
	if r.Pools[onprem].Executed != 2 || r.Pools[onprem].Starts != 1 || r.Waits.Max() != 100*time.Millisecond {
		t.Errorf("%d on-prem on %d instances, longest wait %s", r.Pools[onprem].Executed, r.Pools[onprem].Starts, r.Waits.Max())
	}
	if r.Reasons[spillway.ReasonPreferred] != 2 {
		t.Errorf("reasons %v", r.Reasons)
	}
}

// TestOverflow waits as long as the burst policy says and goes to the cloud.
func TestOverflow(t *testing.T) {
	w := newWorld(t, 1, "f")
	r := w.run(call(0, 2*time.Second), call(time.Second, time.Second), call(time.Second, time.Second))
	if r.Pools[cloud].Executed != 2 || r.Pools[cloud].Cold != 2 || r.Reasons[spillway.ReasonOverflowWait] != 2 {
		t.Errorf("%d in the cloud, %d cold, reasons %v", r.Pools[cloud].Executed, r.Pools[cloud].Cold, r.Reasons)
	}
	// 1 s at 128 MiB and a request: 1/8 GiB·s at 0.0000166667, and 0.0000002; twice.
	if got := r.CloudCost.Text('f'); got != "0.000004566675000000" {
		t.Errorf("the cloud costs %s", got)
	}
	w.config.Pools[cloud].InitBilled = true
	if r = w.run(call(0, 2*time.Second), call(time.Second, time.Second)); r.Pools[cloud].BilledMillis != 1300 {
		t.Errorf("billed %d ms with INIT", r.Pools[cloud].BilledMillis)
	}
}

// TestEnvironmentsAreKept for as long as the model says, the last used first.
func TestEnvironmentsAreKept(t *testing.T) {
	w := newWorld(t, 1, "f", "g")
	w.config.Pools[onprem].Cold = nil
	block := trace.Call{At: 0, Duration: 10 * time.Second, Init: -1, Function: 1}
	second := func(n int) trace.Call { return call(time.Duration(n)*time.Second, 100*time.Millisecond) }
	again := func(at time.Duration) trace.Call {
		return trace.Call{At: at, Duration: 10 * time.Second, Init: -1, Function: 1}
	}
	r := w.run(block, second(1), second(3), again(15*time.Second), second(16), again(90*time.Second), second(92))
	if r.Pools[cloud].Executed != 4 || r.Pools[cloud].Cold != 2 { // 16 s is within a minute, 92 s is not
		t.Errorf("%d in the cloud, %d cold", r.Pools[cloud].Executed, r.Pools[cloud].Cold)
	}
}

// TestRecordedColdStarts take the place of drawn ones.
func TestRecordedColdStarts(t *testing.T) {
	w := newWorld(t, 1, "f")
	first := call(0, 2*time.Second)
	first.Init = 40 * time.Millisecond
	second := call(time.Second, time.Second)
	second.Init = 70 * time.Millisecond
	r := w.run(first, second)
	if r.Pools[onprem].InitMicros != 40_000 || r.Pools[cloud].InitMicros != 70_000 {
		t.Errorf("cold starts of %d and %d µs", r.Pools[onprem].InitMicros, r.Pools[cloud].InitMicros)
	}
}

// TestAway is a cloud that cannot be reached, and one that throttles.
func TestAway(t *testing.T) {
	for _, throttle := range []bool{false, true} {
		w := newWorld(t, 1, "f")
		w.config.Pools[cloud].Away = []simulator.Away{{From: 0, To: time.Minute, Throttle: throttle}}
		r := w.run(call(0, 30*time.Second), call(time.Second, time.Second), call(2*time.Minute, 30*time.Second), call(2*time.Minute+time.Second, time.Second))
		if r.Refused != 1 || r.Pools[cloud].Executed != 1 || r.Pools[cloud].Throttled == 0 {
			t.Errorf("throttle %t: %d refused, %d in the cloud after %d attempts that were refused", throttle, r.Refused, r.Pools[cloud].Executed, r.Pools[cloud].Throttled)
		}
	}
}

// TestTimeouts end executions and are executed calls.
func TestTimeouts(t *testing.T) {
	w := newWorld(t, 1, "f")
	r := w.run(call(0, time.Minute), call(time.Second, time.Minute)) // the timeout is 10 s
	for _, pool := range []int{onprem, cloud} {
		if p := r.Pools[pool]; p.TimedOut != 1 || p.DurationMicros != 10_000_000 {
			t.Errorf("pool %d: %d timed out after %d µs", pool, p.TimedOut, p.DurationMicros)
		}
	}
	if r = w.run(call(0, time.Minute), call(15*time.Second, time.Second)); r.Pools[onprem].Starts != 2 {
		t.Errorf("the process that was killed serves on: %d starts", r.Pools[onprem].Starts)
	}
}

// TestLost is a call whose caller cannot wait for the cloud: its reservation is spent.
func TestLost(t *testing.T) {
	w := newWorld(t, 1, "f")
	w.config.Pools[cloud].Added = time.Minute
	r := w.run(call(0, 10*time.Second), call(time.Second, time.Second))
	if p := r.Pools[cloud]; p.Lost != 1 || p.Executed != 0 || r.CloudCost.Cmp(apd.New(41867, -9)) != 0 { // 20 s of 1/8 GiB and a request, rounded up to the nano
		t.Errorf("%d lost, %d executed, cost %s", p.Lost, p.Executed, r.CloudCost.Text('f'))
	}
}

// TestLostRunsOn in its environment when its caller has given up, so that no other call
// has it before it ends.
func TestLostRunsOn(t *testing.T) {
	w := newWorld(t, 1, "f")
	w.config.Pools[cloud].Cold = []simulator.ColdStep{{Name: "start", P50: 25 * time.Second, P99: 25 * time.Second}}
	w.config.Pools[cloud].Limits.Concurrency = 1
	block := func(s int) trace.Call { return call(time.Duration(s)*time.Second, 10*time.Second) }
	next := func(s int) trace.Call { return call(time.Duration(s)*time.Second, time.Second) }
	// The second is sent at 1.05 s, given up at 21 s (its deadline) and ends at 27.05 s.
	r := w.run(block(0), next(1), block(22), next(23), block(34), next(35))
	if p := r.Pools[cloud]; p.Lost != 1 || p.Throttled == 0 || p.Executed != 1 {
		t.Errorf("%d lost, %d throttled, %d executed", p.Lost, p.Throttled, p.Executed)
	}
}

// TestCapacityComesAndGoes: idle instances go first, then the youngest call, which
// runs again elsewhere; nothing is lost.
func TestCapacityComesAndGoes(t *testing.T) {
	w := newWorld(t, 2, "f")
	full := w.config.Platform.Pools[onprem].Capacity
	half := full
	half.Slots = 1
	w.config.Pools[onprem].Capacity = []simulator.CapacityStep{{At: 5 * time.Second, Capacity: half}, {At: 30 * time.Second, Capacity: full}}
	r := w.run(call(0, 8*time.Second), call(time.Second, 8*time.Second), call(40*time.Second, time.Second), call(40*time.Second, time.Second))
	p := r.Pools[onprem]
	if p.Reclaimed != 1 || p.Executed != 3 || r.Pools[cloud].Executed != 1 || p.ReclaimedMicros != 3_900_000 {
		t.Errorf("%d reclaimed after %d µs, %d on-prem, %d in the cloud", p.Reclaimed, p.ReclaimedMicros, p.Executed, r.Pools[cloud].Executed)
	}
	none := full
	none.Slots = 0
	w.config.Pools[onprem].Capacity = []simulator.CapacityStep{{At: 50 * time.Millisecond, Capacity: none}} // while it starts
	if r = w.run(call(0, time.Second)); r.Pools[cloud].Executed != 1 || r.Pools[onprem].Executed != 0 {
		t.Errorf("an instance that was taken away while it started: %d on-prem, %d in the cloud", r.Pools[onprem].Executed, r.Pools[cloud].Executed)
	}
}

func TestSkipped(t *testing.T) {
	w := newWorld(t, 1, "f")
	w.config.Functions = []int{0, -1}
	if r := w.run(call(0, 0), trace.Call{At: 1, Function: 1}, trace.Call{At: 2, Function: 1}); r.Skipped != 2 || r.SkippedBy[1] != 2 || r.Placed != 1 {
		t.Errorf("%d skipped, %v", r.Skipped, r.SkippedBy)
	}
}

// slow has nothing the first time.
type slow struct {
	calls
	asked bool
}

func (s *slow) Next(into []trace.Call) (int, error) {
	if !s.asked {
		s.asked = true
		return 0, nil
	}
	return s.calls.Next(into)
}

func TestNothingYet(t *testing.T) {
	w := newWorld(t, 1, "f")
	w.config.Calls = &slow{calls: calls{[]trace.Call{call(0, 0)}}}
	if r, err := simulator.Run(t.Context(), w.config); err != nil || r.Placed != 1 {
		t.Errorf("%v, %v", r, err)
	}
}

func TestBadTraces(t *testing.T) {
	for name, bad := range map[string][]trace.Call{
		"backwards":         {call(2, 0), call(1, 0)},
		"negative duration": {call(0, -1)},
		"unknown function":  {{Function: 7}},
		"negative function": {{Function: -7}},
	} {
		w := newWorld(t, 1, "f")
		w.config.Calls = &calls{bad}
		if _, err := simulator.Run(t.Context(), w.config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestAnyTrace: what goes in comes out, no place is used twice, what is used agrees
// with what ran, and a second run is the same.
func TestAnyTrace(t *testing.T) {
	withShared := map[int]*spillway.Platform{}
	for slots := 1; slots <= 4; slots++ {
		withShared[slots] = platform(t, fmt.Sprintf(twoPools, slots)+fmt.Sprintf(shopFunction, "f")+fmt.Sprintf(shopFunction, "g")+sharedFunction)
	}
	rapid.Check(t, func(rt *rapid.T) {
		slots := rapid.IntRange(1, 4).Draw(rt, "slots")
		w := newWorld(t, slots, "f", "g", "h")
		atOnce := int64(1)
		if rapid.Bool().Draw(rt, "shared") {
			w.config.Platform = withShared[slots]
			atOnce = 2
		}
		w.config.Functions[2] = rapid.SampledFrom([]int{-1, 2}).Draw(rt, "third")
		w.config.Warm = rapid.Bool().Draw(rt, "warm")
		w.config.Seed = rapid.Uint64().Draw(rt, "seed")
		w.config.Pools[cloud].Limits.Concurrency = rapid.Int64Range(0, 3).Draw(rt, "concurrency")
		w.config.Pools[cloud].Limits.RampPer10s = rapid.Int64Range(0, 3).Draw(rt, "ramp")
		w.config.Pools[cloud].Cold = []simulator.ColdStep{{P50: 100 * time.Millisecond, P99: time.Second}}
		if rapid.Bool().Draw(rt, "comes and goes") {
			at := time.Duration(0)
			for range rapid.IntRange(1, 4).Draw(rt, "steps") {
				capacity := w.config.Platform.Pools[onprem].Capacity
				capacity.Slots = rapid.Int64Range(0, 4).Draw(rt, "capacity")
				at += time.Duration(rapid.IntRange(0, 5000).Draw(rt, "after")) * time.Millisecond
				w.config.Pools[onprem].Capacity = append(w.config.Pools[onprem].Capacity, simulator.CapacityStep{At: at, Capacity: capacity})
			}
		}
		var all []trace.Call
		at := time.Duration(0)
		for range rapid.IntRange(0, 40).Draw(rt, "calls") {
			at += time.Duration(rapid.IntRange(0, 1500).Draw(rt, "gap")) * time.Millisecond
			all = append(all, trace.Call{At: at, Duration: time.Duration(rapid.IntRange(0, 12_000).Draw(rt, "takes")) * time.Millisecond,
				Init: rapid.SampledFrom([]time.Duration{-1, 0, 50 * time.Millisecond}).Draw(rt, "init"), Function: int32(rapid.IntRange(0, 2).Draw(rt, "function"))})
		}
		first, again := w.run(all...), w.run(all...)
		first.Platform, again.Platform = nil, nil
		if !reflect.DeepEqual(first, again) {
			rt.Fatalf("two runs differ")
		}
		if first.Calls != int64(len(all)) {
			rt.Fatalf("%d calls of %d", first.Calls, len(all))
		}
		var executed, reasons, lost int64
		for _, p := range first.Pools {
			executed += p.Executed
			lost += p.Lost
		}
		for _, n := range first.Reasons {
			reasons += n
		}
		if executed+lost < first.Placed || executed > first.Placed || reasons != first.Placed+first.Refused {
			rt.Fatalf("%d executed and %d lost of %d placed, %d reasons", executed, lost, first.Placed, reasons)
		}
		if peak := first.Pools[onprem].Peak.Slots; len(w.config.Pools[onprem].Capacity) == 0 && peak > atOnce*int64(slots) {
			rt.Fatalf("%d at once on %d slots", peak, slots)
		}
		var used int64
		for _, p := range first.Series {
			used += p.Use[spillway.ClassOnPrem].Slots
		}
		if took := first.Pools[onprem].DurationMicros + first.Pools[onprem].ReclaimedMicros; used < took-int64(len(all)) || used > took+int64(len(all)) {
			rt.Fatalf("slots were used for %d µs and executions took %d", used, took)
		}
	})
}
