package trace

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// digest sums up all calls of a trace.
func digest(t testing.TB, tr *Trace) string {
	h := fnv.New64a()
	n := 0
	for _, c := range all(t, tr) {
		fmt.Fprintln(h, c)
		n++
	}
	return fmt.Sprintf("%d %x", n, h.Sum64())
}

// TestSameOnEveryMachine: these digests must not change without a reason that the
// change log tells, and are the same for every operating system and processor.
func TestSameOnEveryMachine(t *testing.T) {
	for _, c := range []struct {
		w    Workload
		want string
	}{
		{Workload{Preset: Online, Seed: 1, Days: 2, CallsPerDay: 20_000}, "37465 774a212f4d6e19f2"},
		{Workload{Preset: Mixed, Seed: 1, Days: 1, CallsPerDay: 30_000, Spread: SpreadRandom}, "47677 4d7d14f5a64e2cfa"},
	} {
		tr, err := New(c.w)
		if err != nil {
			t.Fatal(err)
		}
		if got := digest(t, tr); got != c.want {
			t.Errorf("%s: %s, want %s", c.w.Preset, got, c.want)
		}
	}
	tr := open(t, folder(t, "c", counts3, "d", durations3), Options{Seed: 5, Spread: SpreadRandom})
	if got := digest(t, tr); got != "6 2139f1e36f9a5a37" {
		t.Errorf("counts: %s", got)
	}
}

// TestGenerated reads back what is written, in every packing.
func TestGenerated(t *testing.T) {
	for _, preset := range Presets() {
		w := Workload{Preset: preset, Seed: 7, Days: 2, CallsPerDay: 500, Functions: 8, Tenants: 4}
		tr, err := New(w)
		if err != nil {
			t.Fatal(err)
		}
		want := all(t, tr)
		for _, name := range []string{"u.csv", "u.csv.gz", "u.csv.zst"} {
			path := filepath.Join(t.TempDir(), name)
			for range 2 { // a second time over the first
				if err := Generate(context.Background(), path, Usage, w); err != nil {
					t.Fatal(err)
				}
			}
			back := open(t, path, Options{})
			got := all(t, back)
			if len(got) != len(want) {
				t.Fatalf("%s %s: %d calls, want %d", preset, name, len(got), len(want))
			}
			for i := range got {
				f, g := back.Functions()[got[i].Function], tr.Functions()[want[i].Function]
				if at := back.Start().Add(got[i].At); !at.Equal(tr.Start().Add(want[i].At)) || f.Name != g.Name || f.Tenant != g.Tenant || f.MiB != g.MiB || got[i].Duration != want[i].Duration.Truncate(time.Microsecond) {
					t.Fatalf("%s %s: call %d %+v of %+v, want %+v of %+v", preset, name, i, got[i], f, want[i], g)
				}
			}
		}
	}
}

func TestGeneratedAzure(t *testing.T) {
	w := Workload{Preset: Mixed, Seed: 7, Days: 2, CallsPerDay: 5000}
	path := filepath.Join(t.TempDir(), "az")
	if err := Generate(context.Background(), path, Azure2019, w); err != nil {
		t.Fatal(err)
	}
	back := open(t, path, Options{Seed: 7})
	w.Start = back.Start()
	tr, err := New(w)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(all(t, back), all(t, tr)) || !slices.Equal(back.Functions(), tr.Functions()) || back.Format() != Azure2019 || len(back.Skipped()) != 0 {
		t.Errorf("not the same: %s %+v", back.Format(), back.Skipped())
	}
	if err := Generate(context.Background(), path, Azure2019, w); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a trace that is there: %v", err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	dir := t.TempDir()
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	good := Workload{Preset: Online, Days: 1}
	for name, c := range map[string]struct {
		ctx    context.Context
		format Format
		spoil  func(*Workload)
	}{
		"preset":  {context.Background(), Usage, func(w *Workload) { w.Preset = "weird" }},
		"days":    {context.Background(), Usage, func(w *Workload) { w.Days = 0 }},
		"tenants": {context.Background(), Usage, func(w *Workload) { w.Functions, w.Tenants = 2, 3 }},
		"default": {context.Background(), Usage, func(w *Workload) { w.Tenants = 41 }}, // of 40 functions
		"slip":    {context.Background(), Usage, func(w *Workload) { w.Preset, w.Tenants = Mixed, math.MaxInt }},
		"of one":  {context.Background(), Usage, func(w *Workload) { w.Preset, w.Functions, w.Tenants = Mixed, 10, 10 }}, // two of online's for three tenants
		"calls":   {context.Background(), Usage, func(w *Workload) { w.CallsPerDay = -1 }},
		"start":   {context.Background(), Usage, func(w *Workload) { w.Start = time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC) }},
		"dates":   {context.Background(), Azure2019, func(w *Workload) { w.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }},
		"format":  {context.Background(), Azure2021, func(w *Workload) {}},
		"stopped": {stopped, Usage, func(w *Workload) {}},
		"halfway": {stopped, Azure2019, func(w *Workload) {}},
	} {
		w := good
		c.spoil(&w)
		if err := Generate(c.ctx, filepath.Join(dir, "x"), c.format, w); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// perDay counts calls of one preset by day.
func perDay(t *testing.T, w Workload) []int {
	tr, err := New(w)
	if err != nil {
		t.Fatal(err)
	}
	days := make([]int, w.Days)
	for _, c := range all(t, tr) {
		days[c.At/(24*time.Hour)]++
	}
	return days
}

func TestSeasons(t *testing.T) {
	days := perDay(t, Workload{Preset: Online, Seed: 2, Days: 28, CallsPerDay: 5000})
	total := 0
	for _, n := range days {
		total += n
	}
	if mean := total / 28; mean < 4800 || mean > 5800 {
		t.Errorf("%d calls a day, wanted about 5000: %v", mean, days)
	}
	bills := perDay(t, Workload{Preset: Settlement, Seed: 2, Days: 31, CallsPerDay: 500, Start: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)})
	if bills[0] < 8*bills[14] || bills[30] < 8*bills[14] || bills[1] > 2*bills[14]+50 || bills[14] < 300 {
		t.Errorf("bills of March: %v", bills)
	}
	// The night of 31 January begins twenty times as steep as that of the 30th.
	if n := nightOf(t, 31); n < 18*nightOf(t, 30) {
		t.Errorf("%d calls around half past one on the last of January", n)
	}
	tr, err := New(Workload{Preset: Inspection, Seed: 2, Days: 1, Functions: 1, CallsPerDay: 1})
	if err != nil {
		t.Fatal(err)
	}
	calls := all(t, tr)
	gap := calls[1].At - calls[0].At
	for i := 1; i < len(calls); i++ {
		if d := calls[i].At - calls[i-1].At; d != gap || gap%time.Minute != 0 {
			t.Fatalf("a timed function after %s and %s", gap, d)
		}
	}
}

// nightOf counts the settlement's calls around half past one on a day of January.
func nightOf(t *testing.T, day int) (n int) {
	tr, err := New(Workload{Preset: Settlement, Seed: 2, Days: 1, CallsPerDay: 5000, Start: time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all(t, tr) {
		if c.At >= 75*time.Minute && c.At < 105*time.Minute {
			n++
		}
	}
	return n
}

func TestPoisson(t *testing.T) {
	random := rand.NewPCG(1, 1)
	for _, mean := range []float64{0, 0.001, 0.3, 2, 11.99, 12, 50, 1000} {
		const n = 200_000
		sum, squares := 0.0, 0.0
		for range n {
			k := float64(poisson(mean, random))
			sum += k
			squares += k * k
		}
		m := sum / n
		variance := squares/n - m*m
		if tolerance := 5*math.Sqrt(mean/n) + 1e-9; math.Abs(m-mean) > tolerance || math.Abs(variance-mean) > 0.03*mean+tolerance {
			t.Errorf("mean %g: mean %g, variance %g", mean, m, variance)
		}
	}
	for x := 0.0; x < inverted; x += 0.0137 {
		if e := expMinus(x) / math.Exp(-x); math.Abs(e-1) > 1e-11 {
			t.Errorf("e^-%g is off by %g", x, e-1)
		}
	}
}
