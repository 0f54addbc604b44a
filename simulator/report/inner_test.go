package report

import (
	"math"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot"

	"github.com/spillway-dev/spillway/internal/safetext"
)

func labels(ticks []plot.Tick) string {
	var all []string
	for _, t := range ticks {
		if t.Label != "" {
			all = append(all, t.Label)
		}
	}
	return strings.Join(all, " | ")
}

func TestTicks(t *testing.T) {
	start := time.Date(2026, 11, 2, 7, 59, 0, 0, time.UTC)
	for _, c := range []struct {
		marks     plot.Ticker
		low, high float64
		want      string
	}{
		{even{5}, 0, 25, "0 | 5 | 10 | 15 | 20 | 25"},
		{even{0.05}, 0, 0.12, "0.00 | 0.05 | 0.10"},
		{even{10_000}, 0, 20_000, "0 | 10,000 | 20,000"},
		{percents{}, 0, 1, "0 % | 20 % | 40 % | 60 % | 80 % | 100 %"},
		{decades{}, 100, 1e7, "100 µs | 1 ms | 10 ms | 100 ms | 1 s | 10 s"},
		{clock{start}, 0, 8 * 3600, "08:00 | 09:00 | 10:00 | 11:00 | 12:00 | 13:00 | 14:00 | 15:00"},
		{clock{start}, 0, 86400, "09:00 | 12:00 | 15:00 | 18:00 | 21:00 | 00:00 | 03:00 | 06:00"},
		{clock{start}, 0, 2 * 86400, "12:00 | 18:00 | Nov 3 | 06:00 | 12:00 | 18:00 | Nov 4 | 06:00"},
		{clock{start}, 0, 6 * 86400, "Nov 3 | Nov 4 | Nov 5 | Nov 6 | Nov 7 | Nov 8"},
		{clock{start}, 0, 3, "07:59:00 | 07:59:01 | 07:59:02 | 07:59:03"},
	} {
		if got := labels(c.marks.Ticks(c.low, c.high)); got != c.want {
			t.Errorf("%T from %g to %g: %s, not %s", c.marks, c.low, c.high, got, c.want)
		}
	}
}

// TestTicksAreFew keeps labels apart over any range.
func TestTicksAreFew(t *testing.T) {
	for length := 1.0; length < 3e9; length *= 1.3 {
		if n := len((clock{time.Unix(1e9, 0)}).Ticks(0, length)); n > 9 {
			t.Errorf("%d marks in %g s", n, length)
		}
	}
	for most := 1e-9; most < 1e18; most *= 1.3 {
		step := niceStep(most, 5)
		if n := math.Ceil(most / step); n > 5+1e-9 || n < 2 {
			t.Errorf("%g marks up to %g", n, most)
		}
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{grouped("-1234567.50"), "-1,234,567.50"},
		{grouped("123"), "123"},
		{percent(1, 100_000), "<0.1 %"},
		{percent(99_999, 100_000), ">99.9 %"},
		{percent(0, 0), "–"},
		{compact(999_999), "999,999"},
		{compact(1_234_567), "1.235 M"},
		{compact(12_345_678_901), "12.35 G"},
		{short(0), "0"}, {short(5), "5.00"}, {short(12.34), "12.3"}, {short(99.96), "100"}, {short(12_345.6), "12,346"}, {short(0.01234), "0.0123"},
		{span(250 * time.Microsecond), "250 µs"}, {span(2 * time.Second), "2.00 s"}, {span(15 * time.Minute), "15.0 min"}, {span(-time.Second), "-1.00 s"},
		{whole(24 * time.Hour), "24 h"}, {whole(14 * 24 * time.Hour), "14 days"}, {whole(5 * time.Minute), "5 min"}, {whole(90 * time.Second), "90 s"},
		{safetext.Cell(" =1"), "' =1"}, {safetext.Cell("a=1"), "a=1"},
	} {
		if c.got != c.want {
			t.Errorf("%q, not %q", c.got, c.want)
		}
	}
}
