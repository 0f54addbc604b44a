package spillway

import (
	"errors"
	"math"
	"math/bits"
)

// Nano is an amount of money in billionths of the platform's currency. The
// Engine counts headroom in Nano, always rounded up; ledger lines keep exact
// decimals (package billing).
type Nano int64

// MaxNano is the largest amount, about 9.2 billion currency units.
const MaxNano Nano = math.MaxInt64

// ErrOverflow reports a quantity outside int64.
var ErrOverflow = errors.New("quantity overflows 64 bits")

// AddNano returns a+b, or ErrOverflow.
func AddNano(a, b Nano) (Nano, error) {
	s := a + b
	if (b > 0 && s < a) || (b < 0 && s > a) {
		return 0, ErrOverflow
	}
	return s, nil
}

// Femto is a unit price in quadrillionths (1e-15) of the platform's currency.
// Published prices have at most 13 decimals, so they are exact in Femto.
type Femto int64

// Rate is what one pool charges one function, per call and per MiB-millisecond
// or milliCPU-millisecond, exact to the femto. Per-GiB-second prices are kept as
// published and divided at the end, so that nothing is lost.
type Rate struct {
	PerRequest      Femto // one invocation
	PerGiBSecond    Femto // memory × time
	PerVCPUSecond   Femto // cpu × time; zero where the provider bundles it
	IncrementMillis int64 // billed time is rounded up to this; ≥ 1
	MinimumMillis   int64 // billed time is at least this
}

// BilledMillis rounds ms up as the rate says.
func (r Rate) BilledMillis(ms int64) int64 {
	inc := max(r.IncrementMillis, 1)
	ms = max(ms, r.MinimumMillis)
	if rem := ms % inc; rem != 0 {
		ms += inc - rem
	}
	return ms
}

// CeilNano returns an upper bound in Nano, at most three nano above the exact
// cost (each component is rounded up), of one invocation of billed ms milliseconds
// with res resources. It returns ErrOverflow instead of wrapping.
func (r Rate) CeilNano(ms int64, res Resources) (Nano, error) {
	total := Nano((uint64(r.PerRequest) + 999_999) / 1_000_000)
	for _, part := range [2]struct {
		price    Femto
		quantity int64
		divisor  uint64 // quantity units in one priced unit, times 1e6 femto in a nano
	}{
		{r.PerGiBSecond, res.MiB, 1024 * 1000 * 1_000_000},
		{r.PerVCPUSecond, res.MilliCPU, 1000 * 1000 * 1_000_000},
	} {
		n, err := mulDivCeil(part.price, part.quantity, ms, part.divisor)
		if err != nil {
			return 0, err
		}
		if total, err = AddNano(total, n); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// mulDivCeil returns ceil(price × quantity × ms / divisor).
func mulDivCeil(price Femto, quantity, ms int64, divisor uint64) (Nano, error) {
	if price < 0 || quantity < 0 || ms < 0 {
		return 0, ErrOverflow
	}
	hi, amount := bits.Mul64(uint64(quantity), uint64(ms))
	if hi != 0 {
		return 0, ErrOverflow
	}
	hi, lo := bits.Mul64(amount, uint64(price))
	lo, carry := bits.Add64(lo, divisor-1, 0)
	hi += carry
	if hi >= divisor {
		return 0, ErrOverflow
	}
	q, _ := bits.Div64(hi, lo, divisor)
	if q > math.MaxInt64 {
		return 0, ErrOverflow
	}
	return Nano(q), nil
}
