package report

import (
	"fmt"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway/billing"
)

// decimal writes amounts and quantities as plain decimals in JSON.
type decimal struct{ apd.Decimal }

// MarshalText implements encoding.TextMarshaler.
func (d decimal) MarshalText() ([]byte, error) { return []byte(d.text()), nil }

func (d decimal) text() string { return d.Text('f') }

var exact = apd.BaseContext.WithPrecision(60)

// stored returns d with the decimals of a ledger line.
func stored(d *apd.Decimal) (apd.Decimal, error) {
	var out apd.Decimal
	if _, err := exact.Quantize(&out, d, -billing.Decimals); err != nil {
		return out, fmt.Errorf("round %s: %w", d, err)
	}
	return out, nil
}

func add(sum *apd.Decimal, d *apd.Decimal) error {
	if _, err := exact.Add(sum, sum, d); err != nil {
		return fmt.Errorf("sum amounts: %w", err)
	}
	return nil
}

func less(a, b *apd.Decimal) (apd.Decimal, error) {
	var d apd.Decimal
	if _, err := exact.Sub(&d, a, b); err != nil {
		return d, fmt.Errorf("subtract amounts: %w", err)
	}
	return d, nil
}

// apportion rounds parts so that they add up to their rounded sum.
func apportion(parts []apd.Decimal, places int) ([]apd.Decimal, apd.Decimal, error) {
	exactly := make([]apd.Decimal, len(parts))
	for i := range parts {
		var err error
		if exactly[i], err = stored(&parts[i]); err != nil {
			return nil, apd.Decimal{}, err
		}
	}
	return billing.Apportion(exactly, places)
}

// placesFor is how many decimals amounts are shown with beside the largest one.
func placesFor(largest *apd.Decimal) int {
	var size apd.Decimal
	size.Abs(largest)
	switch {
	case size.Cmp(apd.New(100_000, 0)) >= 0:
		return 0
	case size.Cmp(apd.New(100, 0)) >= 0:
		return 2
	case size.Cmp(apd.New(1, 0)) >= 0:
		return 4
	}
	return 6
}

// money writes an amount with a comma between thousands.
func money(d apd.Decimal) string {
	text := d.Text('f')
	if d.IsZero() {
		d.Negative = false
		text = d.Text('f')
	}
	return grouped(text)
}

// float is d for plots and figures of three digits, never for money that is added.
func float(d *apd.Decimal) float64 {
	x, err := d.Float64()
	if err != nil {
		return 0
	}
	return x
}
