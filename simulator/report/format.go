package report

import (
	"strconv"
	"strings"
	"time"
)

// grouped puts commas between the thousands of a plain decimal.
func grouped(text string) string {
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	whole, fraction, pointed := strings.Cut(text, ".")
	var b strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	if pointed {
		b.WriteString("." + fraction)
	}
	return sign + b.String()
}

func count(n int64) string { return grouped(strconv.FormatInt(n, 10)) }

// compact writes a count, from a million on with four digits.
func compact(n int64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}} {
		if x := float64(n) / unit.size; x >= 1 {
			return strconv.FormatFloat(x, 'f', max(0, 3-len(strconv.FormatInt(int64(x), 10))+1), 64) + " " + unit.name
		}
	}
	return count(n)
}

// plural writes "1 call", "2 calls".
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// ratio is 0 of nothing.
func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// percent shows that a part is neither nothing nor all.
func percent(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	text := strconv.FormatFloat(100*ratio(part, whole), 'f', 1, 64)
	switch {
	case part > 0 && text == "0.0":
		text = "<0.1"
	case part < whole && text == "100.0":
		text = ">99.9"
	}
	return text + " %"
}

// short writes a quantity with three digits, or more if it is a larger whole.
func short(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x >= 99.95 || x <= -99.95:
		return grouped(strconv.FormatFloat(x, 'f', 0, 64))
	case x >= 9.995 || x <= -9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case x >= 0.9995 || x <= -0.9995:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

// span writes a duration with three digits in the unit that fits.
func span(d time.Duration) string {
	s := d.Seconds()
	switch {
	case d == 0:
		return "0"
	case d < 0:
		return "-" + span(-d)
	case d < time.Millisecond:
		return short(s*1e6) + " µs"
	case d < time.Second:
		return short(s*1e3) + " ms"
	case d < 10*time.Minute:
		return short(s) + " s"
	case d < 10*time.Hour:
		return short(s/60) + " min"
	case d < 10*24*time.Hour:
		return short(s/3600) + " h"
	}
	return short(s/86400) + " days"
}

// whole writes a duration in the largest unit that it is a multiple of.
func whole(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if d > unit.of && d%unit.of == 0 || d == unit.of && unit.of < 24*time.Hour {
			return count(int64(d/unit.of)) + " " + unit.name
		}
	}
	return span(d)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }
