package config

import (
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/billing"
)

func planSpecs(b *v1alpha1.PriceBook) []billing.PlanSpec {
	var specs []billing.PlanSpec
	for _, p := range b.Spec.Plans {
		specs = append(specs, billing.PlanSpec{
			Plan: p.Plan, Version: p.Version, Kind: billing.PlanKind(p.Kind), Currency: p.Currency, Source: p.Source,
			ValidFrom: timeOf(p.ValidFrom), ValidTo: timeOf(p.ValidTo),
			PerRequest: string(p.PerRequest), PerGiBSecond: string(p.PerGiBSecond),
			IncrementMillis: orZero(p.IncrementMillis), MinimumMillis: orZero(p.MinimumMillis),
			Owned: ownedSpec(p.Owned),
		})
	}
	return specs
}

func ownedSpec(o *v1alpha1.Owned) *billing.OwnedSpec {
	if o == nil {
		return nil
	}
	return &billing.OwnedSpec{
		Hourly: string(o.Hourly), Node: nodeSpec(o.Node),
		AllocatableMilliCPU: int64(orZero(o.Allocatable.CPU)), AllocatableMiB: int64(orZero(o.Allocatable.Memory)) / mib,
		CPUWeight: string(o.CPUWeight), MemoryWeight: string(o.MemoryWeight), TargetUtilisation: string(o.TargetUtilisation),
	}
}

func nodeSpec(n *v1alpha1.Node) *billing.NodeSpec {
	if n == nil {
		return nil
	}
	return &billing.NodeSpec{
		Count: orZero(n.Count), Purchase: string(n.Purchase), Salvage: string(n.Salvage), LifeMonths: orZero(n.LifeMonths),
		PowerKW: string(n.PowerKW), PUE: string(n.PUE), TariffPerKWh: string(n.TariffPerKWh), RackPerMonth: string(n.RackPerMonth),
		MaintenancePercentPerYear: string(n.MaintenancePercentPerYear), OtherPerMonth: string(n.OtherPerMonth),
	}
}

func rateSpecs(b *v1alpha1.PriceBook) []billing.ExchangeRate {
	var specs []billing.ExchangeRate
	for _, r := range b.Spec.ExchangeRates {
		specs = append(specs, billing.ExchangeRate{From: r.From, To: r.To, Rate: string(r.Rate),
			ValidFrom: timeOf(r.Date), ValidTo: timeOf(r.Until), Source: r.Source})
	}
	return specs
}

// checkBook checks what the price book cannot know of: fields that are missing.
func checkBook(e entry[v1alpha1.PriceBook]) {
	e.currency("spec.currency", e.object.Spec.Currency)
	for i, p := range e.object.Spec.Plans {
		path := index("spec.plans", i)
		e.label(path+".plan", p.Plan)
		if p.Kind == string(billing.PlanLambda) || p.Kind == string(billing.PlanSCF) {
			e.required(path+".perRequest", p.PerRequest)
			e.required(path+".perGiBSecond", p.PerGiBSecond)
		}
	}
	for i, r := range e.object.Spec.ExchangeRates {
		path := index("spec.exchangeRates", i)
		if r.Date == nil {
			e.fault(path+".date", "is required", v1alpha1.Date{}.Syntax())
		}
		if r.Source == "" {
			e.fault(path+".source", "is required", "where the rate was published")
		}
	}
}

func (s *source) required(path string, d v1alpha1.Decimal) {
	if d == "" {
		s.fault(path, "is required", d.Syntax())
	}
}

// errLapsed is the lack of an exchange rate that there was or will be.
var errLapsed = errors.New("no exchange rate holds now")

// convert returns an amount of code in the platform's currency at the time of
// loading, rounded down: a budget never grows by conversion. While a rate has
// lapsed the amount is 0.
func (l *loading) convert(amount v1alpha1.Amount, code string) (spillway.Nano, error) {
	if code == l.currency() {
		return spillway.Nano(amount), nil
	}
	r, err := l.rate(code)
	if err != nil {
		return 0, err
	}
	rate, err := billing.ParseDecimal(r.Rate)
	if err != nil {
		return 0, err
	}
	l.until(r.ValidTo)
	product := rate.Mul(rate, new(big.Rat).SetInt64(int64(amount)))
	whole := new(big.Int).Quo(product.Num(), product.Denom())
	if !whole.IsInt64() {
		return 0, spillway.ErrOverflow
	}
	return spillway.Nano(whole.Int64()), nil
}

// rate returns the exchange rate from code that holds at the time of loading.
func (l *loading) rate(code string) (billing.ExchangeRate, error) {
	err := fmt.Errorf("there is no exchange rate from %s to %s", code, l.currency())
	for _, r := range l.rates {
		switch {
		case r.From != code || r.To != l.currency():
		case l.now.Before(r.ValidFrom):
			l.until(r.ValidFrom)
			err = errLapsed
		case !r.ValidTo.IsZero() && !l.now.Before(r.ValidTo):
			err = errLapsed
		default:
			return r, nil
		}
	}
	return billing.ExchangeRate{}, err
}

func timeOf(d *v1alpha1.Date) time.Time {
	if d == nil {
		return time.Time{}
	}
	return time.Time(*d)
}

func orZero[T ~int64](p *T) T {
	if p == nil {
		return 0
	}
	return *p
}
