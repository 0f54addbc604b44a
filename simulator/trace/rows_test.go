package trace

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const head2021 = "app,func,end_timestamp,duration\n"

func TestAzure2021(t *testing.T) {
	// Ends are in order, starts are not; one start lies before the data set's beginning.
	tr := open(t, folder(t, "x", head2021+"a,f,10,1.5\nb,f,11,9\na,g,20,20.25\na,f,20.000000001,0\na,f,2.1e1,1.25e-06\n"), Options{})
	var got []string
	for _, c := range all(t, tr) {
		f := tr.Functions()[c.Function]
		got = append(got, fmt.Sprintf("%s/%s %s %s", f.App, f.Name, tr.Start().Add(c.At).Format("15:04:05.999999999"), c.Duration))
	}
	want := []string{"a/g 23:59:59.75 20.25s", "b/f 00:00:02 9s", "a/f 00:00:08.5 1.5s", "a/f 00:00:20.000000001 0s", "a/f 00:00:20.99999875 1.25µs"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if tr.Length() != 21*time.Second+ms(249.99875)+1 || tr.Functions()[0].Duration.Known() {
		t.Errorf("%s, %+v", tr.Length(), tr.Functions()[0])
	}
}

// TestAnyOrder shuffles rows over files: the calls are the same ones, in order.
func TestAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var rows []string
	for i := range 2000 {
		rows = append(rows, fmt.Sprintf("a,f%d,%d,%d.5\n", i%7, 100+random.IntN(300), random.IntN(90)))
	}
	reference := folder(t, "one", head2021+strings.Join(rows, ""))
	want := all(t, open(t, reference, Options{}))
	files := []string{}
	for i := range 4 {
		part := slices.Clone(rows[i*500 : i*500+500])
		if i%2 == 0 {
			slices.Sort(part)
		}
		files = append(files, fmt.Sprint(i), head2021+strings.Join(part, ""))
	}
	tr := open(t, folder(t, files...), Options{})
	got := all(t, tr)
	if len(got) != len(want) {
		t.Fatalf("%d calls", len(got))
	}
	for i := range got {
		if got[i].At != want[i].At {
			t.Fatalf("call %d at %s, want %s", i, got[i].At, want[i].At)
		}
	}
	if !slices.Equal(again(t, tr), got) {
		t.Error("not the same calls after Rewind")
	}
}

// TestTies: of calls at the same time, the lower function number comes first, within a file
// and between files.
func TestTies(t *testing.T) {
	one, two := "a,f,1,0\na,g,2,0\na,f,3,0\na,g,5,0\na,f,5,0\n", "a,g,5,0\na,f,5,0\na,h,5,0\n"
	tr := open(t, folder(t, "1", head2021+one, "2", head2021+two), Options{})
	var got []int32
	for _, c := range all(t, tr)[3:] {
		got = append(got, c.Function)
	}
	if want := []int32{0, 0, 1, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("functions at 5 s %v, want %v", got, want)
	}
}

// TestFollowingFiles opens a file only when its first call may be next.
func TestFollowingFiles(t *testing.T) {
	var files []string
	for i := range 50 {
		files = append(files, fmt.Sprint(i), head2021+fmt.Sprintf("a,f,%d,0\na,f,%d,0\n", 100*i, 100*i+50))
	}
	tr := open(t, folder(t, files...), Options{})
	into := make([]Call, 1)
	for i := range 100 {
		if n, err := tr.Next(into); n != 1 || err != nil || into[0].At != time.Duration(i)*50*time.Second {
			t.Fatal(i, n, err, into)
		}
		if open := len(tr.source.(*merged).streams); open > 2 {
			t.Fatalf("%d files open at once", open)
		}
	}
}

func TestChangedWhileOpen(t *testing.T) {
	for name, now := range map[string]string{
		"longer":   head2021 + "a,f,1,0\na,f,2,0\na,f,3,0\na,f,4,0\n",
		"shorter":  head2021 + "a,f,1,0\n",
		"function": head2021 + "a,f,1,0\na,g,2,0\na,f,3,0\n",
		"earlier":  head2021 + "a,f,3,0\na,f,2,0\na,f,1,0\n",
		"empty":    "",
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, "x", head2021+"a,f,1,0\na,f,2,0\na,f,3,0\n")
			tr := open(t, dir, Options{})
			tr.Close()
			if err := os.WriteFile(filepath.Join(dir, "x"), []byte(now), 0o666); err != nil {
				t.Fatal(err)
			}
			if err := tr.Rewind(); err != nil {
				t.Fatal(err)
			}
			calls, err := read(tr)
			if err == nil || !strings.Contains(err.Error(), "not what it was") {
				t.Errorf("%v, %v", calls, err)
			}
		})
	}
}

func TestLLM(t *testing.T) {
	head := "TIMESTAMP,ContextTokens,GeneratedTokens\n"
	tr := open(t, folder(t, "code.csv", head+"2023-11-16 18:17:03.5000000,1000,10\n2023-11-16T18:17:05+01:00,0,0\n", "conv.csv.gz", gzipped(t, head+"2023-11-16 18:17:03.5,0,1\n")), Options{})
	want := []Call{{0, 0, -1, 0}, {time.Hour - 1500*time.Millisecond, ms(360), -1, 0}, {time.Hour - 1500*time.Millisecond, ms(30), -1, 1}}
	if got := all(t, tr); !slices.Equal(got, want) || tr.Functions()[1].Name != "conv" {
		t.Errorf("%v %v", got, tr.Functions())
	}
}

func TestHuawei(t *testing.T) {
	head := "day,time,7,9\n"
	dir := folder(t,
		"requests_minute/day_000.csv", head+"0,0,2.0,\n0,60,NaN,3\n",
		"requests_minute/day_002.csv", "day,time,9,8\n2,172800,1,0\n",
		"requests_second/day_000.csv", "",
		"function_delay_minute/day_000.csv", head+"0,0,5,\n0,60,15,2.5\n",
		"memory_limit_minute/day_000.csv", head+"0,0,100,0\n0,60,201,\n",
		"cpu_limit_minute/day_000.csv", head+"0,0,1,1\n")
	tr := open(t, dir, Options{})
	if tr.Format() != Huawei2023 || tr.Format().Verified() || tr.Calls() != 6 || tr.Length() != 48*time.Hour+time.Minute {
		t.Errorf("%s, %d calls, %s", tr.Format(), tr.Calls(), tr.Length())
	}
	got := map[string]int{}
	for _, c := range all(t, tr) {
		got[fmt.Sprint(tr.Functions()[c.Function].Name, "@", int(c.At/time.Minute))]++
	}
	if want := (map[string]int{"7@0": 2, "9@1": 3, "9@2880": 1}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v", got)
	}
	f := tr.Functions()
	if len(f) != 3 || f[0].MiB != 151 || f[1].MiB != 0 || f[0].Duration.Points()[0] != ms(5) || f[0].Duration.Points()[6] != ms(15) {
		t.Errorf("%+v", f)
	}
	if s := tr.Skipped(); len(s) != 2 || s[1].Reason != "a measure that is not used" {
		t.Errorf("%+v", s)
	}
	if !slices.Equal(again(t, tr), again(t, tr)) {
		t.Error("not the same calls after Rewind")
	}
	if said := fault(t, folder(t, "requests_minute/d", head+"0,0,1,1\n", "function_delay_minute/d", head+"0,0,1,1e13\n")); !strings.Contains(said, `delay_minute/d:2: value "1e13" in column 4`) {
		t.Error(said)
	}
	// A bin of a second, in a folder of any name.
	tr = open(t, folder(t, "x/day.csv", head+"0,10,1,0\n0,11,0,1\n"), Options{})
	if calls := all(t, tr); len(calls) != 2 || calls[0].At >= time.Second || calls[1].At < time.Second || tr.Length() != 2*time.Second {
		t.Errorf("%v in %s", calls, tr.Length())
	}
	if said := fault(t, folder(t, "cpu/day.csv", head+"0,0,1,1\n", "delay/day.csv", head+"0,0,1,1\n")); !strings.Contains(said, "no folder of requests") {
		t.Error(said)
	}
}
