package keepalive

import (
	"math"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
)

func windows() *Windows {
	return NewWindows(spillway.KeepAlivePolicy{Stable: time.Minute, PanicPercent: 10, TargetPercent: 70}, 2*time.Minute)
}

// want compares what the windows want.
func want(t *testing.T, k *Windows, after time.Duration, ready int, w Scale) {
	t.Helper()
	if got := k.Wanted(t0.Add(after), ready, 1); got != w {
		t.Errorf("after %s: %d wanted, start %v, hold %v, until %s; want %d, %v, %v, %s", after,
			got.Wanted, got.Start, got.Hold, got.Until.Sub(t0), w.Wanted, w.Start, w.Hold, w.Until.Sub(t0))
	}
}

// TestWindowsStep takes a load of seven, with seven ready, up and down again.
func TestWindowsStep(t *testing.T) {
	k := windows()
	k.Load(t0, 7)
	want(t, k, 0, 7, Scale{1, true, false, t0.Add(600 * time.Millisecond)})
	// 30 s of 60 are 3.5 calls: five instances at 70 %.
	want(t, k, 30*time.Second, 7, Scale{5, true, false, t0.Add(30*time.Second + 600*time.Millisecond)})
	// A whole window is seven: ten instances, and so it stays.
	want(t, k, time.Minute, 7, Scale{10, true, false, spillway.Never})
	want(t, k, time.Hour, 10, Scale{10, true, false, spillway.Never})
	k.Load(t0.Add(time.Hour), 0)
	// One less for each tenth of the window; no starts when the panic window is empty.
	want(t, k, time.Hour, 10, Scale{10, true, false, t0.Add(time.Hour + 6*time.Second)})
	want(t, k, time.Hour+6*time.Second, 10, Scale{9, false, false, t0.Add(time.Hour + 12*time.Second)})
	want(t, k, time.Hour+54*time.Second, 10, Scale{1, false, false, t0.Add(time.Hour + time.Minute)})
	// The last for two minutes.
	want(t, k, time.Hour+time.Minute, 1, Scale{1, false, false, t0.Add(time.Hour + 2*time.Minute)})
	want(t, k, time.Hour+2*time.Minute, 1, Scale{0, false, false, spillway.Never})
}

// TestWindowsPanic has twenty calls wait while one instance is ready.
func TestWindowsPanic(t *testing.T) {
	k := windows()
	k.Load(t0, 20)
	// 0.6 s of six are a mean of two: twice what one instance takes.
	want(t, k, 500*time.Millisecond, 1, Scale{1, true, false, t0.Add(600 * time.Millisecond)})
	want(t, k, 600*time.Millisecond, 1, Scale{3, true, true, t0.Add(1200 * time.Millisecond)})
	want(t, k, 6*time.Second, 1, Scale{29, true, true, t0.Add(6600 * time.Millisecond)})
	// With eleven ready it is no panic any more, and nothing is ended for a minute.
	want(t, k, 6*time.Second+100*time.Millisecond, 11, Scale{3, true, true, t0.Add(6600 * time.Millisecond)})
	k.Load(t0.Add(7*time.Second), 0)
	want(t, k, 50*time.Second, 11, Scale{4, false, true, t0.Add(61200 * time.Millisecond)})
	want(t, k, 65*time.Second, 11, Scale{2, false, true, t0.Add(65400 * time.Millisecond)})
	want(t, k, 66*time.Second, 11, Scale{1, false, false, t0.Add(67200 * time.Millisecond)})
}

// TestWindowsConcurrency counts what an instance takes at once.
func TestWindowsConcurrency(t *testing.T) {
	k := windows()
	k.Load(t0, 70)
	if sc := k.Wanted(t0.Add(time.Minute), 10, 10); sc.Wanted != 10 || sc.Hold {
		t.Errorf("%+v", sc)
	}
	if sc := k.Wanted(t0.Add(2*time.Minute), 3, 10); sc.Wanted != 10 || !sc.Hold {
		t.Errorf("70 calls and room for 30 is a panic: %+v", sc)
	}
}

// TestWindowsMost has the greatest load and the longest windows: no sum overflows.
func TestWindowsMost(t *testing.T) {
	k := NewWindows(spillway.KeepAlivePolicy{Stable: time.Hour, PanicPercent: 100, TargetPercent: 100}, time.Minute)
	k.Load(t0, math.MaxInt)
	if sc := k.Wanted(t0.Add(24*time.Hour), 0, 1); sc.Wanted != mostLoad || !sc.Hold {
		t.Errorf("%+v", sc)
	}
}

// change is a load from an instant on.
type change struct {
	at   spillway.Instant
	load int
}

// meanOf is the mean load over a window that ends where the last whole span does.
func meanOf(all []change, ends spillway.Instant, window time.Duration) float64 {
	var sum float64
	for i, c := range all {
		until := ends
		if i+1 < len(all) {
			until = min(until, all[i+1].at)
		}
		if from := max(c.at, ends.Add(-window)); until > from {
			sum += float64(c.load) * float64(until.Sub(from))
		}
	}
	return sum / float64(window)
}

// TestWindowsProperties compares with means worked out from all changes of the load, and
// holds Until, Start and Hold to their words.
func TestWindowsProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		stable := time.Duration(rapid.IntRange(10, 3600).Draw(rt, "stable")) * time.Second
		percent := rapid.Int64Range(1, 100).Draw(rt, "panic")
		target := rapid.Int64Range(1, 100).Draw(rt, "target")
		atOnce := rapid.IntRange(1, 50).Draw(rt, "at once")
		keep := time.Duration(rapid.IntRange(0, 600).Draw(rt, "keep")) * time.Second
		policy := spillway.KeepAlivePolicy{Stable: stable, PanicPercent: percent, TargetPercent: target}
		k, span, now := NewWindows(policy, keep), stable/spans, t0
		short := time.Duration(percent) * span
		var all []change
		quiet, idle := spillway.Instant(0), spillway.Instant(0)
		for range rapid.IntRange(1, 30).Draw(rt, "changes") {
			load := rapid.IntRange(0, 40).Draw(rt, "load")
			if n := len(all); n > 0 && all[n-1].load > 0 && load == 0 {
				idle = now
			}
			k.Load(now, load)
			all = append(all, change{now, load})
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(stable)*3/2).Draw(rt, "time")))

			ready := rapid.IntRange(0, 40).Draw(rt, "ready")
			got := k.Wanted(now, ready, atOnce)
			ends := now.Add(-(now.Sub(t0) % span))
			long, brief := meanOf(all, ends, stable), meanOf(all, ends, short)
			each := float64(atOnce) * float64(target) / 100
			wanted := long / each
			if take := panicAt * float64(max(1, ready)*atOnce); brief >= take-1e-9 {
				if brief < take+1e-9 {
					rt.Skip("on the edge of a panic")
				}
				quiet, wanted = now.Add(spans*span), max(wanted, brief/each)
			}
			if wanted < 1e-9 && (load > 0 || now < idle.Add(max(keep, stable))) {
				wanted = 1
			}
			if float64(got.Wanted) < wanted-1e-6 || float64(got.Wanted) >= wanted+1+1e-6 {
				rt.Fatalf("%d wanted, of means %v and %v over %v at %s", got.Wanted, long, brief, each, now.Sub(t0))
			}
			if got.Hold != (now < quiet) {
				rt.Fatalf("hold is %v, the last panic %s ago", got.Hold, stable-quiet.Sub(now))
			}
			if got.Start != (brief > 0 || load > 0) {
				rt.Fatalf("start is %v with %d calls and a mean of %v", got.Start, load, brief)
			}
			if got.Until <= now {
				rt.Fatalf("it changes at %s, now %s", got.Until.Sub(t0), now.Sub(t0))
			}
			if quiet <= now { // a panic that fades does not say when
				later := now.Add(min(got.Until.Sub(now)-1, 2*stable))
				fork := *k
				if then := fork.Wanted(later, ready, atOnce); then.Wanted != got.Wanted && !then.Hold {
					rt.Fatalf("%d wanted until %s, and %d at %s", got.Wanted, got.Until.Sub(t0), then.Wanted, later.Sub(t0))
				}
			}
		}
	})
}

// TestWindowsSize holds what is kept for a function to its promise, and the events of a
// busy function to no allocation.
func TestWindowsSize(t *testing.T) {
	if size := unsafe.Sizeof(Windows{}); size > 1024 {
		t.Errorf("Windows takes %d bytes", size)
	}
	k, i := windows(), 0
	if n := testing.AllocsPerRun(1000, func() {
		i++
		k.Load(t0.Add(time.Duration(i)*300*time.Millisecond), i%9)
		k.Wanted(t0.Add(time.Duration(i)*300*time.Millisecond), 3, 1)
	}); n != 0 {
		t.Errorf("an event allocates %v times", n)
	}
}

func BenchmarkWindows(b *testing.B) {
	k, i := windows(), 0
	for b.Loop() {
		i++
		k.Load(t0.Add(time.Duration(i)*time.Millisecond), i%9)
		k.Wanted(t0.Add(time.Duration(i)*time.Millisecond), 3, 1)
	}
}
