package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/simulator/planner"
	"github.com/spillway-dev/spillway/simulator/planning"
)

// termsText is a file of what a cloud account has beyond the flat prices of the price
// book, which hold for what it does not say. Amounts are in the platform's currency.
type termsText struct {
	FreeCalls      int64            `yaml:"freeCalls"` // per month
	PenaltyPerCall v1alpha1.Decimal `yaml:"penaltyPerCall"`
	Stack          bool             `yaml:"stack"` // several packages may be held at once
	Tiers          []struct {
		FromGiBSeconds int64            `yaml:"fromGiBSeconds"` // per month
		PerGiBSecond   v1alpha1.Decimal `yaml:"perGiBSecond"`
	} `yaml:"tiers"`
	Packages []struct {
		Name       string          `yaml:"name"`
		Fee        v1alpha1.Amount `yaml:"fee"` // per month
		Calls      int64           `yaml:"calls"`
		GiBSeconds int64           `yaml:"giBSeconds"`
		Most       int64           `yaml:"most"` // copies at once, with stack
	} `yaml:"packages"`
}

const (
	mibMillisPerGiBSecond = 1024 * 1000
	mostGiBSeconds        = 1 << 43
)

// burst returns the prices of bursts.
func (f *planFlags) burst(rate spillway.Rate) (planner.Burst, error) {
	b := planner.Burst{PerRequest: rate.PerRequest, Tiers: []planner.Tier{{PerGiBSecond: rate.PerGiBSecond}}}
	if f.terms == "" {
		return b, nil
	}
	var t termsText
	if err := readYAML("--cloud-terms", f.terms, &t); err != nil {
		return b, err
	}
	b.FreeCalls, b.Stack = t.FreeCalls, t.Stack
	err := f.quantity("freeCalls", t.FreeCalls)
	if err != nil {
		return b, err
	}
	if b.PenaltyPerCall, err = f.femto("penaltyPerCall", t.PenaltyPerCall); err != nil {
		return b, err
	}
	if len(t.Tiers) > 0 {
		b.Tiers = nil
	}
	for i, tier := range t.Tiers {
		at := fmt.Sprintf("tiers[%d]", i)
		price, err := f.femto(at+".perGiBSecond", tier.PerGiBSecond)
		if err == nil {
			err = f.quantity(at+".fromGiBSeconds", tier.FromGiBSeconds)
		}
		if err != nil {
			return b, err
		}
		b.Tiers = append(b.Tiers, planner.Tier{FromMiBMillis: tier.FromGiBSeconds * mibMillisPerGiBSecond, PerGiBSecond: price})
	}
	for i, p := range t.Packages {
		at := fmt.Sprintf("packages[%d].", i)
		err := f.quantity(at+"giBSeconds", p.GiBSeconds)
		if err == nil {
			err = f.quantity(at+"calls", p.Calls)
		}
		if err == nil {
			err = f.quantity(at+"most", p.Most)
		}
		if err != nil {
			return b, err
		}
		if p.Name == "" {
			p.Name = fmt.Sprintf("package %d", i+1)
		}
		b.Packages = append(b.Packages, planner.Package{Name: p.Name, Fee: spillway.Nano(p.Fee), Calls: p.Calls, MiBMillis: p.GiBSeconds * mibMillisPerGiBSecond, Most: p.Most})
	}
	return b, nil
}

func (f *planFlags) quantity(path string, n int64) error {
	if n < 0 || n > mostGiBSeconds {
		return wrongInput("--cloud-terms: %s: %s: %d; allowed: 0 to %d", f.terms, path, n, int64(mostGiBSeconds))
	}
	return nil
}

// femto reads a unit price, rounded up to what prices are counted in.
func (f *planFlags) femto(path string, d v1alpha1.Decimal) (spillway.Femto, error) {
	if d == "" {
		return 0, nil
	}
	price, err := billing.ParseFemto(string(d))
	if err != nil {
		return 0, wrongInput("--cloud-terms: %s: %s: %w", f.terms, path, err)
	}
	return price, nil
}

// cloudFor finds where bursts go: a cloud pool, a pool of a price plan, or a plan of
// the built-in price book, whose prices then replace those of the first cloud pool.
func (f *planFlags) cloudFor(c *planning.Case, at time.Time) (planning.Cloud, error) {
	p := c.Run.Platform
	var noneOf error
	for _, pool := range p.Pools {
		if plan, _, _ := strings.Cut(pool.PriceVersion, "@"); pool.Kind.Cloud() && !pool.Retired && f.cloud != "" && plan == f.cloud {
			cloud, err := planning.FindCloud(&c.Run, pool.Name)
			if err == nil {
				return cloud, nil
			}
			noneOf = cmp.Or(noneOf, err)
		}
	}
	if noneOf != nil {
		return planning.Cloud{}, noneOf
	}
	cloud, err := planning.FindCloud(&c.Run, f.cloud)
	if err == nil || f.cloud == "" {
		return cloud, err
	}
	book, bookErr := billing.NewBook(p.Currency, billing.DefaultPlans(), nil)
	if bookErr != nil {
		return cloud, bookErr
	}
	quote, bookErr := book.At(f.cloud, at)
	var known bool
	for _, plan := range billing.DefaultPlans() {
		known = known || plan.Plan == f.cloud
	}
	switch {
	case !known:
		return cloud, err
	case bookErr != nil:
		return cloud, wrongInput("--cloud: %w; give a --config whose PriceBook has the exchange rate and a pool with this plan", bookErr)
	case quote.Kind == billing.PlanOwned:
		return cloud, wrongInput("--cloud: %q is a plan of owned machines; allowed: a cloud pool or price plan", f.cloud)
	}
	cloud = planning.Cloud{Name: f.cloud, Pool: -1, Rate: quote.Rate, Imposed: true}
	for i, pool := range p.Pools {
		if pool.Kind.Cloud() && !pool.Retired && cloud.Pool < 0 {
			cloud.Pool = i
		}
	}
	return cloud, nil
}
