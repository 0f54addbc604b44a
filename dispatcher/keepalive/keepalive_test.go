package keepalive

import (
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/spillway-dev/spillway"
)

const t0 = spillway.Instant(1_800_000_000_000_000_000)

type policy interface {
	Taken(now spillway.Instant, busy int, idle time.Duration)
	Warm(now spillway.Instant, rank int, idle time.Duration) (bool, time.Duration)
}

// expect compares what a policy says of the first place at an age.
func expect(t *testing.T, k policy, age time.Duration, warm bool, until time.Duration) {
	t.Helper()
	if w, u := k.Warm(t0, 1, age); w != warm || u != until {
		t.Errorf("at %s: %v until %s, want %v until %s", age, w, u, warm, until)
	}
}

func times(k policy, n int, idle time.Duration) {
	for range n {
		k.Taken(t0, 1, idle)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for _, idle := range []time.Duration{0, 59 * time.Second, time.Minute, 10 * time.Minute, 4*time.Hour - 1, 4 * time.Hour, 30 * time.Hour} {
		h.add(idle)
	}
	if h.inside != 5 || h.beyond != 2 || h.bins[0] != 2 || h.bins[1] != 1 || h.bins[10] != 1 || h.bins[239] != 1 {
		t.Fatalf("%d inside, %d beyond", h.inside, h.beyond)
	}
	for percent, bin := range map[int64]int{0: 0, 5: 0, 40: 0, 41: 1, 60: 1, 61: 10, 80: 10, 81: 239, 100: 239} {
		if got := h.percentile(percent); got != bin {
			t.Errorf("percentile %d is bin %d, want %d", percent, got, bin)
		}
	}
	// One bin of 2, three of 1, 236 of 0; mean 5/240: the variance is (2² + 3·1²)/240 - mean².
	mean := 5.0 / 240
	if want := math.Sqrt(7.0/240-mean*mean) / mean; math.Abs(h.spread()-want) > 1e-9 {
		t.Errorf("spread %v, want %v", h.spread(), want)
	}
	h.halve()
	if h.inside != 1 || h.beyond != 1 || h.bins[0] != 1 {
		t.Errorf("halved: %d inside, %d beyond", h.inside, h.beyond)
	}
}

// TestHistogramFull adds to a histogram at its limit: it is halved and does not wrap.
func TestHistogramFull(t *testing.T) {
	h := histogram{inside: mostSamples}
	h.bins[3] = mostSamples
	h.add(3 * time.Minute)
	if h.bins[3] != mostSamples/2+1 || h.inside != h.bins[3] {
		t.Errorf("%d in the bin, %d inside", h.bins[3], h.inside)
	}
}

func hybrid() *Hybrid {
	return NewHybrid(spillway.KeepAlivePolicy{HeadPercent: 5, TailPercent: 99, MarginPercent: 10}, 10*time.Minute)
}

func TestHybrid(t *testing.T) {
	t.Run("few idle times", func(t *testing.T) {
		k := hybrid()
		times(k, fewSamples-1, 30*time.Minute)
		expect(t, k, 0, true, 10*time.Minute)
		expect(t, k, 10*time.Minute, false, never)
	})
	t.Run("periodic", func(t *testing.T) {
		k := hybrid()
		times(k, 100, 29*time.Minute+50*time.Second)
		// Bin 29: from 29 min less 10 %, to 30 min and 10 %.
		expect(t, k, 0, false, 26*time.Minute+6*time.Second)
		expect(t, k, 26*time.Minute+6*time.Second, true, 33*time.Minute)
		expect(t, k, 33*time.Minute, false, never)
	})
	t.Run("short", func(t *testing.T) {
		k := hybrid()
		times(k, 99, 10*time.Second)
		times(k, 1, time.Hour)
		// 99 of 100 are in bin 0, which is the tail; the head leaves nothing to stop for.
		expect(t, k, 0, true, 66*time.Second)
	})
	t.Run("even", func(t *testing.T) {
		k := hybrid()
		for b := range binCount {
			times(k, 2, time.Duration(b)*time.Minute)
		}
		expect(t, k, 0, true, 10*time.Minute)
	})
	t.Run("beyond", func(t *testing.T) {
		k := hybrid()
		times(k, 20, 10*time.Hour)
		// All alike: the margin is 15 % of ten hours.
		expect(t, k, 0, false, 8*time.Hour+30*time.Minute)
		expect(t, k, 9*time.Hour, true, 11*time.Hour+30*time.Minute)
	})
	t.Run("unknown", func(t *testing.T) {
		k := hybrid()
		times(k, 100, -1)
		if k.seen != nil {
			t.Error("an idle time that is not known was counted")
		}
	})
}

// TestSmoothing follows three idle times by hand: the mean begins at the first, and
// has 0.3 of each miss; so has the deviation.
func TestSmoothing(t *testing.T) {
	k := hybrid()
	k.Taken(t0, 1, 10*time.Hour)
	k.Taken(t0, 1, 20*time.Hour)
	k.Taken(t0, 1, 13*time.Hour)
	mean, deviation := 10+0.3*10, 0.3*10
	if got := k.mean / float64(time.Hour); math.Abs(got-mean) > 1e-9 {
		t.Errorf("mean %v, want %v", got, mean)
	}
	if got := k.deviation / float64(time.Hour); math.Abs(got-0.7*deviation) > 1e-9 {
		t.Errorf("deviation %v, want %v", got, 0.7*deviation)
	}
}

func forecast() *Forecast {
	return NewForecast(spillway.KeepAlivePolicy{Worth: 20 * time.Minute}, 10*time.Minute)
}

func TestForecast(t *testing.T) {
	t.Run("nothing known", func(t *testing.T) {
		expect(t, forecast(), 0, true, 10*time.Minute)
		expect(t, forecast(), 10*time.Minute, false, never)
	})
	t.Run("the prior alone is the window", func(t *testing.T) {
		k := forecast()
		o := new(outlook)
		k.work(o)
		for b := range binCount {
			if o.warm.has(b) != (b < 10) {
				t.Fatalf("minute %d: %v", b, o.warm.has(b))
			}
		}
	})
	t.Run("periodic", func(t *testing.T) {
		k := forecast()
		times(k, 100, 30*time.Minute+time.Second)
		// There in the first minute, and in the one in which all calls come.
		expect(t, k, 0, true, time.Minute)
		expect(t, k, time.Minute, false, 30*time.Minute)
		expect(t, k, 30*time.Minute, true, 31*time.Minute)
		expect(t, k, 31*time.Minute, false, never)
	})
	t.Run("two minutes are worth staying", func(t *testing.T) {
		k := forecast()
		times(k, 100, 2*time.Minute)
		// Stopping after the first minute would save one and cost a start, which is one;
		// what little passes the third minute is the prior's.
		expect(t, k, 0, true, 10*time.Minute)
	})
	t.Run("a rare minute is not worth it", func(t *testing.T) {
		k := forecast()
		times(k, 96, 40*time.Minute)
		times(k, 4, 20*time.Minute)
		// 4 of 100 spare 4 × 20 minutes and cost 100 and the starts.
		expect(t, k, 20*time.Minute, false, 40*time.Minute)
	})
	t.Run("to the end", func(t *testing.T) {
		k := forecast()
		times(k, 100, 4*time.Hour-time.Second)
		expect(t, k, 239*time.Minute, true, 4*time.Hour)
		expect(t, k, 4*time.Hour, false, never)
	})
	t.Run("classes", func(t *testing.T) {
		k := forecast()
		for range 100 {
			k.Taken(t0, 5, 30*time.Minute)
		}
		expect(t, k, 30*time.Minute, false, never)
		for rank, warm := range map[int]bool{1: false, 3: false, 4: true, 7: true, 8: false} {
			if got, _ := k.Warm(t0, rank, 30*time.Minute); got != warm {
				t.Errorf("place %d at 30 m: %v", rank, got)
			}
		}
	})
}

// TestForecastIsCheapest compares the plan with every other over twelve minutes.
func TestForecastIsCheapest(t *testing.T) {
	for seed := range 40 {
		k, o := forecast(), new(outlook)
		for b := range 12 {
			n := uint32((seed*7 + b*b*13 + b*seed) % 17 / 5 * 9)
			o.seen.bins[b] = n
			o.seen.inside += n
		}
		k.work(o)
		got, best := cost(k, o, func(b int) bool { return o.warm.has(b) }), math.Inf(1)
		for set := range 1 << 12 {
			if set&1 != 0 {
				best = min(best, cost(k, o, func(b int) bool { return b < 12 && set&(1<<b) != 0 }))
			}
		}
		if got > best+1e-6 {
			t.Errorf("seed %d: the plan costs %v, another %v", seed, got, best)
		}
	}
}

// cost is what a plan costs, in minutes of idle time.
func cost(k *Forecast, o *outlook, warm func(int) bool) (sum float64) {
	left, before := float64(o.seen.inside), true
	for b := range binCount {
		n := float64(o.seen.bins[b])
		switch {
		case warm(b) && !before:
			sum += startCost*(left+priorWeight) + left + priorWeight
		case warm(b):
			sum += left + priorWeight
		default:
			sum += (n + priorWeight*10/(k.worth*float64(b+1))) * k.worth
		}
		left, before = left-n, warm(b)
	}
	return sum
}

func TestProvisioned(t *testing.T) {
	k := NewProvisioned(spillway.KeepAlivePolicy{SharePercent: 10, Window: time.Hour}, 5*time.Minute)
	k.Taken(t0, 21, -1) // 10 % of 21, rounded up, is 3
	for _, c := range []struct {
		at, age time.Duration
		rank    int
		warm    bool
		until   time.Duration
	}{
		{0, 0, 4, true, 5 * time.Minute},
		{10 * time.Minute, 6 * time.Minute, 4, false, never},
		{10 * time.Minute, 6 * time.Minute, 3, true, 56 * time.Minute}, // the window ends in 50 minutes
		{61 * time.Minute, time.Hour, 3, true, 119 * time.Minute},      // the last window counts
		{121 * time.Minute, 2 * time.Hour, 1, false, never},            // and is forgotten
	} {
		if warm, until := k.Warm(t0.Add(c.at), c.rank, c.age); warm != c.warm || until != c.until {
			t.Errorf("after %s, rank %d: %v until %s, want %v until %s", c.at, c.rank, warm, until, c.warm, c.until)
		}
	}
}

// TestSizes holds what is kept for a function to its promise.
func TestSizes(t *testing.T) {
	for name, size := range map[string]uintptr{"histogram": unsafe.Sizeof(histogram{}), "outlook": unsafe.Sizeof(outlook{}),
		"Hybrid": unsafe.Sizeof(Hybrid{}), "Forecast": unsafe.Sizeof(Forecast{}), "Provisioned": unsafe.Sizeof(Provisioned{})} {
		if size > 1024 {
			t.Errorf("%s takes %d bytes", name, size)
		}
	}
}

// TestNothingAllocated learns and asks in a state that is no longer new.
func TestNothingAllocated(t *testing.T) {
	for name, k := range map[string]policy{"hybrid": hybrid(), "forecast": forecast(), "provisioned": NewProvisioned(spillway.KeepAlivePolicy{SharePercent: 10, Window: time.Hour}, time.Minute)} {
		i := 0
		step := func() {
			i++
			k.Taken(t0.Add(time.Duration(i)*time.Second), 1+i%3, time.Duration(i%300)*time.Minute)
			k.Warm(t0.Add(time.Duration(i)*time.Second), 1+i%3, time.Duration(i%100)*time.Minute)
		}
		for range 3 {
			step()
		}
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
