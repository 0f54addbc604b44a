package billing

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
)

func day(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return t
}

func lambdaPlan() PlanSpec {
	return PlanSpec{Plan: "l", Version: "1", Kind: PlanLambda, Currency: "USD", Source: "s", ValidFrom: day("2026-01-01"),
		PerRequest: "0.0000002", PerGiBSecond: "0.0000166667", IncrementMillis: 1}
}

func ownedPlan() PlanSpec {
	return PlanSpec{Plan: "o", Version: "1", Kind: PlanOwned, Currency: "USD", Source: "s", ValidFrom: day("2026-01-01"),
		Owned: &OwnedSpec{Hourly: "1", AllocatableMilliCPU: 4000, AllocatableMiB: 16 * 1024}}
}

func TestDefaultPlans(t *testing.T) {
	book, err := NewBook("USD", DefaultPlans(), nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := book.At("lambda-x86-us-east-1", day("2026-11-21"))
	want := spillway.Rate{PerRequest: 200_000_000, PerGiBSecond: 16_666_700_000, IncrementMillis: 1}
	if err != nil || q.Rate != want || q.Version != "lambda-x86-us-east-1@2025-08-01" || q.Hourly != 0 {
		t.Fatalf("%+v, %v", q, err)
	}
	node, err := book.At("example-node", day("2026-11-21"))
	// (8100/60 + 0.45·1.5·0.12·730 + 40 + 37.5 + 60) / 730 = 331.63 / 730 = 0.4542876712…, rounded up
	if err != nil || node.Hourly != 454_287_672 {
		t.Fatalf("%+v, %v", node, err)
	}
	if _, err := book.At("lambda-x86-cn-northwest-1", day("2026-11-21")); !errors.As(err, new(*NoPriceError)) {
		t.Fatalf("CNY without an exchange rate: %v", err)
	}
}

// At full sale at the target utilisation, an owned plan recovers its cost, and at
// most a millionth more.
func TestOwnedPricesRecoverTheCost(t *testing.T) {
	spec := ownedPlan()
	spec.Owned.TargetUtilisation = "0.5"
	book, err := NewBook("USD", []PlanSpec{spec}, nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := book.At("o", day("2026-02-01"))
	if err != nil {
		t.Fatal(err)
	}
	sold := exactly(q.Rate, 3600_000, spillway.Resources{MilliCPU: 2000, MiB: 8 * 1024})
	if sold.Cmp(big.NewRat(1, 1)) < 0 || sold.Cmp(big.NewRat(1_000_001, 1_000_000)) > 0 {
		t.Fatalf("an hour of half of it sells for %s, and costs 1", sold.FloatString(12))
	}
	ratio := float64(q.Rate.PerVCPUSecond) / float64(q.Rate.PerGiBSecond)
	if ratio < 7.459 || ratio > 7.461 {
		t.Fatalf("a core costs %v GiB", ratio)
	}
}

func TestExchange(t *testing.T) {
	first := lambdaPlan()
	first.ValidTo = day("2026-07-01")
	second := first
	second.Version, second.ValidFrom, second.ValidTo, second.PerRequest = "2", day("2026-07-01"), time.Time{}, "0.0000003"
	rates := []ExchangeRate{{From: "USD", To: "CNY", Rate: "7.1234567", ValidFrom: day("2026-03-01"), ValidTo: day("2026-09-01"), Source: "bank"}}
	book, err := NewBook("CNY", []PlanSpec{second, first}, rates)
	if err != nil {
		t.Fatal(err)
	}
	q, err := book.At("l", day("2026-03-01"))
	if err != nil || q.Rate.PerRequest != 1_424_691_340 || q.Version != "l@1+USD-CNY@2026-03-01" || !q.Until.Equal(day("2026-07-01")) {
		t.Fatalf("%+v, %v", q, err)
	}
	if q.Rate.PerGiBSecond != 118_724_515_782 { // 118724515781.89 rounded up
		t.Fatalf("%+v", q.Rate)
	}
	if q, err = book.At("l", day("2026-07-01")); err != nil || q.Version != "l@2+USD-CNY@2026-03-01" || !q.Until.Equal(day("2026-09-01")) {
		t.Fatalf("%+v, %v", q, err)
	}
	for at, next := range map[string]time.Time{"2025-12-31": first.ValidFrom, "2026-02-28": day("2026-03-01"), "2026-09-01": {}} {
		var none *NoPriceError
		if _, err := book.At("l", day(at)); !errors.As(err, &none) || !none.Lapsed || !none.Next.Equal(next) {
			t.Errorf("%s: %+v, %v", at, none, err)
		}
	}
	rates[0].From = "EUR"
	if book, err = NewBook("CNY", []PlanSpec{second, first}, rates); err != nil {
		t.Fatal(err)
	}
	for _, plan := range []string{"l", "m"} {
		var none *NoPriceError
		if _, err := book.At(plan, day("2026-03-01")); !errors.As(err, &none) || none.Lapsed {
			t.Errorf("%s, which nothing priced ever: %+v, %v", plan, none, err)
		}
	}
}

func TestBookFaults(t *testing.T) {
	change := func(spec PlanSpec, f func(*PlanSpec)) []PlanSpec {
		if spec.Owned != nil {
			owned := *spec.Owned
			spec.Owned = &owned
		}
		f(&spec)
		return []PlanSpec{spec}
	}
	node := &NodeSpec{Purchase: "1000", LifeMonths: 36}
	for _, c := range []struct {
		path  string
		plans []PlanSpec
	}{
		{"plans[0].perRequest", change(lambdaPlan(), func(p *PlanSpec) { p.PerRequest = "" })},
		{"plans[0].perRequest", change(lambdaPlan(), func(p *PlanSpec) { p.PerRequest = "-1" })},
		{"plans[0].perRequest", change(lambdaPlan(), func(p *PlanSpec) { p.PerRequest = "1e-7" })},
		{"plans[0].perGiBSecond", change(lambdaPlan(), func(p *PlanSpec) { p.PerGiBSecond = "0.0000000000000001" })},
		{"plans[0].perGiBSecond", change(lambdaPlan(), func(p *PlanSpec) { p.PerGiBSecond = "10000" })},
		{"plans[0].kind", change(lambdaPlan(), func(p *PlanSpec) { p.Kind = "free" })},
		{"plans[0].currency", change(lambdaPlan(), func(p *PlanSpec) { p.Currency = "usd" })},
		{"plans[0].validTo", change(lambdaPlan(), func(p *PlanSpec) { p.ValidTo = p.ValidFrom })},
		{"plans[0].source", change(lambdaPlan(), func(p *PlanSpec) { p.Source = "" })},
		{"plans[0].incrementMillis", change(lambdaPlan(), func(p *PlanSpec) { p.MinimumMillis = -1 })},
		{"plans[0].owned", change(lambdaPlan(), func(p *PlanSpec) { p.Owned = &OwnedSpec{} })},
		{"plans[0].owned", change(ownedPlan(), func(p *PlanSpec) { p.Owned = nil })},
		{"plans[0].owned", change(ownedPlan(), func(p *PlanSpec) { p.Owned.Node = node })},
		{"plans[0].owned", change(ownedPlan(), func(p *PlanSpec) { p.Owned.Hourly = "99999999999999" })},
		{"plans[0].owned.allocatable", change(ownedPlan(), func(p *PlanSpec) { p.Owned.AllocatableMiB = 0 })},
		{"plans[0].owned.targetUtilisation", change(ownedPlan(), func(p *PlanSpec) { p.Owned.TargetUtilisation = "1.1" })},
		{"plans[0].owned.targetUtilisation", change(ownedPlan(), func(p *PlanSpec) { p.Owned.TargetUtilisation = "0" })},
		{"plans[0].owned.cpuWeight", change(ownedPlan(), func(p *PlanSpec) { p.Owned.CPUWeight, p.Owned.MemoryWeight = "0", "0" })},
		{"plans[0].owned.node.lifeMonths", change(ownedPlan(), func(p *PlanSpec) { p.Owned.Hourly, p.Owned.Node = "", &NodeSpec{} })},
		{"plans[0].owned.node.salvage", change(ownedPlan(), func(p *PlanSpec) { p.Owned.Hourly, p.Owned.Node = "", &NodeSpec{LifeMonths: 1, Salvage: "1"} })},
		{"plans[0].owned.node.pue", change(ownedPlan(), func(p *PlanSpec) { p.Owned.Hourly, p.Owned.Node = "", &NodeSpec{LifeMonths: 1, PUE: "0.9"} })},
		{"plans[1].validFrom", append(change(lambdaPlan(), func(*PlanSpec) {}), change(lambdaPlan(), func(p *PlanSpec) { p.Version = "2"; p.ValidFrom = day("2027-01-01") })...)},
		{"plans[1].version", append(change(lambdaPlan(), func(p *PlanSpec) { p.ValidTo = day("2026-02-01") }), change(lambdaPlan(), func(p *PlanSpec) { p.ValidFrom = day("2027-01-01") })...)},
	} {
		_, err := NewBook("USD", c.plans, nil)
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+c.path+":") {
			t.Errorf("want a fault at %s, got: %v", c.path, err)
		}
	}
	_, err := NewBook("USD", nil, []ExchangeRate{
		{From: "CNY", To: "CNY", Rate: "0"},
		{From: "EUR", To: "USD", Rate: "1.1", ValidFrom: day("2026-01-01")},
		{From: "EUR", To: "USD", Rate: "1.2", ValidFrom: day("2026-02-01")},
	})
	for _, path := range []string{"exchangeRates[0].rate", "exchangeRates[0].to", "exchangeRates[2].validFrom"} {
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("no fault at %s in: %v", path, err)
		}
	}
}

func FuzzDecimal(f *testing.F) {
	for _, seed := range []string{"0", "0.0000166667", "9223.372036854775807", "1.", ".5", "-1", "1e3", "NaN", "0x1", "1_000", "9999999999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseFemto(text)
		if err != nil {
			return
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok || n < 0 || want.Cmp(big.NewRat(int64(n), 1e15)) != 0 {
			t.Fatalf("%q reads as %d femto", text, n)
		}
	})
}

func FuzzAmount(f *testing.F) {
	for _, seed := range []string{"0", "-0.000000202083337500", "99999999999999999999.999999999999999999", "1e9", "NaN", "--1", "0.0000000000000000001"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseAmount(text)
		if err != nil {
			return
		}
		again, err := ParseAmount(d.Text('f'))
		if err != nil || again.Cmp(&d) != 0 {
			t.Fatalf("%q reads as %s, which reads as %s (%v)", text, d.Text('f'), again.Text('f'), err)
		}
	})
}
