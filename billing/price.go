package billing

import (
	"fmt"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
)

// attoDivisor is the common denominator of a line: GiB-seconds count in
// 1024·1000 MiB-milliseconds, vCPU-seconds in 1000·1000 milliCPU-milliseconds,
// and a femto is 1000 atto, so 1024 and 1000 remain; this is their least multiple.
const attoDivisor = 128_000

// Meter returns the milliseconds that an execution is billed. A provider's own
// figure is taken as it is. Otherwise, as on every on-prem pool, it is the
// handler's time rounded up to the millisecond and then as the rate says.
func Meter(u spillway.Usage, r spillway.Rate, kind spillway.PoolKind) int64 {
	if kind.Cloud() && u.BilledMillis > 0 {
		return u.BilledMillis
	}
	return r.BilledMillis((max(u.DurationMicros, 0) + 999) / 1000)
}

// Price returns what ms billed milliseconds with res cost, including one request:
// exact, then rounded half-even to 18 decimals. It returns ErrOverflow for
// negative quantities and for amounts beyond decimal(38,18).
func Price(r spillway.Rate, ms int64, res spillway.Resources) (apd.Decimal, error) {
	return PriceCalls(r, 1, ms, res)
}

// PriceCalls is Price of many requests with the same rate and resources, ms being
// the sum of what they are billed. It is rounded once, so it differs from the sum of
// their prices by less than a unit of the last decimal a request.
func PriceCalls(r spillway.Rate, calls, ms int64, res spillway.Resources) (apd.Decimal, error) {
	if min(int64(r.PerRequest), int64(r.PerGiBSecond), int64(r.PerVCPUSecond), calls, ms, res.MiB, res.MilliCPU) < 0 {
		return apd.Decimal{}, spillway.ErrOverflow
	}
	var total, part, factor apd.BigInt
	total.Mul(apd.NewBigInt(int64(r.PerRequest)), apd.NewBigInt(1000*attoDivisor))
	total.Mul(&total, factor.SetInt64(calls))
	for _, p := range [2][3]int64{
		{int64(r.PerGiBSecond), res.MiB, attoDivisor / 1024},
		{int64(r.PerVCPUSecond), res.MilliCPU, attoDivisor / 1000},
	} {
		part.SetInt64(p[0])
		part.Mul(&part, factor.SetInt64(p[1]))
		part.Mul(&part, factor.SetInt64(ms))
		total.Add(&total, part.Mul(&part, factor.SetInt64(p[2])))
	}
	d := ofAtto(roundHalfEven(&total, apd.NewBigInt(attoDivisor)))
	if !storable(&d) {
		return apd.Decimal{}, spillway.ErrOverflow
	}
	return d, nil
}

// WorstCase returns the most that one send to a binding can cost: the provider's
// INIT limit and time limit in full, with its memory, and one request, each
// rounded up.
func WorstCase(b spillway.Binding, initTimeout time.Duration) (spillway.Nano, error) {
	longest := b.Timeout + initTimeout
	if b.Timeout < 0 || initTimeout < 0 || longest < 0 {
		return 0, fmt.Errorf("worst case of %s: negative time limit", b.Name)
	}
	ms := b.Rate.BilledMillis(int64((longest + time.Millisecond - 1) / time.Millisecond))
	n, err := b.Rate.CeilNano(ms, spillway.Resources{MiB: b.MiB})
	if err != nil {
		return 0, fmt.Errorf("worst case of %s, %v at %d MiB: %w", b.Name, longest, b.MiB, err)
	}
	return n, nil
}

// Charge prices e for ms billed milliseconds at e.Rate: it sets BilledMillis,
// Amount and Settled. Budgets count what is paid per call, so an on-prem line
// settles nothing.
func (e *Entry) Charge(ms int64) error {
	amount, err := Price(e.Rate, ms, e.Billed())
	if err != nil {
		return fmt.Errorf("pricing attempt %d of %s: %w", e.Attempt, e.Invocation, err)
	}
	settled, err := e.Rate.CeilNano(ms, e.Billed())
	if err != nil {
		return fmt.Errorf("pricing attempt %d of %s: %w", e.Attempt, e.Invocation, err)
	}
	if !e.Cloud {
		settled = 0
	}
	e.BilledMillis, e.Amount, e.Settled = ms, amount, settled
	return nil
}

// Billed returns the resources that e is billed for: those it held, but the
// memory that a cloud provider reported in place of what we think it has.
func (e *Entry) Billed() spillway.Resources {
	res := e.Resources
	if e.Cloud && e.Usage.MemoryMiB > 0 {
		res.MiB = e.Usage.MemoryMiB
	}
	return res
}

// EstimateOf returns the line that stands for an intent whose outcome is still
// unknown at its deadline: the whole reservation.
func EstimateOf(intent *Entry, posted time.Time) Entry {
	e := *intent
	e.Kind, e.Posted, e.Outcome = KindEstimate, posted, spillway.Unknown
	e.Sequence, e.Usage.Estimated = 0, true
	e.Amount, e.Settled = DecimalOf(intent.Reserved), intent.Reserved
	return e
}

// ReversalOf returns the line that takes an estimate back: the same amounts,
// negative.
func ReversalOf(estimate *Entry, posted time.Time) Entry {
	e := *estimate
	e.Kind, e.Posted, e.Sequence = KindReversal, posted, 0
	e.Amount = apd.Decimal{}
	e.Amount.Set(&estimate.Amount)
	e.Amount.Negative = estimate.Amount.Sign() > 0
	e.Settled = -estimate.Settled
	return e
}
