package trace

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestInspect(t *testing.T) {
	tr := open(t, folder(t, "c", counts3, "d", durations3, "m", memory3), Options{Seed: 1})
	if _, err := tr.Next(make([]Call, 2)); err != nil {
		t.Fatal(err)
	}
	s, err := Inspect(context.Background(), tr)
	if err != nil {
		t.Fatal(err)
	}
	calls := all(t, tr) // Inspect rewinds
	if s.Calls != 6 || s.Functions != 3 || s.Tenants != 2 || s.MeanPerMinute != 2 || s.PeakPerMinute != 4 || s.PeakMinute != 0 {
		t.Errorf("%+v", s)
	}
	if s.FunctionsByDefault != 1 || s.NeverCalled != 1 || math.Abs(s.RareShare-1./3) > 1e-9 || s.FunctionsMemory != 2 || s.CallsWithoutMemory != 3 || s.MemoryMiB[3] != 102 {
		t.Errorf("%+v", s)
	}
	var sum, known time.Duration
	var most time.Duration
	for _, c := range calls {
		sum += c.Duration
		most = max(most, c.Duration)
		if c.Function == 0 {
			known += c.Duration
		}
	}
	if got := known.Seconds() * 102 / 1024; math.Abs(s.GiBSeconds-got) > 1e-9 {
		t.Errorf("%g GiB-s, want %g", s.GiBSeconds, got)
	}
	if p := s.Duration.Points(); s.MeanDuration != sum/6 || p[6] != most {
		t.Errorf("durations %s %v", s.MeanDuration, p)
	}
	text, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(text), `"Duration":[`) || !strings.Contains(string(text), "durations of a function without counts") {
		t.Errorf("%s %v", text, err)
	}
}

// TestPeakConcurrency against counting all calls at every arrival.
func TestPeakConcurrency(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var rows strings.Builder
	for i := range 500 {
		start, lasts := time.Duration(random.IntN(300))*time.Second, time.Duration(random.IntN(40))*time.Second
		switch i % 5 {
		case 1:
			lasts /= 1000
		case 2: // of the ring's first size, of its last, and beyond
			lasts *= time.Duration(1 + i*i)
		case 3: // long after
			start *= 100
		}
		rows.WriteString(row2021(start, lasts))
	}
	tr := open(t, folder(t, "x", head2021+rows.String()), Options{})
	s, err := Inspect(context.Background(), tr)
	if err != nil {
		t.Fatal(err)
	}
	most, calls := int64(0), all(t, tr)
	for _, at := range calls {
		busy := int64(0)
		for _, c := range calls {
			if c.At <= at.At && c.At+c.Duration > at.At {
				busy++
			}
		}
		most = max(most, busy)
	}
	if s.PeakConcurrency != most || most < 10 {
		t.Errorf("%d, counted %d", s.PeakConcurrency, most)
	}
}

func row2021(start, duration time.Duration) string {
	return "a,f," + seconds(start+duration) + "," + seconds(duration) + "\n"
}

func seconds(d time.Duration) string {
	b, _ := json.Marshal(d.Seconds())
	return string(b)
}

func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var h histogram
	var exact []time.Duration
	for range 20_000 {
		d := time.Duration(math.Exp(random.NormFloat64()*3+15)) + time.Microsecond
		h.add(d)
		exact = append(exact, d)
	}
	slices.Sort(exact)
	for _, q := range []float64{0, 0.01, 0.25, 0.5, 0.9, 0.99, 1} {
		want := exact[min(int(q*float64(len(exact))), len(exact)-1)]
		if got := h.at(q); math.Abs(float64(got-want)) > float64(want)/8+float64(time.Microsecond) {
			t.Errorf("%g: %s, want %s", q, got, want)
		}
	}
	if h.at(0) != exact[0] || h.at(1) != exact[len(exact)-1] {
		t.Errorf("ends %s %s", h.at(0), h.at(1))
	}
	for _, d := range []time.Duration{0, 127, 128, 1023, 1024, 1 << 20, 1<<20 + 1, 1<<62 - 1} {
		if c := class(d); edge(c) > d || edge(c+1) <= d && edge(c+1) > 0 {
			t.Errorf("%d is in class %d from %d to %d", d, c, edge(c), edge(c+1))
		}
	}
}

func TestQuantiles(t *testing.T) {
	q, ok := NewQuantiles([quantileCount]time.Duration{0, ms(1), ms(25), ms(50), ms(75), ms(99), ms(100)})
	if !ok || q.Mean() != ms(50) || q.At(0.3) != ms(30) || q.At(-1) != 0 || q.At(2) != ms(100) || q.At(0.995) != ms(99.5) {
		t.Errorf("%s %s", q.Mean(), q.At(0.3))
	}
	if lo, hi := q.draw(0), q.draw(math.MaxUint64); lo != 0 || hi < ms(99.9) || hi > ms(100) {
		t.Errorf("draws from %s to %s", lo, hi)
	}
	// A uniform distribution has a uniform draw.
	random := rand.NewPCG(7, 8)
	var seen [10]int
	for range 100_000 {
		seen[min(9, q.draw(random.Uint64())/ms(10))]++
	}
	for i, n := range seen {
		if n < 9_500 || n > 10_500 {
			t.Errorf("%d of 100000 draws in tenth %d", n, i)
		}
	}
	if _, ok := NewQuantiles([quantileCount]time.Duration{2, 1}); ok {
		t.Error("points that decrease")
	}
	if _, ok := NewQuantiles([quantileCount]time.Duration{-1}); ok {
		t.Error("a negative point")
	}
}
