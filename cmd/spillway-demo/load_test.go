package main

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// instant answers every call at once.
type instant struct{ answer answer }

func (i instant) call(context.Context, string, string) answer { return i.answer }

func nothing(*rand.Rand) string { return "" }

func TestPhaseWaitsForItsMoment(t *testing.T) {
	p := phase{Calls: 3, Most: 100_000, Streams: []stream{{"shop", "web", 2, nothing, 0}, {"shop", "echo", 1, nothing, 0}}, Midway: &moment{After: 2}}
	tally := newTally([]phase{p}, nil)
	by := callers{"shop": instant{answer{Namespace: "shop", Kind: succeeded}}}
	during := 0
	drive(t.Context(), 0, p, by, tally, func() {
		for tally.answered() < 10 {
			pause(t.Context(), time.Microsecond)
		}
		during = tally.answered()
	})
	sent, answers := tally.all()
	if during < 10 || sent < during || sent != len(answers) {
		t.Errorf("%d answered when the moment was over, %d sent, %d answered in all", during, sent, len(answers))
	}
}

func TestOwnCaller(t *testing.T) {
	by := callers{"shop": instant{answer{Function: "any"}}, "shop/web": instant{answer{Function: "web"}}}
	for _, function := range []string{"web", "any"} {
		if a := by.of(stream{Namespace: "shop", Function: function}).call(t.Context(), function, ""); a.Function != function {
			t.Errorf("%s was called by the caller of %s", function, a.Function)
		}
	}
}

// TestMomentOfAShortPhase wants it to come though the phase broke off before.
func TestMomentOfAShortPhase(t *testing.T) {
	p := phase{Calls: 50, Most: 50, Streams: []stream{{"shop", "echo", 1, nothing, 0}}, Midway: &moment{After: 60}}
	tally := newTally([]phase{p}, nil)
	came := false
	drive(t.Context(), 0, p, callers{"shop": instant{answer{Kind: succeeded}}}, tally, func() { came = true })
	if sent, _ := tally.all(); !came || sent != 50 {
		t.Errorf("the moment came: %t, after %d calls; want it after 50", came, sent)
	}
}
