package trace

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// check opens what a fuzzer wrote: either it is refused with a place and a remedy, or all its
// calls come, in order, twice.
func check(t *testing.T, dir string) {
	tr, err := Open(context.Background(), dir, Options{Seed: 1})
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || e.File == "" || e.Remedy == "" {
			t.Fatalf("%v says not where and what to do", err)
		}
		return
	}
	defer tr.Close()
	if tr.Calls() > 100_000 {
		return // true, and slow
	}
	if !slices.Equal(all(t, tr), again(t, tr)) {
		t.Fatal("not the same calls after Rewind")
	}
	if _, err := Inspect(context.Background(), tr); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, dir, name string, text []byte) {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
}

func FuzzAzure2019(f *testing.F) {
	f.Add([]byte(counts3), []byte(durations3), []byte(memory3))
	f.Add([]byte(gzipped(f, counts3)), []byte(zstded(f, durations3)), []byte{})
	f.Add([]byte("HashFunction,HashApp,HashOwner,minute_1,minute_2\n\"a\nb\",\"c,d\",e,0,1000\n"), []byte("\"\n"), []byte("HashFunction,"+memory3))
	f.Add([]byte("HashOwner,HashApp,HashFunction,1,2,3,4,5,6,7,8,9\no,a,f,0,0,0,0,0,0,0,0,1\no,a,g,,NaN,1e3,0,0,0,0,0,0\n"), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, counts, durations, memory []byte) {
		dir := t.TempDir()
		write(t, dir, "c1", counts)
		write(t, dir, "d1", durations)
		write(t, dir, "m1", memory)
		check(t, dir)
	})
}

func FuzzAzure2021(f *testing.F) {
	f.Add([]byte(head2021+"a,f,10,1.5\nb,f,11,9\n"), []byte(head2021+"a,g,20,20.25\n"))
	f.Add([]byte(head2021+"a,f,1e-9,1E2\n"), []byte("duration,end_timestamp,func,app\n1,2,3,4\n"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		dir := t.TempDir()
		write(t, dir, "1", one)
		write(t, dir, "2", two)
		check(t, dir)
	})
}

func FuzzUsage(f *testing.F) {
	head := strings.Join(columnsUsage, ",") + "\n"
	f.Add([]byte(head + "2026-01-05T00:00:00Z,ns,f,r1,d,onprem,preferred,executed,5,0,128,500,1,0.5,CNY,0\n2026-01-04T00:00:00+08:00,ns,f,,,,denied,not_executed,,,0,0,0,0,,7\n"))
	f.Add([]byte(head + "2026-01-05T00:00:00.123456789Z,\"n\"\"s\",\"f\n\",,,,none,unknown,,,0,0,0,-0.000000000000000001,,\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		write(t, dir, "u", text)
		check(t, dir)
		for _, err := range UsageRows(filepath.Join(dir, "u")) {
			_ = err // it ends, and does not panic
		}
	})
}

func FuzzLLM(f *testing.F) {
	f.Add([]byte("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:03+00:00,0,1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		write(t, dir, "l", text)
		check(t, dir)
	})
}

func FuzzHuawei(f *testing.F) {
	f.Add([]byte("day,time,7,9\n0,0,2.0,\n0,60,NaN,3\n"), []byte("day,time,7\n0,0,5.5\n"), []byte("day,time,9\n0,0,100\n"))
	f.Fuzz(func(t *testing.T, requests, delays, memory []byte) {
		dir := t.TempDir()
		write(t, dir, "requests_minute/d", requests)
		write(t, dir, "function_delay_minute/d", delays)
		write(t, dir, "memory_limit_minute/d", memory)
		check(t, dir)
	})
}

// FuzzNumber compares with strconv.
func FuzzNumber(f *testing.F) {
	for _, text := range []string{"0", "-1.5", "0.07949090003967285", "1e-9", "9223372036854775808", "1.", ".5", "-", "0x10", "NaN", "1_0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := strconv.ParseFloat(text, 64)
		got, ok := parseScaled([]byte(text), time.Second)
		if ok && (err != nil || math.Abs(float64(got)/1e9-want) > 1e-9+math.Abs(want)*1e-15) {
			t.Fatalf("%q: %s, want %g (%v)", text, got, want, err)
		}
		n, ok := parseInt([]byte(text), math.MaxInt64)
		if exact, err := strconv.ParseInt(text, 10, 64); ok && (err != nil || n != exact) {
			t.Fatalf("%q: %d, want %d (%v)", text, n, exact, err)
		}
		if n, ok := parseCount([]byte(text)); ok && (n < 0 || n > maxCount) {
			t.Fatalf("%q: count %d", text, n)
		}
	})
}
