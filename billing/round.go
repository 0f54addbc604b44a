package billing

import (
	"fmt"
	"slices"

	"github.com/cockroachdb/apd/v3"
)

// Apportion rounds amounts to a number of decimals, 0 to 18, for people to read.
// The whole is rounded once, half-even; the parts are cut, and the units missing
// go to those that lost most (the first of equals), so that they add up to the
// whole.
func Apportion(amounts []apd.Decimal, places int) (parts []apd.Decimal, whole apd.Decimal, err error) {
	if places < 0 || places > Decimals {
		return nil, whole, fmt.Errorf("rounding to %d decimals: must be 0 to %d", places, Decimals)
	}
	unit := pow10(int64(Decimals - places))
	var sum, assigned apd.BigInt
	units, lost := make([]apd.BigInt, len(amounts)), make([]apd.BigInt, len(amounts))
	order := make([]int, len(amounts))
	for i := range amounts {
		if !storable(&amounts[i]) {
			return nil, whole, fmt.Errorf("rounding %s: not a decimal(38,18)", amounts[i].String())
		}
		var atto apd.BigInt
		addAtto(&atto, &amounts[i])
		sum.Add(&sum, &atto)
		units[i].DivMod(&atto, unit, &lost[i]) // down, also below zero
		assigned.Add(&assigned, &units[i])
		order[i] = i
	}
	rounded := roundHalfEven(&sum, unit)
	missing := new(apd.BigInt).Sub(rounded, &assigned).Int64()
	slices.SortStableFunc(order, func(a, b int) int { return lost[b].Cmp(&lost[a]) })
	for _, i := range order[:min(max(missing, 0), int64(len(order)))] {
		units[i].Add(&units[i], apd.NewBigInt(1))
	}
	for i := range units {
		parts = append(parts, ofUnits(&units[i], places))
	}
	return parts, ofUnits(rounded, places), nil
}

// roundHalfEven returns n/unit rounded, ties to even; unit is 1 or even.
func roundHalfEven(n, unit *apd.BigInt) *apd.BigInt {
	var quotient, rest apd.BigInt
	quotient.DivMod(n, unit, &rest)
	twice := rest.Lsh(&rest, 1).Cmp(unit)
	if twice > 0 || twice == 0 && quotient.Bit(0) == 1 {
		quotient.Add(&quotient, apd.NewBigInt(1))
	}
	return &quotient
}

func ofUnits(n *apd.BigInt, places int) apd.Decimal {
	var d apd.Decimal
	d.Coeff.Abs(n)
	d.Negative, d.Exponent = n.Sign() < 0, int32(-places)
	return d
}
