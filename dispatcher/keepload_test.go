package dispatcher_test

import (
	"cmp"
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

// keepCall is one call of a load.
type keepCall struct {
	at       spillway.Instant
	fn       int
	duration time.Duration
}

// keepResult is what a keep-alive policy costs and spares under a load.
type keepResult struct {
	calls, cold, starts int
	idle                time.Duration // of all instances together
}

func (r keepResult) String() string {
	return fmt.Sprintf("%d calls, %d cold, %d starts, %.0f idle hours", r.calls, r.cold, r.starts, r.idle.Hours())
}

// keepEvent is something that a run of instances does by itself.
type keepEvent struct {
	at    spillway.Instant
	seq   int
	call  dispatcher.Handle // ends; else instance is ready
	ready spillway.InstanceID
}

type keepEvents []keepEvent

func (h keepEvents) Len() int { return len(h) }
func (h keepEvents) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h keepEvents) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *keepEvents) Push(x any)   { *h = append(*h, x.(keepEvent)) }
func (h *keepEvents) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// keepRun drives an Engine in virtual time.
type keepRun struct {
	e       *dispatcher.Engine
	events  keepEvents
	seq     int
	result  keepResult
	lengths map[*dispatcher.Decision]time.Duration
	spare   []*dispatcher.Decision
	last    spillway.Instant
	live    int // instances started and not stopped
	busy    int
}

const keepStart = 500 * time.Millisecond // how long an instance starts

func (r *keepRun) take(now spillway.Instant, effects []dispatcher.Effect) {
	r.result.idle += time.Duration(r.live-r.busy) * now.Sub(r.last)
	r.last = now
	var stopped []spillway.InstanceID
	for _, f := range effects {
		switch f.Kind {
		case dispatcher.StartInstance:
			r.live++
			r.result.starts++
			r.push(keepEvent{at: now.Add(keepStart), ready: f.Instance})
		case dispatcher.StopInstance:
			r.live--
			stopped = append(stopped, f.Instance)
		case dispatcher.Start:
			r.busy++
			if f.Decision.Last().Cold {
				r.result.cold++
			}
			r.push(keepEvent{at: now.Add(r.lengths[f.Decision]), call: f.Call})
		case dispatcher.Reply:
			r.busy--
			delete(r.lengths, f.Decision)
			r.spare = append(r.spare, f.Decision)
		}
	}
	for _, id := range stopped {
		r.e.Observe(now, dispatcher.Observation{Kind: dispatcher.InstanceStopped, Instance: id})
	}
}

func (r *keepRun) push(v keepEvent) {
	r.seq++
	v.seq = r.seq
	heap.Push(&r.events, v)
}

// until carries out all that happens up to an instant.
func (r *keepRun) until(at spillway.Instant) {
	for {
		next, tick := spillway.Never, r.e.Next()
		if len(r.events) > 0 {
			next = r.events[0].at
		}
		if min(next, tick) > at {
			return
		}
		if tick < next {
			tick = max(tick, r.last)
			r.take(tick, r.e.Tick(tick))
			continue
		}
		v := heap.Pop(&r.events).(keepEvent)
		if v.call != 0 {
			r.take(v.at, r.e.Complete(v.at, v.call, executed))
		} else {
			r.take(v.at, r.e.Observe(v.at, dispatcher.Observation{Kind: dispatcher.InstanceReady, Instance: v.ready}))
		}
	}
}

// keepLoad plays a load of so many functions on a pool without limits.
func keepLoad(tb testing.TB, functions int, pool string, load func(yield func(keepCall) bool)) keepResult {
	text := "pool onprem process slots=1000000 " + pool + "\npolicy default OnPremOnly order=onprem\nnamespace shop\n"
	for i := range functions {
		text += fmt.Sprintf("function shop/f%d\n", i)
	}
	p, err := testplatform.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	r := &keepRun{e: dispatcher.New(p), lengths: map[*dispatcher.Decision]time.Duration{}, last: epoch}
	verdict := testplatform.PermitAll(p)
	var now spillway.Instant
	for a := range load {
		r.until(a.at)
		d := new(dispatcher.Decision)
		if n := len(r.spare); n > 0 {
			d, r.spare = r.spare[n-1], r.spare[:n-1]
			*d = dispatcher.Decision{}
		}
		r.lengths[d] = a.duration
		r.result.calls++
		_, effects := r.e.Admit(a.at, spillway.Call{ID: "x", Function: p.Functions[a.fn]}, verdict, d)
		r.take(a.at, effects)
		now = a.at
	}
	r.until(now)
	return r.result
}

// mixedLoad is a day and a half of functions as traces show them: timers with
// periods from a minute to hours, fan-outs at once, rare and Poisson arrivals, bursts.
func mixedLoad(functions int, seed uint64) []keepCall {
	var all []keepCall
	end := 36 * time.Hour
	for fn := range functions {
		rng := rand.New(rand.NewPCG(seed, uint64(fn)))
		add := func(at time.Duration, n int) {
			for range n {
				all = append(all, keepCall{epoch.Add(at), fn, time.Duration(100+rng.IntN(2000)) * time.Millisecond})
			}
		}
		periods := []time.Duration{time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour}
		switch kind := fn % 10; {
		case kind < 4: // a timer, some with several calls at once
			period, n := periods[rng.IntN(len(periods))], 1+rng.IntN(3)*rng.IntN(3)
			for at := time.Duration(rng.Int64N(int64(period))); at < end; at += period {
				add(at+time.Duration(rng.IntN(5000))*time.Millisecond, n)
			}
		case kind < 8: // Poisson, from one in two minutes to one in eight hours
			mean := 2 * time.Minute * time.Duration(math.Pow(240, rng.Float64()))
			for at := time.Duration(0); at < end; at += time.Duration(rng.ExpFloat64() * float64(mean)) {
				add(at, 1)
			}
		default: // bursts of several at once, hours apart
			for at := time.Duration(rng.Int64N(int64(4 * time.Hour))); at < end; at += time.Duration(rng.ExpFloat64() * float64(3*time.Hour)) {
				for i := range 5 + rng.IntN(40) {
					add(at+time.Duration(i)*time.Duration(rng.IntN(20))*time.Second, 1+rng.IntN(3))
				}
			}
		}
	}
	slices.SortStableFunc(all, func(a, b keepCall) int { return cmp.Compare(a.at, b.at) })
	return all
}

// TestKeepAliveDominates plays a day and a half of mixed calls. It holds the forecast
// to half of the cold starts of ten fixed minutes with 30 % less idle time, and to 40 %
// less idle time than twenty with no more cold starts; and the hybrid histogram to half
// of the cold starts of twenty with a fifth more idle time at most.
func TestKeepAliveDominates(t *testing.T) {
	const functions = 40
	load := mixedLoad(functions, 7)
	play := func(pool string) keepResult {
		r := keepLoad(t, functions, pool, slices.Values(load))
		t.Logf("%-40s %v", pool, r)
		if r.calls != len(load) {
			t.Fatalf("%d calls of %d", r.calls, len(load))
		}
		return r
	}
	ten, twenty := play("keepalive=10m"), play("keepalive=20m")
	forecast, hybrid := play("keepalive=5m keep=forecast worth=30m"), play("keepalive=10m keep=hybrid")
	if forecast.cold*2 > ten.cold || forecast.idle*10 > ten.idle*7 {
		t.Errorf("forecast: %v; ten minutes: %v", forecast, ten)
	}
	if forecast.cold > twenty.cold || forecast.idle*5 > twenty.idle*3 {
		t.Errorf("forecast: %v; twenty minutes: %v", forecast, twenty)
	}
	if hybrid.cold*2 > twenty.cold || hybrid.idle*5 > twenty.idle*6 {
		t.Errorf("hybrid: %v; twenty minutes: %v", hybrid, twenty)
	}
	share := play("keepalive=5m keep=provisioned share=10 window=4h")
	if five := play("keepalive=5m"); share.cold >= five.cold || share.idle <= five.idle {
		t.Errorf("provisioned: %v; five minutes: %v", share, five)
	}
	if again := keepLoad(t, functions, "keepalive=5m keep=forecast worth=30m", slices.Values(load)); again != forecast {
		t.Errorf("the same load again: %v and %v", forecast, again)
	}
}

// TestKeepAliveAllocates holds the hot path to no allocation under every policy.
func TestKeepAliveAllocates(t *testing.T) {
	for _, keep := range []string{"hybrid", "forecast", "provisioned", "windows"} {
		e, f := warmOn(t, "keep="+keep)
		verdict, d, now := testplatform.PermitAll(e.Platform()), new(dispatcher.Decision), epoch
		call := spillway.Call{ID: "2", Function: f}
		step := func() {
			*d = dispatcher.Decision{}
			now = now.Add(time.Second)
			h, _ := e.Admit(now, call, verdict, d)
			e.Complete(now, h, executed)
		}
		step() // the first idle time makes the histogram
		if allocs := testing.AllocsPerRun(1000, step); allocs != 0 {
			t.Errorf("%s: Admit and Complete allocate %v times", keep, allocs)
		}
	}
}
