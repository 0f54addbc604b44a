package planner

import (
	"math/big"
	"math/bits"

	"github.com/spillway-dev/spillway"
)

// ceilMulDiv returns ceil(a × b / divisor), or ErrOverflow for results beyond
// int64 and for negative factors.
func ceilMulDiv(a, b int64, divisor uint64) (int64, error) {
	if a < 0 || b < 0 {
		return 0, spillway.ErrOverflow
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(lo, divisor-1, 0)
	hi += carry
	if hi >= divisor {
		return 0, spillway.ErrOverflow
	}
	q, _ := bits.Div64(hi, lo, divisor)
	if q > 1<<63-1 {
		return 0, spillway.ErrOverflow
	}
	return int64(q), nil
}

// ceilShare returns ceil(quantity × part / whole) for 0 ≤ part ≤ whole, whole > 0.
func ceilShare(quantity int64, part, whole uint64) int64 {
	if part == whole {
		return quantity
	}
	hi, lo := bits.Mul64(uint64(quantity), part)
	q, rest := bits.Div64(hi, lo, whole)
	if rest != 0 {
		q++
	}
	return int64(q)
}

// floorShare returns floor(quantity × part / whole) for 0 ≤ part ≤ whole.
func floorShare(quantity, part, whole int64) int64 {
	hi, lo := bits.Mul64(uint64(quantity), uint64(part))
	q, _ := bits.Div64(hi, lo, uint64(whole))
	return int64(q)
}

// sum adds non-negative quantities.
func sum(parts ...int64) (int64, error) {
	var total int64
	for _, p := range parts {
		if p < 0 || total > 1<<63-1-p {
			return 0, spillway.ErrOverflow
		}
		total += p
	}
	return total, nil
}

// product multiplies non-negative quantities.
func product(a, b int64) (int64, error) { return ceilMulDiv(a, b, 1) }

// scaled returns ceil(a × num / den).
func scaled(a, num, den int64) (int64, error) { return ceilMulDiv(a, num, uint64(den)) }

// ceilProducts returns ceil(Σ a·b / divisor) for non-negative factors, as one sum,
// so that splitting a quantity costs no rounding.
func ceilProducts(divisor int64, factors ...[2]int64) (int64, error) {
	var total, a, b big.Int
	for _, f := range factors {
		a.SetInt64(f[0])
		total.Add(&total, a.Mul(&a, b.SetInt64(f[1])))
	}
	total.Add(&total, a.SetInt64(divisor-1))
	total.Quo(&total, a.SetInt64(divisor))
	if !total.IsInt64() {
		return 0, spillway.ErrOverflow
	}
	return total.Int64(), nil
}

// less reports a×b < c×d.
func less(a, b, c, d int64) bool {
	h1, l1 := bits.Mul64(uint64(a), uint64(b))
	h2, l2 := bits.Mul64(uint64(c), uint64(d))
	return h1 < h2 || h1 == h2 && l1 < l2
}
