package billing

import (
	"errors"
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
)

func drawRate(t *rapid.T) spillway.Rate {
	return spillway.Rate{
		PerRequest:      spillway.Femto(rapid.Int64Range(0, 1e12).Draw(t, "request")),
		PerGiBSecond:    spillway.Femto(rapid.Int64Range(0, 1e13).Draw(t, "gib")),
		PerVCPUSecond:   spillway.Femto(rapid.Int64Range(0, 1e13).Draw(t, "vcpu")),
		IncrementMillis: rapid.Int64Range(0, 200).Draw(t, "increment"),
		MinimumMillis:   rapid.Int64Range(0, 200).Draw(t, "minimum"),
	}
}

// exactly is the cost by the definition, as a fraction.
func exactly(r spillway.Rate, ms int64, res spillway.Resources) *big.Rat {
	total := big.NewRat(int64(r.PerRequest), 1e15)
	memory := new(big.Rat).Mul(big.NewRat(int64(r.PerGiBSecond), 1e15), new(big.Rat).Mul(big.NewRat(res.MiB, 1024), big.NewRat(ms, 1000)))
	cpu := new(big.Rat).Mul(big.NewRat(int64(r.PerVCPUSecond), 1e15), new(big.Rat).Mul(big.NewRat(res.MilliCPU, 1000), big.NewRat(ms, 1000)))
	return total.Add(total, memory).Add(total, cpu)
}

func ratOfDecimal(d apd.Decimal) *big.Rat {
	r, ok := new(big.Rat).SetString(d.Text('f'))
	if !ok {
		panic(d.String())
	}
	return r
}

func TestPriceIsExactAndBelowTheEnginesBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := drawRate(t)
		res := spillway.Resources{
			MilliCPU: rapid.Int64Range(0, 256_000).Draw(t, "cpu"),
			MiB:      rapid.Int64Range(0, 1<<20).Draw(t, "mib"),
		}
		ms := rapid.Int64Range(0, 15*60*1000).Draw(t, "ms")
		price, err := Price(rate, ms, res)
		if err != nil {
			t.Fatal(err)
		}
		got, exact := ratOfDecimal(price), exactly(rate, ms, res)
		if off := new(big.Rat).Sub(got, exact); off.Abs(off).Cmp(big.NewRat(1, 2e18)) > 0 {
			t.Fatalf("%s is off by %s", price.Text('f'), off.FloatString(21))
		}
		ceil, err := rate.CeilNano(ms, res)
		if err != nil {
			t.Fatal(err)
		}
		over := new(big.Rat).Sub(big.NewRat(int64(ceil), 1e9), got)
		if over.Sign() < 0 || over.Cmp(big.NewRat(3, 1e9)) >= 0 {
			t.Fatalf("the Engine counts %d nano for %s", ceil, price.Text('f'))
		}
	})
}

func TestPriceTies(t *testing.T) {
	half := spillway.Resources{MilliCPU: 1} // with 1 femto per vCPU-second: 1e-3 atto per ms
	for ms, want := range map[int64]string{500: "0.000000000000000000", 501: "0.000000000000000001", 1500: "0.000000000000000002", 2500: "0.000000000000000002"} {
		got, err := Price(spillway.Rate{PerVCPUSecond: 1}, ms, half)
		if err != nil || got.Text('f') != want {
			t.Errorf("%d ms: %s, %v; want %s", ms, got.Text('f'), err, want)
		}
	}
}

func TestPriceOfPublishedExample(t *testing.T) {
	// 1 ms at 128 MiB: 0.000125 GiB-seconds, and one request.
	got, err := Price(spillway.Rate{PerRequest: 200_000_000, PerGiBSecond: 16_666_700_000}, 1, spillway.Resources{MiB: 128})
	if err != nil || got.Text('f') != "0.000000202083337500" {
		t.Fatal(got.Text('f'), err)
	}
}

func TestPriceRefusesNonsense(t *testing.T) {
	huge := spillway.Rate{PerRequest: math.MaxInt64, PerGiBSecond: math.MaxInt64, PerVCPUSecond: math.MaxInt64}
	for name, err := range map[string]error{
		"negative time": second(Price(spillway.Rate{}, -1, spillway.Resources{})),
		"negative rate": second(Price(spillway.Rate{PerRequest: -1}, 1, spillway.Resources{})),
		"overflow":      second(Price(huge, math.MaxInt64, spillway.Resources{MiB: math.MaxInt64, MilliCPU: math.MaxInt64})),
	} {
		if !errors.Is(err, spillway.ErrOverflow) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestMeter(t *testing.T) {
	rate := spillway.Rate{IncrementMillis: 100, MinimumMillis: 200}
	for _, c := range []struct {
		usage spillway.Usage
		rate  spillway.Rate
		kind  spillway.PoolKind
		want  int64
	}{
		{spillway.Usage{DurationMicros: 1}, spillway.Rate{}, spillway.PoolProcess, 1},
		{spillway.Usage{DurationMicros: 1000}, spillway.Rate{}, spillway.PoolProcess, 1},
		{spillway.Usage{DurationMicros: 1001}, spillway.Rate{}, spillway.PoolProcess, 2},
		{spillway.Usage{DurationMicros: 201_000}, rate, spillway.PoolProcess, 300},
		{spillway.Usage{}, rate, spillway.PoolProcess, 200},
		{spillway.Usage{DurationMicros: -5}, spillway.Rate{}, spillway.PoolProcess, 0},
		{spillway.Usage{DurationMicros: 5000, BilledMillis: 77}, rate, spillway.PoolLambda, 77},
		{spillway.Usage{DurationMicros: 5001, Estimated: true}, spillway.Rate{IncrementMillis: 1}, spillway.PoolLambda, 6},
		{spillway.Usage{DurationMicros: 5000, BilledMillis: 77}, spillway.Rate{}, spillway.PoolProcess, 5},
	} {
		if got := Meter(c.usage, c.rate, c.kind); got != c.want {
			t.Errorf("%+v %v: %d, want %d", c.usage, c.kind, got, c.want)
		}
	}
}

func TestWorstCaseBoundsEveryCharge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := spillway.Binding{Rate: drawRate(t), MiB: rapid.Int64Range(128, 10240).Draw(t, "mib"),
			Timeout: time.Duration(rapid.Int64Range(0, 900_000_000_000).Draw(t, "timeout"))}
		worst, err := WorstCase(b, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		limit := int64((b.Timeout + 10*time.Second + time.Millisecond - 1) / time.Millisecond)
		e := Entry{Cloud: true, Rate: b.Rate, Resources: spillway.Resources{MiB: b.MiB}}
		if err := e.Charge(b.Rate.BilledMillis(rapid.Int64Range(0, limit).Draw(t, "ms"))); err != nil {
			t.Fatal(err)
		}
		if e.Settled > worst {
			t.Fatalf("charge %d is over the reservation %d", e.Settled, worst)
		}
	})
}

func TestReversalCancelsEstimate(t *testing.T) {
	intent := Entry{Kind: KindIntent, Invocation: "i", Attempt: 1, Reserved: 12345, Cloud: true}
	estimate := EstimateOf(&intent, time.Unix(5, 0))
	reversal := ReversalOf(&estimate, time.Unix(6, 0))
	var sum apd.BigInt
	addAtto(&sum, &estimate.Amount)
	if sum.String() != "12345000000000" || estimate.Settled != 12345 {
		t.Fatalf("estimate %s, %d", sum.String(), estimate.Settled)
	}
	addAtto(&sum, &reversal.Amount)
	if sum.Sign() != 0 || estimate.Settled+reversal.Settled != 0 || estimate.Amount.Negative {
		t.Fatalf("left over: %s, %d", sum.String(), estimate.Settled+reversal.Settled)
	}
}

func BenchmarkCharge(b *testing.B) {
	e := Entry{Cloud: true, Rate: spillway.Rate{PerRequest: 200_000_000, PerGiBSecond: 16_666_700_000}, Resources: spillway.Resources{MiB: 1024}}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Charge(1234); err != nil {
			b.Fatal(err)
		}
	}
}
