package trace

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// like1250 makes a day of counts in the shape of the 1,250-function sample: few
// functions have most calls, most are called less than once a minute.
func like1250(t testing.TB) string {
	random := rand.New(rand.NewPCG(1, 1250))
	var counts, durations bytes.Buffer
	counts.WriteString("HashOwner,HashApp,HashFunction")
	for m := range 1440 {
		fmt.Fprintf(&counts, ",%d", m+1)
	}
	durations.WriteString(strings.SplitAfter(durations3, "\n")[0])
	for f := range 1250 {
		id := fmt.Sprintf("%064x", f)
		fmt.Fprintf(&counts, "\n%s,%s,%s", id, id, id)
		rate := 2000 / float64(f+1)
		if f > 400 {
			rate = 30 / float64(f)
		}
		for range 1440 {
			fmt.Fprintf(&counts, ",%d", int(rate*(0.5+random.Float64())+random.Float64()))
		}
		fmt.Fprintf(&durations, "%s,%s,%s,0,1", id, id, id)
		d := random.IntN(1000)
		for range quantileCount {
			fmt.Fprintf(&durations, ",%d", d)
			d += random.IntN(2000)
		}
		durations.WriteByte('\n')
	}
	return folder(t, "c", counts.String(), "d", durations.String())
}

func drain(b testing.TB, t *Trace, into []Call) (n int64) {
	if err := t.Rewind(); err != nil {
		b.Fatal(err)
	}
	for {
		k, err := t.Next(into)
		n += int64(k)
		if err == io.EOF {
			return n
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	dir := like1250(b)
	for _, spread := range []Spread{SpreadEven, SpreadRandom} {
		b.Run(spread.String(), func(b *testing.B) { benchmarkNext(b, open(b, dir, Options{Spread: spread})) })
	}
	b.Run("synthetic", func(b *testing.B) {
		t, err := New(Workload{Preset: Mixed, Days: 1, CallsPerDay: 10_000_000, Functions: 1000})
		if err != nil {
			b.Fatal(err)
		}
		benchmarkNext(b, t)
	})
	b.Run("rows", func(b *testing.B) {
		var text strings.Builder
		text.WriteString(head2021)
		random := rand.New(rand.NewPCG(1, 2021))
		for i := range 200_000 {
			fmt.Fprintf(&text, "%064x,%064x,%d.%09d,%d.%03d\n", i%20, i%300, i/100, random.IntN(1e9), random.IntN(20), random.IntN(1000))
		}
		benchmarkNext(b, open(b, folder(b, "x", text.String()), Options{}))
	})
}

func benchmarkNext(b *testing.B, t *Trace) {
	into := make([]Call, 4096)
	calls := drain(b, t, into)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		calls = drain(b, t, into)
	}
	b.ReportMetric(float64(calls)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mcalls/s")
}

func BenchmarkUsageWriter(b *testing.B) {
	row := UsageRow{Admitted: time.Date(2026, 1, 1, 2, 3, 4, 567891234, time.UTC), Namespace: "shop", Function: "ssr", Revision: "r1", Department: "retail", Pool: "onprem",
		Duration: 1234567, Init: -1, MemoryMiB: 512, MilliCPU: 300, BilledMillis: 2, Amount: amount(b, "0.000000033400000001"), Currency: "CNY"}
	w := NewUsageWriter(io.Discard)
	b.ReportAllocs()
	for range b.N {
		if err := w.Write(&row); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNoAllocations: expanding counts into calls allocates nothing after the first time.
func TestNoAllocations(t *testing.T) {
	counts := strings.Builder{}
	counts.WriteString("HashOwner,HashApp,HashFunction,1,2,3,4\n")
	for f := range 300 {
		fmt.Fprintf(&counts, "o,a,%d,%d,%d,%d,%d\n", f, f, 300-f, f%7, 40)
	}
	for _, spread := range []Spread{SpreadEven, SpreadRandom} {
		tr := open(t, folder(t, "c", counts.String()), Options{Spread: spread})
		into := make([]Call, 512)
		drain(t, tr, into)
		drain(t, tr, into)
		if n := testing.AllocsPerRun(5, func() { drain(t, tr, into) }); n != 0 {
			t.Errorf("%s: %g allocations for %d calls", spread, n, tr.Calls())
		}
	}
}

func BenchmarkInspect(b *testing.B) {
	t := open(b, like1250(b), Options{})
	var s *Summary
	for range b.N {
		var err error
		if s, err = Inspect(context.Background(), t); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(s.Calls)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mcalls/s")
}
