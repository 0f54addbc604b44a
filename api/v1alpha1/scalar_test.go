package v1alpha1

import (
	"encoding"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMilliCPU(t *testing.T) {
	for text, want := range map[string]MilliCPU{"2": 2000, "500m": 500, "0.5": 500, "0.001": 1, "1.500": 1500, "0": 0, "007": 7000,
		"9223372036854775807m": math.MaxInt64, "9223372036854775.807": math.MaxInt64} {
		var c MilliCPU
		if err := c.UnmarshalText([]byte(text)); err != nil || c != want {
			t.Errorf("%q: %d, %v; want %d", text, int64(c), err, want)
		}
	}
	refused(t, new(MilliCPU), "", "m", ".5", "5.", "1.5m", "0.0005", "-1", "-500m", "+1", "1e3", "0x1", "1_000", "NaN", " 1", "1 ",
		"9223372036854775808m", "9223372036854775.808", strings.Repeat("9", 100))
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"128Mi": 128 << 20, "1Gi": 1 << 30, "1G": 1e9, "1k": 1000, "1Ki": 1024, "0.5Ki": 512, "1.5G": 15e8,
		"42": 42, "0": 0, "7Ei": 7 << 60, "9E": 9e18, "9223372036854775807": math.MaxInt64, "7.999999999999999999E": 7999999999999999999} {
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q: %d, %v; want %d", text, int64(b), err, want)
		}
	}
	refused(t, new(Bytes), "", "Mi", "1MB", "1mi", "1 Mi", "8Ei", "10E", "9223372036854775808", "0.3", "0.0001Ki", "-1Mi", "1e3", "1e30", "Inf",
		"1.0000000000000000001E", "18446744073709551616Ei", strings.Repeat("1", 65))
}

func TestAmount(t *testing.T) {
	for text, want := range map[string]Amount{"0.50": 5e8, "1": 1e9, "0.000000001": 1, "9223372036.854775807": math.MaxInt64, "0": 0, "1.0000000000": 1e9} {
		var a Amount
		if err := a.UnmarshalText([]byte(text)); err != nil || a != want {
			t.Errorf("%q: %d, %v; want %d", text, int64(a), err, want)
		}
	}
	refused(t, new(Amount), "", "$1", "-1", "1,5", "0.0000000001", "9223372036.854775808", "1e2", ".nan")
	for a, want := range map[Amount]string{5e8: "0.50", 1: "0.000000001", 1234567890123: "1234.567890123", 0: "0.00"} {
		if a.String() != want {
			t.Errorf("%d is written %s, want %s", int64(a), a, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{"120s": "2m", "3s": "3s", "500ms": "500ms", "90s": "1m30s", "3600s": "1h", "1h0m5s": "1h0m5s", "-3s": "-3s", "0s": "0s", "10m": "10m", "20h": "20h"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%q: %s, %v; want %s", text, d, err, want)
		}
	}
	refused(t, new(Duration), "", "3", "3 s", "s", "9999999999h", "1d", "soon")
}

func TestDate(t *testing.T) {
	for text, want := range map[string]string{"2026-11-01": "2026-11-01", "2026-11-01T08:00:00+08:00": "2026-11-01", "2026-11-01T08:00:00Z": "2026-11-01T08:00:00Z"} {
		var d Date
		err := d.UnmarshalText([]byte(text))
		if got, _ := d.MarshalText(); err != nil || string(got) != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	refused(t, new(Date), "", "2026-13-01", "2026-02-30", "1.2.2026", "now", "20260101")
}

func refused(t *testing.T, v encoding.TextUnmarshaler, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := v.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as a %T", text, v)
		}
	}
}

// TestQuantitiesAreWrittenAsTheyAreRead also holds for durations and amounts.
func TestQuantitiesAreWrittenAsTheyAreRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")
		c, b, a, d := MilliCPU(n), Bytes(n), Amount(n), Duration(n)
		again(t, &c, new(MilliCPU))
		again(t, &b, new(Bytes))
		again(t, &a, new(Amount))
		again(t, &d, new(Duration))
	})
}

type scalar[T any] interface {
	*T
	encoding.TextUnmarshaler
	encoding.TextMarshaler
}

func again[T comparable, P scalar[T]](t *rapid.T, v, w P) {
	text, err := v.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.UnmarshalText(text); err != nil || *w != *v {
		t.Fatalf("%v is written %s and read %v, %v", *v, text, *w, err)
	}
}

// FuzzQuantity compares every quantity that is accepted with exact arithmetic.
func FuzzQuantity(f *testing.F) {
	for _, text := range []string{"500m", "0.5", "128Mi", "1.5G", "9223372036854775807", "1e30", "-1", "0.000000001", "7.999999999999999999E"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c MilliCPU
		if number, milli := strings.CutSuffix(text, "m"); c.UnmarshalText([]byte(text)) == nil {
			scale := int64(1000)
			if milli {
				scale = 1
			}
			exact(t, number, scale, int64(c))
		}
		var a Amount
		if a.UnmarshalText([]byte(text)) == nil {
			exact(t, text, 1e9, int64(a))
		}
		var b Bytes
		if b.UnmarshalText([]byte(text)) == nil {
			number, unit := text, int64(1)
			for _, u := range byteUnits {
				if n, ok := strings.CutSuffix(text, u.suffix); ok {
					number, unit = n, u.bytes
					break
				}
			}
			exact(t, number, unit, int64(b))
		}
		var d Duration
		if d.UnmarshalText([]byte(text)) == nil {
			if want, err := time.ParseDuration(text); err != nil || time.Duration(d) != want {
				t.Fatalf("%q: %s, want %s, %v", text, d, want, err)
			}
		}
	})
}

func exact(t *testing.T, number string, unit, got int64) {
	want, ok := new(big.Rat).SetString(number)
	if !ok {
		t.Fatalf("%q was accepted", number)
	}
	if want.Mul(want, new(big.Rat).SetInt64(unit)); got < 0 || want.Cmp(new(big.Rat).SetInt64(got)) != 0 {
		t.Fatalf("%q × %d: %d, want %s", number, unit, got, want)
	}
}
