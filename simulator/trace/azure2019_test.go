package trace

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	counts3 = "HashOwner,HashApp,HashFunction,Trigger,1,2,3\n" +
		"o1,a1,f1,http,1,0,2\n" +
		"o1,a1,f2,timer,0,0,0\n" +
		"o2,a2,f3,queue,3,0,0\n"
	durations3 = "HashFunction,HashOwner,HashApp,Average,Count,percentile_Average_0,percentile_Average_1,percentile_Average_25,percentile_Average_50,percentile_Average_75,percentile_Average_99,percentile_Average_100\n" +
		"f1,o1,a1,10,5,1,2,3,4,5,6,7\n" +
		"f3,o2,a2,10,5,100,100,100,100,100,100,100\n" +
		"f9,o9,a9,10,5,1,1,1,1,1,1,1\n"
	memory3 = "HashOwner,HashApp,SampleCount,AverageAllocatedMb,AverageAllocatedMb_pct99\n" +
		"o1,a1,5,100,202.5\n" +
		"o8,a8,5,100,201.5\n"
)

func TestAzure2019(t *testing.T) {
	dir := folder(t, "x.csv", counts3, "y.gz", gzipped(t, durations3), "z", zstded(t, memory3), "notes.txt", "not a trace\n", ".git/config", "x")
	tr := open(t, dir, Options{Seed: 1})
	if tr.Format() != Azure2019 || tr.Calls() != 6 || tr.Length() != 3*time.Minute || !tr.Start().Equal(time.Date(2019, 7, 15, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%s, %d calls, %s from %s", tr.Format(), tr.Calls(), tr.Length(), tr.Start())
	}
	calls := all(t, tr)
	perMinute := map[[2]int]int{}
	for _, c := range calls {
		perMinute[[2]int{int(c.Function), int(c.At / time.Minute)}]++
		if lo, hi := ms(1), ms(7); c.Function == 0 && (c.Duration < lo || c.Duration > hi) || c.Function == 2 && c.Duration != ms(100) {
			t.Errorf("%+v: not a duration of its function", c)
		}
		if c.Init != -1 {
			t.Errorf("%+v: a cold start that nobody recorded", c)
		}
	}
	if want := (map[[2]int]int{{0, 0}: 1, {0, 2}: 2, {2, 0}: 3}); fmt.Sprint(perMinute) != fmt.Sprint(want) {
		t.Errorf("calls %v, want %v", perMinute, want)
	}
	f := tr.Functions()
	if f[0].MiB != 102 || f[1].MiB != 102 || f[2].MiB != 0 || f[1].Trigger != "timer" || f[2].Tenant != "o2" {
		t.Errorf("functions %+v", f)
	}
	if f[1].Duration.Known() || tr.DefaultDuration() != f[0].Duration {
		t.Errorf("default %v", tr.DefaultDuration().Points())
	}
	var said []string
	for _, s := range tr.Skipped() {
		said = append(said, s.Reason)
	}
	want := []string{"a hidden file or folder", "a file of no known format", "durations of a function without counts", "memory of an application without counts"}
	if !slices.Equal(said, want) {
		t.Errorf("skipped %q", said)
	}
	if second := again(t, tr); !slices.Equal(second, calls) {
		t.Error("not the same calls after Rewind")
	}
}

func TestSpreadEvenKeepsPhase(t *testing.T) {
	tr := open(t, folder(t, "x", "HashOwner,HashApp,HashFunction,1,2\no,a,f,4,1\n"), Options{Seed: 3})
	calls := all(t, tr)
	for i := 1; i < 4; i++ {
		if gap := calls[i].At - calls[i-1].At; gap < 15*time.Second-2 || gap > 15*time.Second+2 {
			t.Errorf("four calls of a minute are %s apart", gap)
		}
	}
	if phase := calls[4].At - time.Minute; phase/4-calls[0].At > 2 || calls[0].At-phase/4 > 2 {
		t.Errorf("phase %s of one call and %s of the first of four", phase, calls[0].At)
	}
	other := all(t, open(t, folder(t, "x", "HashOwner,HashApp,HashFunction,1,2\no,a,f,4,1\n"), Options{Seed: 4}))
	if slices.Equal(calls, other) {
		t.Error("another seed, the same calls")
	}
}

// day is a file of counts in a day's first minute.
func day(rows string) string {
	var b strings.Builder
	b.WriteString("HashOwner,HashApp,HashFunction")
	for m := range 1440 {
		fmt.Fprintf(&b, ",%d", m+1)
	}
	for row := range strings.Lines(rows) {
		b.WriteString("\n" + strings.TrimSpace(row) + strings.Repeat(",0", 1439))
	}
	return b.String()
}

// TestDaysLieByNumber: a week-end stays one where files before it are missing.
func TestDaysLieByNumber(t *testing.T) {
	tr := open(t, folder(t, "b.d06.csv", day("o,a,f,1"), "a.d09.csv", day("o,a,f,3"), "a.d05.csv", day("o,a,f,2")), Options{})
	got := map[string]int{}
	for _, c := range all(t, tr) {
		got[tr.Start().Add(c.At).Format(time.DateOnly)]++
	}
	if want := (map[string]int{"2019-07-19": 2, "2019-07-20": 1, "2019-07-23": 3}); !maps.Equal(got, want) || tr.Length() != 5*24*time.Hour {
		t.Errorf("%v in %s, want %v", got, tr.Length(), want)
	}
	if s := tr.Skipped(); len(s) != 1 || filepath.Base(s[0].File) != "a.d07.csv" || s[0].Reason != "a day without a file of counts, on which nothing is called" {
		t.Errorf("skipped %+v", s)
	}
	if said := fault(t, folder(t, "d01.csv", day("o,a,f,1"), "d1.csv", day("o,a,f,1"))); !strings.Contains(said, "d1.csv: counts of the same day as d01.csv") {
		t.Error(said)
	}
}

// TestDays has the second day's functions in another order and one of them new.
func TestDays(t *testing.T) {
	dir := folder(t, "d10.csv", day("o,a,x,5\no,a,g,2\no,a,f,3"), "d9.csv", day("o,a,f,1\no,a,g,1"),
		"dur10.csv", strings.Replace(durations3, "f1,o1,a1,10,5,1,2,3,4,5,6,7", "f,o,a,10,30,3,3,3,8,8,8,8", 1),
		"dur9.csv", strings.Replace(durations3, "f1,o1,a1,10,5,1,2,3,4,5,6,7", "f,o,a,10,10,1,1,4,4,4,4,4", 1))
	tr := open(t, dir, Options{})
	if tr.Length() != 48*time.Hour || tr.Calls() != 12 {
		t.Errorf("%s, %d calls", tr.Length(), tr.Calls())
	}
	got := map[string]int{}
	for _, c := range all(t, tr) {
		got[fmt.Sprint(tr.Functions()[c.Function].Name, int(c.At/(24*time.Hour)))]++
	}
	if want := (map[string]int{"f0": 1, "g0": 1, "x1": 5, "g1": 2, "f1": 3}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if p := tr.Functions()[0].Duration.Points(); p[0] != ms(1) || p[2] != ms(3.25) || p[3] != ms(7) || p[6] != ms(8) {
		t.Errorf("durations of two days %v", p)
	}
}

func TestMemoryPerFunction(t *testing.T) {
	tr := open(t, folder(t, "c", counts3, "m", "HashFunction,HashOwner,HashApp,AverageAllocatedMb_pct99\nf2,o1,a1,64\n"), Options{})
	if f := tr.Functions(); f[1].MiB != 64 || f[0].MiB != 0 || tr.Format() != InVitro {
		t.Errorf("%s %+v", tr.Format(), f)
	}
}

func TestTriggersOfOneName(t *testing.T) {
	tr := open(t, folder(t, "c", "HashOwner,HashApp,HashFunction,Trigger,1\no,a,f,http,1\no,a,f,timer,2\n",
		"d", strings.Replace(durations3, "f1,o1,a1", "f,o,a", 1)), Options{})
	if f := tr.Functions(); len(f) != 2 || !f[0].Duration.Known() || f[0].Duration != f[1].Duration {
		t.Errorf("%+v", f)
	}
}

// TestQuotes: what quotes hold is text, also where the fast reader does not look.
func TestQuotes(t *testing.T) {
	tr := open(t, folder(t, "c", "\xef\xbb\xbfHashOwner,HashApp,HashFunction,1,2\r\n\"o,1\",a,\"f\"\"\n\",1,\"2\"\r\n\r\n"), Options{})
	if f := tr.Functions()[0]; f.Tenant != "o,1" || f.Name != "f\"\n" || tr.Calls() != 3 {
		t.Errorf("%+v, %d calls", f, tr.Calls())
	}
}

func TestManyCallsInAMinute(t *testing.T) {
	for _, spread := range []Spread{SpreadEven, SpreadRandom} {
		tr := open(t, folder(t, "c", "HashOwner,HashApp,HashFunction,1,2\no,a,f,1500000,1\no,a,g,7,0\no,a,h,700000,0\n"), Options{Spread: spread})
		counts := [3]int{}
		into, last := make([]Call, 5000), Call{}
		for {
			n, err := tr.Next(into)
			if err != nil {
				break
			}
			for _, c := range into[:n] {
				if c.At < last.At || c.At == last.At && c.Function < last.Function {
					t.Fatalf("%s: %+v after %+v", spread, c, last)
				}
				counts[c.Function]++
				last = c
			}
		}
		if counts != [3]int{1500001, 7, 700000} {
			t.Errorf("%s: %v calls", spread, counts)
		}
		if held := cap(tr.source.(*counted).keys); held > 2*windowCalls {
			t.Errorf("%s: %d calls held at once", spread, held)
		}
	}
}
