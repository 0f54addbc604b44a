package simulator

import "math/bits"

// uint128 sums products of 64 bits without overflow.
type uint128 struct{ hi, lo uint64 }

// add adds a·b.
func (u *uint128) add(a, b uint64) {
	hi, lo := bits.Mul64(a, b)
	var carry uint64
	u.lo, carry = bits.Add64(u.lo, lo, 0)
	u.hi += hi + carry
}

func (u uint128) float() float64 { return float64(u.hi)*(1<<64) + float64(u.lo) }
