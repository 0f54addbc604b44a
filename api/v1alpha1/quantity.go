package v1alpha1

import (
	"errors"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

var (
	errSyntax   = errors.New("not a number of the expected form")
	errNegative = errors.New("must not be negative")
	errOverflow = errors.New("too large: it does not fit 64 bits")
)

// maxDigits bounds what is parsed at all; the largest int64 has 19 digits.
const maxDigits = 64

// MilliCPU is processor time in thousandths of a core.
//
// +kubebuilder:validation:XIntOrString
type MilliCPU int64

// UnmarshalText reads cores (2, 0.5) or thousandths of a core (500m).
func (c *MilliCPU) UnmarshalText(text []byte) error {
	s, decimals := string(text), 3
	if number, ok := strings.CutSuffix(s, "m"); ok {
		s, decimals = number, 0
	}
	v, err := fixed(s, decimals)
	if errors.Is(err, errFine) {
		return errors.New("finer than a thousandth of a core")
	}
	*c = MilliCPU(v)
	return err
}

// MarshalText writes whole cores if it can, and thousandths otherwise.
func (c MilliCPU) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (c MilliCPU) String() string {
	if c%1000 == 0 {
		return strconv.FormatInt(int64(c/1000), 10)
	}
	return strconv.FormatInt(int64(c), 10) + "m"
}

// Syntax says how processor time is written.
func (MilliCPU) Syntax() string { return "cores such as 2 or 0.5, or thousandths such as 500m" }

// Bytes is an amount of memory.
//
// +kubebuilder:validation:XIntOrString
type Bytes int64

var byteUnits = []struct {
	suffix string
	bytes  int64
}{
	{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40}, {"Pi", 1 << 50}, {"Ei", 1 << 60},
	{"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"P", 1e15}, {"E", 1e18}, {"", 1},
}

// UnmarshalText reads a whole or decimal number with a binary (Ki, Mi, Gi, Ti,
// Pi, Ei), decimal (k, M, G, T, P, E) or no suffix. Parts of a byte are refused.
func (b *Bytes) UnmarshalText(text []byte) error {
	for _, u := range byteUnits {
		number, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		v, err := scaled(number, u.bytes)
		*b = Bytes(v)
		return err
	}
	return errSyntax
}

// MarshalText writes the largest binary unit that divides b.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b Bytes) String() string {
	for i := 5; i >= 0; i-- {
		if u := byteUnits[i]; b != 0 && int64(b)%u.bytes == 0 {
			return strconv.FormatInt(int64(b)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// Syntax says how memory is written.
func (Bytes) Syntax() string { return "memory such as 128Mi, 1Gi or 1G" }

// Amount is money in billionths of a currency unit.
//
// +kubebuilder:validation:XIntOrString
type Amount int64

// UnmarshalText reads a decimal with at most 9 decimals.
func (a *Amount) UnmarshalText(text []byte) error {
	v, err := fixed(string(text), 9)
	if errors.Is(err, errFine) {
		return errors.New("more than 9 decimals")
	}
	*a = Amount(v)
	return err
}

// MarshalText writes a decimal with at least two decimals.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a Amount) String() string {
	digits := strconv.FormatInt(int64(a), 10)
	if pad := 10 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	point := len(digits) - 9
	decimals := strings.TrimRight(digits[point+2:], "0")
	return digits[:point] + "." + digits[point:point+2] + decimals
}

// Syntax says how an amount is written.
func (Amount) Syntax() string { return `a decimal amount such as "0.50", at most 9 decimals` }

var errFine = errors.New("too many decimals")

// splitDecimal returns the digits before and after the point.
func splitDecimal(s string) (whole, fraction string, err error) {
	if strings.HasPrefix(s, "-") {
		if _, _, err := splitDecimal(s[1:]); err == nil {
			return "", "", errNegative
		}
		return "", "", errSyntax
	}
	whole, fraction, point := strings.Cut(s, ".")
	if !digits(whole) || point && !digits(fraction) || len(s) > maxDigits {
		return "", "", errSyntax
	}
	return whole, fraction, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// fixed returns s × 10^decimals. errFine means that it is not whole.
func fixed(s string, decimals int) (int64, error) {
	whole, fraction, err := splitDecimal(s)
	if err != nil {
		return 0, err
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > decimals {
		return 0, errFine
	}
	v, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", decimals-len(fraction)), 10, 64)
	if err != nil {
		return 0, errOverflow
	}
	return v, nil
}

// scaled returns s × unit if that is a whole number.
func scaled(s string, unit int64) (int64, error) {
	whole, fraction, err := splitDecimal(s)
	if err != nil {
		return 0, err
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > 18 {
		return 0, errors.New("finer than a byte")
	}
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil {
		return 0, errOverflow
	}
	hi, total := bits.Mul64(n, uint64(unit))
	part, err := fractionOf(fraction, uint64(unit))
	if err != nil {
		return 0, err
	}
	if hi != 0 || total > math.MaxInt64-part {
		return 0, errOverflow
	}
	return int64(total + part), nil
}

// fractionOf returns 0.fraction × unit, which is below unit.
func fractionOf(fraction string, unit uint64) (uint64, error) {
	if fraction == "" {
		return 0, nil
	}
	f, err := strconv.ParseUint(fraction, 10, 64)
	if err != nil {
		return 0, errSyntax
	}
	divisor := uint64(1)
	for range fraction {
		divisor *= 10
	}
	hi, lo := bits.Mul64(f, unit)
	q, r := bits.Div64(hi, lo, divisor) // hi < divisor because f < divisor and unit ≤ 2^60
	if r != 0 {
		return 0, errors.New("finer than a byte")
	}
	return q, nil
}
