package planner

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
)

// patient ends after it was looked at so often.
type patient struct {
	context.Context
	looks, most int
}

func (p *patient) Err() error {
	if p.looks++; p.looks > p.most {
		return context.Canceled
	}
	return nil
}

// TestPlanningEnds: each answer looks at its context throughout the work, and ends with it.
func TestPlanningEnds(t *testing.T) {
	in := benchInput(2)
	in.Series.Steps = in.Series.Steps[:28*24]
	in.Nodes[0].Max, in.Nodes[1].Max = 20, 20
	in.Burst.Packages = []Package{{Name: "s", Fee: 5_000_000_000, MiBMillis: 100_000 * gibSecond, Most: 2}}
	in.Burst.Stack = true
	choice := Choice{Nodes: []int64{2, 2}}
	for name, ask := range map[string]func(context.Context) error{
		"plan":        func(ctx context.Context) error { _, err := Plan(ctx, in); return err },
		"bound":       func(ctx context.Context) error { _, err := Bound(ctx, in); return err },
		"judge":       func(ctx context.Context) error { _, err := Judge(ctx, in, choice); return err },
		"sensitivity": func(ctx context.Context) error { _, err := Sensitivity(ctx, in, choice); return err },
		"halves":      func(ctx context.Context) error { _, _, err := FitAndJudge(ctx, in); return err },
	} {
		whole := &patient{Context: t.Context(), most: 1 << 40}
		if err := ask(whole); err != nil || whole.looks < 3 {
			t.Fatalf("%s: %d looks, %v", name, whole.looks, err)
		}
		for _, most := range []int{0, 1, whole.looks / 2, whole.looks - 1} {
			if err := ask(&patient{Context: t.Context(), most: most}); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: ended at look %d of %d: %v", name, most, whole.looks, err)
			}
		}
	}
}

// TestBoundOfManyPackages: sets of packages that cannot be the best are left early, with
// the same bound.
func TestBoundOfManyPackages(t *testing.T) {
	in := benchInput(2)
	in.Burst.Stack = true
	in.Burst.Packages = []Package{{Name: "s", Fee: 4_000_000_000, MiBMillis: 300_000 * gibSecond, Most: 7}, {Name: "l", Fee: 90_000_000_000, MiBMillis: 9_000_000 * gibSecond, Most: 7}}
	m, err := in.planned()
	if err != nil {
		t.Fatal(err)
	}
	whole := &patient{Context: t.Context(), most: 1 << 40}
	got, err := Bound(whole, in)
	if err != nil {
		t.Fatal(err)
	}
	all := &patient{Context: t.Context(), most: 1 << 40}
	want := Lower{Total: spillway.MaxNano}
	for set := range m.sets {
		low, at, err := m.relax(set).minimum(all, float64(spillway.MaxNano))
		if err != nil {
			t.Fatal(err)
		}
		if total := spillway.Nano(low - boundSafe*low - 1); total < want.Total {
			want = Lower{Total: total, Nodes: at, Packages: m.sets[set]}
		}
	}
	if got.Total != want.Total || !slices.Equal(got.Nodes, want.Nodes) || !slices.Equal(got.Packages, want.Packages) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if whole.looks*2 > all.looks {
		t.Errorf("%d cuts, without leaving early %d", whole.looks, all.looks)
	}
}

func TestTooMuchForABound(t *testing.T) {
	in := Input{Series: Series{StepMillis: 60_000, Steps: make([]Step, 300_000)}, Burst: perGiBHour(1)}
	in.Burst.Stack, in.Burst.Packages = true, []Package{{Most: 4000}}
	var large *TooLargeError
	if _, err := Bound(t.Context(), in); !errors.As(err, &large) || large.Limit != maxBound {
		t.Error(err)
	}
	in.Series.Steps = in.Series.Steps[:10]
	if _, err := Bound(t.Context(), in); err != nil {
		t.Error(err)
	}
}

// TestRecorderIsBounded: a step too many is a fault before it takes memory.
func TestRecorderIsBounded(t *testing.T) {
	r, err := NewRecorder(time.Time{}, time.Millisecond, spillway.Rate{})
	if err != nil {
		t.Fatal(err)
	}
	var input *InputError
	if err := r.Add(0, MaxSteps*1000, spillway.Resources{MiB: 1}, 1); !errors.As(err, &input) || len(r.steps) != 0 {
		t.Errorf("%v, %d steps", err, len(r.steps))
	}
	if err := r.Add((MaxSteps-1)*1000, 999, spillway.Resources{MiB: 1}, 1); err != nil || len(r.steps) != MaxSteps {
		t.Errorf("%v, %d steps", err, len(r.steps))
	}
}
