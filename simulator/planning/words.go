package planning

import (
	"strconv"
	"strings"
	"time"
)

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

func whole(n int64) string { return thousands(strconv.FormatInt(n, 10)) }

// thousands puts commas into a plain decimal.
func thousands(text string) string {
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	number, fraction, pointed := strings.Cut(text, ".")
	for at := len(number) - 3; at > 0; at -= 3 {
		number = number[:at] + "," + number[at:]
	}
	if pointed {
		number += "." + fraction
	}
	return sign + number
}

// percentage shows that a part is not nothing.
func percentage(part, all float64) string {
	if part == 0 || all == 0 {
		return "0 %"
	}
	x := 100 * part / all
	if x > 0 && x < 0.01 {
		return "<0.01 %"
	}
	return strconv.FormatFloat(x, 'f', 2, 64) + " %"
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }

func prefixed(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

func days(n float64) string {
	if n == 1 {
		return "day"
	}
	return strconv.FormatFloat(n, 'g', 4, 64) + " days"
}

func ratioOf(x *float64) string {
	if x == nil {
		return "-"
	}
	return strconv.FormatFloat(*x, 'f', 3, 64)
}

func ratioText(x *float64) string {
	if x == nil {
		return "without bounds, as the bound is 0,"
	}
	return ratioOf(x)
}

func missed(yes bool) string {
	if yes {
		return ", missed"
	}
	return ""
}

// lasting writes a duration without zero units at its end.
func lasting(d time.Duration) string {
	if d > 0 && d%(24*time.Hour) == 0 {
		return counted(int(d/(24*time.Hour)), "day")
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// waited writes microseconds in a unit that fits.
func waited(us int64) string {
	if us == 0 {
		return "0"
	}
	if us >= 10_000_000 {
		return strconv.FormatFloat(float64(us)/1e6, 'f', 1, 64) + " s"
	}
	return millis(us)
}

// short cuts a long name.
func short(text string, width int) string {
	if r := []rune(text); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return text
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return whole(int64(n)) + " " + noun
}

// millis writes microseconds.
func millis(us int64) string { return strconv.FormatFloat(float64(us)/1000, 'f', 1, 64) + " ms" }
