package dispatcher_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

// scaled plays a load on a pool with windows, and notes when calls were there and what
// instances were made and ended.
type scaled struct {
	*keepRun
	p      *spillway.Platform
	starts []spillway.Instant
	most   int // instances at once
}

func newScaled(tb testing.TB, pool, tenant, function string) *scaled {
	text := "pool onprem process keepalive=2m keep=windows " + pool + "\npolicy default OnPremOnly order=onprem\n" + tenant + "\nfunction shop/f timeout=900s deadline=900s maxwait=1m " + function
	p, err := testplatform.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return &scaled{p: p, keepRun: &keepRun{e: dispatcher.New(p), lengths: map[*dispatcher.Decision]time.Duration{}, last: epoch}}
}

// play has n calls of a length arrive at an instant, and lets all happen up to then.
func (s *scaled) play(at spillway.Instant, n int, length time.Duration) {
	s.run(at)
	for range n {
		d := new(dispatcher.Decision)
		s.lengths[d] = length
		s.result.calls++
		_, effects := s.e.Admit(at, spillway.Call{ID: "x", Function: s.p.Functions[0]}, testplatform.PermitAll(s.p), d)
		s.seen(func() { s.take(at, effects) })
	}
}

// run is until, with a look at what happened in each step.
func (s *scaled) run(at spillway.Instant) {
	for {
		next := s.e.Next()
		if len(s.events) > 0 {
			next = min(next, s.events[0].at)
		}
		if next = max(next, s.last); next > at {
			return
		}
		s.seen(func() { s.until(next) })
	}
}

func (s *scaled) seen(step func()) {
	before := s.result.starts
	step()
	for range s.result.starts - before {
		s.starts = append(s.starts, s.last)
	}
	s.most = max(s.most, s.live)
}

// TestWindowsConstant holds a constant number of calls, or calls that come together in a
// rhythm: after three stable windows nothing is started or ended any more.
func TestWindowsConstant(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newScaled(t, "slots=1000 mib=1000000", "namespace shop", fmt.Sprintf("at-once=%d", rapid.IntRange(1, 5).Draw(rt, "at once")))
		n, period := rapid.IntRange(1, 25).Draw(rt, "calls"), time.Duration(rapid.IntRange(1000, 20_000).Draw(rt, "period"))*time.Millisecond
		length := period
		if rapid.Bool().Draw(rt, "rhythm") {
			length = time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(period)).Draw(rt, "length"))
		}
		now, live := epoch, 0
		for ; now < epoch.Add(10*time.Minute); now = now.Add(period) {
			s.play(now, n, length)
			if now > epoch.Add(4*time.Minute) {
				if live == 0 {
					live = s.live
				}
				if s.live != live {
					rt.Fatalf("%d instances, and %d at %s", live, s.live, now.Sub(epoch))
				}
			}
		}
	})
}

// TestWindowsNeverWithoutLoad plays bursts with long pauses: no instance is started that
// is not wanted for a call within the panic window, none is kept beyond the keep-alive
// time and the windows, and minWarm stays.
func TestWindowsNeverWithoutLoad(t *testing.T) {
	ahead := 0
	rapid.Check(t, func(rt *rapid.T) {
		warm := rapid.IntRange(0, 3).Draw(rt, "min warm")
		s := newScaled(t, "slots=60 mib=100000", "namespace shop", fmt.Sprintf("minwarm=%d", warm))
		s.run(epoch.Add(time.Second)) // minWarm instances
		s.starts = nil
		now := epoch.Add(10 * time.Second)
		for range rapid.IntRange(1, 15).Draw(rt, "bursts") {
			n := rapid.IntRange(1, 20).Draw(rt, "calls")
			length := time.Duration(rapid.IntRange(1, 100_000).Draw(rt, "length")) * time.Millisecond
			s.play(now, n, length)
			ends := now.Add(length + keepStart)
			s.run(ends)
			began := len(s.starts)
			ahead += began
			now = ends.Add(time.Duration(rapid.IntRange(0, 600).Draw(rt, "pause")) * time.Second)
			s.run(now)
			for _, at := range s.starts[began:] {
				if at > ends.Add(6*time.Second+600*time.Millisecond) {
					rt.Fatalf("an instance was started %s after the last call", at.Sub(ends))
				}
			}
			if s.live < warm {
				rt.Fatalf("%d instances, below minWarm %d", s.live, warm)
			}
			if pause := now.Sub(ends); pause > 2*time.Minute+2*time.Second && s.live != warm {
				rt.Fatalf("%d instances %s after the last call", s.live, pause)
			}
		}
	})
	if ahead == 0 {
		t.Error("no instance was started at all: the test shows nothing")
	}
}

// TestWindowsStep goes from nothing to twenty calls at once that start slowly: there are
// instances for 70 % after one stable window and no more, and after the step down they go.
func TestWindowsStep(t *testing.T) {
	s := newScaled(t, "slots=1000 mib=1000000", "namespace shop", "")
	for at := time.Duration(0); at < 3*time.Minute; at += 10 * time.Second {
		s.play(epoch.Add(at), 20, 9500*time.Millisecond)
	}
	if s.live != 28 || s.most != 28 { // 20 × 0.95 ÷ 0.7
		t.Errorf("%d instances, %d at most; want 28", s.live, s.most)
	}
	down := epoch.Add(3*time.Minute - 500*time.Millisecond)
	s.run(down.Add(50 * time.Second))
	if s.live != 20 { // the others had no call for longer than a stable window
		t.Errorf("50 s after: %d instances", s.live)
	}
	s.run(down.Add(62 * time.Second))
	if s.live != 1 {
		t.Errorf("62 s after: %d instances", s.live)
	}
	s.run(down.Add(122 * time.Second))
	if s.live != 0 {
		t.Errorf("122 s after: %d instances", s.live)
	}
}

// TestWindowsQueue has twenty calls at a pool that turns out to have more room within a
// minute. Those that waited for it count, so that there are instances for all of them at
// 70 %; those that wait for quota do not.
func TestWindowsQueue(t *testing.T) {
	for quota, want := range map[string]int{"onprem=100": 29, "onprem=4": 6} {
		s := newScaled(t, "slots=200 mib=100000", "quota q "+quota+"\nnamespace shop quota=q", "")
		room := func(slots int64) {
			s.take(s.last, s.e.Observe(s.last, dispatcher.Observation{Kind: dispatcher.PoolCapacity, Capacity: spillway.Resources{Slots: slots, MilliCPU: 1 << 40, MiB: 1 << 40}}))
		}
		room(4)
		s.play(epoch, 20, 4*time.Minute)
		s.run(epoch.Add(58 * time.Second))
		if s.live != 4 {
			t.Fatalf("%s: %d instances", quota, s.live)
		}
		counted := func(when string) {
			if err := s.e.CheckInstances(); err != nil {
				t.Errorf("%s, %s: %v", quota, when, err)
			}
		}
		counted("waiting")
		next := newScaled(t, "slots=200 mib=100000", "quota q "+quota+"\nnamespace shop quota=q", "").p
		next.Generation = 2
		s.take(s.last, s.e.Reload(s.last, next, nil))
		counted("after a reload")
		room(200)
		counted("with room")
		s.run(epoch.Add(time.Minute + 10*time.Second))
		if s.live != want {
			t.Errorf("%s: %d instances, want %d", quota, s.live, want)
		}
	}
}
