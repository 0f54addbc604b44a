package v1alpha1

import (
	"encoding"
	"encoding/json"
	"fmt"
)

// Quantities are JSON texts or whole numbers, of which no digit is lost: a server of
// custom resources takes both.

// UnmarshalJSON reads what UnmarshalText reads, in quotes or not; null changes nothing.
func (c *MilliCPU) UnmarshalJSON(data []byte) error { return unquoted(c, data) }

// UnmarshalJSON reads what UnmarshalText reads, in quotes or not; null changes nothing.
func (b *Bytes) UnmarshalJSON(data []byte) error { return unquoted(b, data) }

// UnmarshalJSON reads what UnmarshalText reads, in quotes or not; null changes nothing.
func (a *Amount) UnmarshalJSON(data []byte) error { return unquoted(a, data) }

// UnmarshalJSON reads what UnmarshalText reads, in quotes or not; null changes nothing.
func (d *Decimal) UnmarshalJSON(data []byte) error { return unquoted(d, data) }

type written interface {
	encoding.TextUnmarshaler
	Syntax() string
}

func unquoted(v written, data []byte) error {
	text := string(data)
	switch {
	case text == "null":
		return nil
	case text != "" && text[0] == '"':
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	if err := v.UnmarshalText([]byte(text)); err != nil {
		return fmt.Errorf("%.64q: %w; allowed: %s", text, err, v.Syntax())
	}
	return nil
}
