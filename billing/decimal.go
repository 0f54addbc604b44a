package billing

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
)

const (
	// Decimals is how many decimals an amount on a ledger line has.
	Decimals = 18

	maxDigits     = 38 // of an amount: decimal(38,18)
	maxDecimalLen = 40 // of a written price or quantity
)

// ParseDecimal reads a plain decimal, 0 or more, such as "0.0000166667": digits
// with at most one point, without sign, exponent or separators.
func ParseDecimal(text string) (*big.Rat, error) {
	whole, fraction, pointed := strings.Cut(text, ".")
	if !digits(whole) || pointed && !digits(fraction) || len(text) > maxDecimalLen {
		return nil, fmt.Errorf("%.50q is not a plain decimal of at most %d characters, such as 0.0000166667", text, maxDecimalLen)
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, fmt.Errorf("%q is not a decimal", text)
	}
	return value, nil
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// ParseFemto reads a published unit price. It fails when the price is not a whole
// number of femto (1e-15) or is over 9,223 currency units.
func ParseFemto(text string) (spillway.Femto, error) {
	value, err := ParseDecimal(text)
	if err != nil {
		return 0, err
	}
	value.Mul(value, ratOf(1e15))
	if !value.IsInt() {
		return 0, fmt.Errorf("%q has more than 15 decimals", text)
	}
	if !value.Num().IsInt64() {
		return 0, fmt.Errorf("%q is too large: at most 9223", text)
	}
	return spillway.Femto(value.Num().Int64()), nil
}

func ratOf(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

// ceilScaled returns ceil(value × scale), or ErrOverflow.
func ceilScaled(value *big.Rat, scale int64) (int64, error) {
	scaled := new(big.Rat).Mul(value, ratOf(scale))
	quotient, rest := new(big.Int).QuoRem(scaled.Num(), scaled.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		quotient.Add(quotient, big.NewInt(1))
	}
	if !quotient.IsInt64() {
		return 0, spillway.ErrOverflow
	}
	return quotient.Int64(), nil
}

// DecimalOf returns n as an exact amount.
func DecimalOf(n spillway.Nano) apd.Decimal {
	var atto apd.BigInt
	atto.Mul(apd.NewBigInt(int64(n)), apd.NewBigInt(1e9))
	return ofAtto(&atto)
}

// ofAtto returns the amount of n units of 1e-18.
func ofAtto(n *apd.BigInt) apd.Decimal {
	var d apd.Decimal
	d.Coeff.Abs(n)
	d.Negative = n.Sign() < 0
	d.Exponent = -Decimals
	return d
}

// addAtto adds d, which must be storable, to the sum.
func addAtto(sum *apd.BigInt, d *apd.Decimal) {
	var atto apd.BigInt
	atto.Set(&d.Coeff)
	if shift := d.Exponent + Decimals; shift > 0 {
		atto.Mul(&atto, pow10(int64(shift)))
	}
	if d.Negative {
		sum.Sub(sum, &atto)
		return
	}
	sum.Add(sum, &atto)
}

func pow10(n int64) *apd.BigInt {
	var z apd.BigInt
	return z.Exp(apd.NewBigInt(10), apd.NewBigInt(n), nil)
}

// storable reports whether d is a finite decimal(38,18).
func storable(d *apd.Decimal) bool {
	return d.Form == apd.Finite && d.Exponent <= 0 && d.Exponent >= -Decimals && d.NumDigits()+int64(d.Exponent+Decimals) <= maxDigits
}

// ParseAmount reads an amount as the ledger stores it: optional sign, digits, and
// at most 18 decimals.
func ParseAmount(text string) (apd.Decimal, error) {
	var d apd.Decimal
	unsigned := strings.TrimPrefix(text, "-")
	whole, fraction, pointed := strings.Cut(unsigned, ".")
	if !digits(whole) || pointed && !digits(fraction) || len(unsigned) > maxDigits+2 {
		return d, fmt.Errorf("%.50q is not an amount", text)
	}
	if _, _, err := d.SetString(text); err != nil {
		return d, fmt.Errorf("amount %.50q: %w", text, err)
	}
	if !storable(&d) {
		return d, fmt.Errorf("amount %.50q is not a decimal(38,18)", text)
	}
	return d, nil
}
