package trace

import (
	"math"
	"strconv"
	"time"
)

// maxCount is the largest count of calls of one function in one bin.
const maxCount = 1_000_000_000

// parseInt reads an unsigned decimal integer up to limit; ok is false for
// anything else.
func parseInt(b []byte, limit int64) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, n <= limit
}

// parseCount reads a count, also as a float without a fraction, as data frames
// write them. Empty and NaN are none.
func parseCount(b []byte) (int64, bool) {
	if n, ok := parseInt(b, maxCount); ok {
		return n, true
	}
	if len(b) == 0 || string(b) == "NaN" || string(b) == "nan" {
		return 0, true
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(f >= 0 && f <= maxCount) || f != math.Trunc(f) {
		return 0, false
	}
	return int64(f), true
}

// maxSeconds keeps every time and duration of a trace far inside an int64 of
// nanoseconds: 100 years.
const maxSeconds = 100 * 365 * 24 * 3600

// parseScaled reads a decimal number of units of the given nanoseconds, rounded
// to the nanosecond; it is exact without an exponent.
func parseScaled(b []byte, unit time.Duration) (time.Duration, bool) {
	text, negative := b, false
	if len(text) > 0 && text[0] == '-' {
		text, negative = text[1:], true
	}
	var whole int64
	i := 0
	for ; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
		if whole = whole*10 + int64(text[i]-'0'); whole > maxSeconds*int64(time.Second)/int64(unit) {
			return 0, false
		}
	}
	digits := i
	d := whole * int64(unit)
	if i < len(text) && text[i] == '.' {
		scale := int64(unit) * 1000 // thousandths of a nanosecond, for rounding
		var part int64
		for i++; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
			scale /= 10
			part += int64(text[i]-'0') * scale
			digits++
		}
		d += (part + 500) / 1000
	}
	if i < len(text) || digits == 0 {
		return parseFloat(b, unit)
	}
	if negative {
		d = -d
	}
	return time.Duration(d), true
}

func parseFloat(b []byte, unit time.Duration) (time.Duration, bool) {
	if len(b) == 0 || len(b) > 64 {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	f *= float64(unit)
	if err != nil || !(math.Abs(f) <= maxSeconds*float64(time.Second)) {
		return 0, false
	}
	return time.Duration(math.Round(f)), true
}
