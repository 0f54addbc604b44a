package planner

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSmallestQuotaIsRightForAnySteadyTrial(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Int64Range(0, 1<<62).Draw(t, "most")
		need := rapid.Int64Range(0, most).Draw(t, "need")
		guess := rapid.Int64Range(-5, math.MaxInt64).Draw(t, "guess")
		steady := func(q int64) (float64, int64, error) {
			if q < need {
				return 0.5, 900, nil
			}
			return 0.01, 0, nil
		}
		a, err := SmallestQuota(guess, most, Aim{RefusedShare: 0.01, P95WaitMicros: 100}, steady)
		if err != nil || a.Quota != need || !a.Meets || !a.Monotone || a.Unlimited != (need == most) {
			t.Fatalf("%+v %v, want %d", a, err, need)
		}
	})
}

func TestSmallestQuotaGoesAboveALaterFailure(t *testing.T) {
	// It refuses up to 9, and oddly again at 12: the answer must be 13 or more.
	odd := func(q int64) (float64, int64, error) {
		if q <= 9 || q == 12 {
			return 1, 0, nil
		}
		return 0, 0, nil
	}
	a, err := SmallestQuota(10, 100, Aim{}, odd)
	if err != nil || a.Quota != 13 || a.Monotone {
		t.Fatalf("%+v %v", a, err)
	}
}

func TestSmallestQuotaFails(t *testing.T) {
	never := func(int64) (float64, int64, error) { return 1, 0, nil }
	if a, err := SmallestQuota(3, 50, Aim{}, never); !errors.Is(err, ErrUnreachable) || a.Quota != 50 {
		t.Fatalf("%+v %v", a, err)
	}
	broken := errors.New("broken")
	if _, err := SmallestQuota(3, 50, Aim{}, func(int64) (float64, int64, error) { return 0, 0, broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	alternating := func(q int64) (float64, int64, error) { return float64(q & 1), 0, nil }
	if a, err := SmallestQuota(5, 1<<40, Aim{}, alternating); err == nil || !strings.Contains(err.Error(), "does not depend on the quota steadily") || len(a.Trials) != maxTrials || a.Monotone {
		t.Fatalf("a trial by parity passed as steady: %+v %v", a, err)
	}
}

func TestWaitsCount(t *testing.T) {
	trial := func(q int64) (float64, int64, error) { return 0, 1000 - 10*q, nil }
	if a, err := SmallestQuota(0, 100, Aim{P95WaitMicros: 250}, trial); err != nil || a.Quota != 75 {
		t.Fatalf("%+v %v", a, err)
	}
	if a, err := SmallestQuota(7, 100, Aim{P95WaitMicros: -1}, trial); err != nil || a.Quota != 0 {
		t.Fatalf("any wait: %+v %v", a, err)
	}
}

func TestLevels(t *testing.T) {
	got, err := Levels([]Interval{{0, 10}, {5, 20}, {20, 30}, {40, 50}})
	if err != nil {
		t.Fatal(err)
	}
	want := []Level{{0, 10}, {1, 35}, {2, 5}}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Fatalf("%v, want %v", got, want)
	}
	// 45 µs busy: a quota of 1 leaves 5 out, 11.1 %.
	for _, c := range []struct {
		share float64
		want  int64
	}{{0, 2}, {0.11, 2}, {0.112, 1}, {0.99, 1}, {1, 0}} {
		if q := FluidQuota(got, c.share); q != c.want {
			t.Errorf("share %v: quota %d, want %d", c.share, q, c.want)
		}
	}
	if q := FluidQuota(nil, 0); q != 0 {
		t.Fatalf("no demand needs %d", q)
	}
}

func TestFluidQuotaByDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var levels []Level
		var busy int64
		for range rapid.IntRange(0, 8).Draw(t, "n") {
			l := Level{rapid.Int64Range(0, 30).Draw(t, "busy"), rapid.Int64Range(1, 50).Draw(t, "micros")}
			levels = append(levels, l)
			busy += l.Busy * l.Micros
		}
		share := float64(rapid.IntRange(0, 64).Draw(t, "share")) / 64
		want := int64(0)
		for ; ; want++ {
			var over int64
			for _, l := range levels {
				over += max(0, l.Busy-want) * l.Micros
			}
			if float64(over) <= share*float64(busy) {
				break
			}
		}
		if got := FluidQuota(levels, share); got != want {
			t.Fatalf("quota %d, want %d", got, want)
		}
	})
}
