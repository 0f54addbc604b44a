package v1alpha1

import (
	"errors"
	"strings"
	"time"
)

// Duration is a length of time, written as Go writes it: 500ms, 3s, 2m30s.
type Duration time.Duration

// UnmarshalText reads a duration; it may be negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New("not a duration")
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the shortest form: 2m, not 2m0s.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Syntax says how a duration is written.
func (Duration) Syntax() string { return "a duration such as 500ms, 3s or 2m" }

// Date is a day, or a moment on it, in UTC.
//
// +kubebuilder:object:generate=false
type Date time.Time

// UnmarshalText reads YYYY-MM-DD or RFC 3339.
func (d *Date) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			*d = Date(t.UTC())
			return nil
		}
	}
	return errors.New("not a date")
}

// MarshalText writes a day if d is at midnight, and RFC 3339 otherwise.
func (d Date) MarshalText() ([]byte, error) {
	t := time.Time(d)
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return []byte(t.Format(time.DateOnly)), nil
	}
	return []byte(t.Format(time.RFC3339)), nil
}

// Syntax says how a date is written.
func (Date) Syntax() string { return "a date such as 2026-11-01" }

// Decimal is an exact decimal number as written. Empty means not written.
//
// +kubebuilder:validation:XIntOrString
type Decimal string

// UnmarshalText reads digits with at most one point; no sign, no exponent.
func (d *Decimal) UnmarshalText(text []byte) error {
	if _, _, err := splitDecimal(string(text)); err != nil {
		return err
	}
	*d = Decimal(text)
	return nil
}

// MarshalText writes d as it was read.
func (d Decimal) MarshalText() ([]byte, error) { return []byte(d), nil }

// Syntax says how a decimal is written.
func (Decimal) Syntax() string { return `a decimal number such as "0.0000002", not negative` }
