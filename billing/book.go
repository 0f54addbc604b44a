package billing

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
)

// SpecError is one fault of a price book as written.
type SpecError struct {
	Path    string // such as plans[2].owned.node.purchase
	Problem string
	Allowed string // empty if there is nothing to add
}

func (e *SpecError) Error() string {
	if e.Allowed == "" {
		return e.Path + ": " + e.Problem
	}
	return e.Path + ": " + e.Problem + "; allowed: " + e.Allowed
}

// NoPriceError reports that a price book has no price where one is needed.
type NoPriceError struct {
	Plan string
	At   time.Time
	Why  string
	// Lapsed says that there was or will be a price: it is a matter of time.
	Lapsed bool
	Next   time.Time // from when there may be one again; zero if no such time is known
}

func (e *NoPriceError) Error() string {
	return fmt.Sprintf("price plan %q at %s: %s", e.Plan, e.At.UTC().Format(time.RFC3339), e.Why)
}

// Quote is what a plan costs at one time, in the currency of the platform.
type Quote struct {
	Plan    string
	Version string // of the plan, and of the exchange rate if one was used
	Kind    PlanKind
	Source  string

	Rate spillway.Rate
	// Hourly is what an owned plan costs an hour, used or not, rounded up.
	Hourly spillway.Nano

	// Until is when the quote stops holding; zero if no end is known.
	Until time.Time
}

// Book is a validated price book. It is immutable and safe for concurrent use.
type Book struct {
	currency string
	plans    map[string][]plan // by ValidFrom
	exchange []exchange
}

type plan struct {
	PlanSpec
	rate    spillway.Rate // its increments only; the prices are below
	request *big.Rat      // one
	cpu     *big.Rat      // per vCPU-second
	memory  *big.Rat      // per GiB-second
	hourly  *big.Rat      // whether used or not
}

type exchange struct {
	ExchangeRate
	rate *big.Rat
}

// NewBook validates a price book for a platform that counts in currency. The
// error joins a *SpecError for each fault found.
func NewBook(currency string, plans []PlanSpec, rates []ExchangeRate) (*Book, error) {
	b := &Book{currency: currency, plans: map[string][]plan{}}
	var faults faults
	if !isCurrency(currency) {
		faults.add("currency", fmt.Sprintf("%q is not a currency code", currency), "three capital letters, such as USD")
	}
	for i, spec := range plans {
		p := compilePlan(spec, fmt.Sprintf("plans[%d]", i), &faults)
		b.plans[spec.Plan] = append(b.plans[spec.Plan], p)
	}
	for i, spec := range rates {
		b.exchange = append(b.exchange, compileExchange(spec, fmt.Sprintf("exchangeRates[%d]", i), &faults))
	}
	checkPlanOverlap(plans, &faults)
	checkExchangeOverlap(rates, &faults)
	for _, entries := range b.plans {
		slices.SortFunc(entries, func(a, b plan) int { return a.ValidFrom.Compare(b.ValidFrom) })
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return b, nil
}

// At returns what plan costs at a time. It returns a *NoPriceError when the plan
// is unknown, not valid then, or in a currency without an exchange rate then.
func (b *Book) At(name string, at time.Time) (Quote, error) {
	entries, known := b.plans[name]
	if !known {
		return Quote{}, &NoPriceError{Plan: name, At: at, Why: "no such plan in the price book"}
	}
	i := slices.IndexFunc(entries, func(p plan) bool { return within(at, p.ValidFrom, p.ValidTo) })
	if i < 0 {
		none := &NoPriceError{Plan: name, At: at, Why: "no entry of the plan is valid then", Lapsed: true}
		for _, p := range entries {
			none.Next = nextAfter(at, none.Next, p.ValidFrom)
		}
		return Quote{}, none
	}
	p := entries[i]
	q := Quote{Plan: name, Version: name + "@" + p.Version, Kind: p.Kind, Source: p.Source, Until: p.ValidTo}
	factor := ratOf(1)
	if p.Currency != b.currency {
		x := b.rateAt(p.Currency, at)
		if x == nil {
			return Quote{}, b.noRate(name, p.Currency, at)
		}
		factor = x.rate
		q.Version += "+" + x.From + "-" + x.To + "@" + x.ValidFrom.UTC().Format(time.DateOnly)
		q.Until = earlier(q.Until, x.ValidTo)
	}
	if err := p.quote(&q, factor); err != nil {
		return Quote{}, fmt.Errorf("price plan %q converted to %s: %w", name, b.currency, err)
	}
	return q, nil
}

func (b *Book) rateAt(from string, at time.Time) *exchange {
	for i := range b.exchange {
		if x := &b.exchange[i]; x.From == from && x.To == b.currency && within(at, x.ValidFrom, x.ValidTo) {
			return x
		}
	}
	return nil
}

// noRate says that nothing of currency from can be priced at a time.
func (b *Book) noRate(plan, from string, at time.Time) *NoPriceError {
	none := &NoPriceError{Plan: plan, At: at, Why: "no exchange rate from " + from + " to " + b.currency + " is valid then"}
	for i := range b.exchange {
		if x := &b.exchange[i]; x.From == from && x.To == b.currency {
			none.Lapsed, none.Next = true, nextAfter(at, none.Next, x.ValidFrom)
		}
	}
	return none
}

// quote fills in the prices of p times factor. A price that is not a whole number
// of femto after that is rounded up.
func (p *plan) quote(q *Quote, factor *big.Rat) error {
	var overflow error
	scaled := func(price *big.Rat, scale int64) int64 {
		n, err := ceilScaled(new(big.Rat).Mul(price, factor), scale)
		overflow = errors.Join(overflow, err)
		return n
	}
	q.Rate = p.rate
	q.Rate.PerRequest = spillway.Femto(scaled(p.request, 1e15))
	q.Rate.PerVCPUSecond = spillway.Femto(scaled(p.cpu, 1e15))
	q.Rate.PerGiBSecond = spillway.Femto(scaled(p.memory, 1e15))
	q.Hourly = spillway.Nano(scaled(p.hourly, 1e9))
	return overflow
}

func within(at, from, to time.Time) bool {
	return !at.Before(from) && (to.IsZero() || at.Before(to))
}

// earlier returns the earlier end; zero is no end.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// nextAfter returns the earlier of next and from, of those that are after at; zero
// is none.
func nextAfter(at, next, from time.Time) time.Time {
	if !from.After(at) {
		return next
	}
	return earlier(next, from)
}

// span is a dated thing, for the overlap check.
type span struct {
	key, path string
	from, to  time.Time
}

func checkOverlap(spans []span, faults *faults) {
	slices.SortStableFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.key, b.key), a.from.Compare(b.from))
	})
	for i := 1; i < len(spans); i++ {
		before, s := spans[i-1], spans[i]
		if s.key == before.key && (before.to.IsZero() || s.from.Before(before.to)) {
			faults.add(s.path+".validFrom", "overlaps "+before.path+" of the same "+s.key, "entries that begin when or after the one before ends")
		}
	}
}

func checkPlanOverlap(plans []PlanSpec, faults *faults) {
	var spans []span
	versions := map[[2]string]string{}
	for i, p := range plans {
		path := fmt.Sprintf("plans[%d]", i)
		spans = append(spans, span{"plan " + p.Plan, path, p.ValidFrom, p.ValidTo})
		if other, taken := versions[[2]string{p.Plan, p.Version}]; taken {
			faults.add(path+".version", fmt.Sprintf("%q is already the version of %s", p.Version, other), "a version of its own for each entry of a plan")
		}
		versions[[2]string{p.Plan, p.Version}] = path
	}
	checkOverlap(spans, faults)
}

func checkExchangeOverlap(rates []ExchangeRate, faults *faults) {
	var spans []span
	for i, r := range rates {
		spans = append(spans, span{"exchange rate " + r.From + " to " + r.To, fmt.Sprintf("exchangeRates[%d]", i), r.ValidFrom, r.ValidTo})
	}
	checkOverlap(spans, faults)
}
