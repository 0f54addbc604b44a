package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/billing"
)

// checkReferences checks what objects say of each other.
func (l *loading) checkReferences() {
	pools, policies, quotas := names(l.all.pools), names(l.all.policies), names(l.all.quotas)
	for _, e := range l.all.functions {
		e.reference("spec.burstPolicy", "BurstPolicy", e.object.Spec.BurstPolicy, policies)
		for i, b := range e.object.Spec.Cloud {
			if i >= spillway.MaxPools {
				break
			}
			path := index("spec.cloud", i) + ".pool"
			if e.reference(path, "Pool", b.Pool, pools) && !slices.Contains(cloudKinds, l.pool(b.Pool).Kind) {
				e.fault(path, quoteShort(b.Pool)+" is a "+l.pool(b.Pool).Kind+" pool, which needs no binding", alternatives(l.cloudNames()))
			}
		}
	}
	for _, e := range l.all.functions {
		l.checkImagePools(e)
	}
	for _, e := range l.all.policies {
		for i, name := range e.object.Spec.Order {
			e.reference(index("spec.order", i), "Pool", name, pools)
		}
	}
	l.checkNodes()
	for _, e := range l.all.quotas {
		parent := e.object.Spec.Parent
		if _, found := slices.BinarySearch(quotas, parent); parent != "" && !found {
			others := slices.DeleteFunc(slices.Clone(quotas), func(name string) bool { return name == e.Metadata.Name })
			e.reference("spec.parent", "Quota", parent, others)
		}
	}
	l.checkTree()
	l.checkKept()
	l.checkMembership()
	l.checkPrices()
}

func names[T any](entries []entry[T]) []string {
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.Metadata.Name
	}
	slices.Sort(all)
	return all
}

func (l *loading) pool(name string) *v1alpha1.PoolSpec {
	for _, e := range l.all.pools {
		if e.Metadata.Name == name {
			return &e.object.Spec
		}
	}
	return nil
}

// checkTree reports each circle of parents once, at the node with the first name.
func (l *loading) checkTree() {
	nodes := map[string]entry[v1alpha1.Quota]{}
	for _, e := range l.all.quotas {
		nodes[e.Metadata.Name] = e
	}
	done := map[string]bool{}
	for _, e := range l.all.quotas {
		var path []string
		on := map[string]bool{}
		name := e.Metadata.Name
		for ; name != "" && !done[name]; name = parentOf(nodes[name]) {
			path = append(path, name)
			done[name], on[name] = true, true
		}
		if !on[name] {
			continue
		}
		circle := path[slices.Index(path, name):]
		if first := slices.Min(circle); first != name {
			at := slices.Index(circle, first)
			circle = slices.Concat(circle[at:], circle[:at])
		}
		nodes[circle[0]].fault("spec.parent", "the parents form a circle: "+circleText(circle),
			"a tree; a root has no parent")
	}
}

func circleText(names []string) string {
	const most = 10
	if len(names) > most {
		names = append(slices.Clone(names[:most]), "…")
	}
	return strings.Join(names, " → ") + " → " + names[0]
}

func parentOf(e entry[v1alpha1.Quota]) string {
	if e.object == nil {
		return ""
	}
	return e.object.Spec.Parent
}

// checkMembership checks that a namespace belongs to at most one node: the one that was
// there first, and of those of which that is not known, the first by name.
func (l *loading) checkMembership() {
	type claim struct {
		*source
		name, path string
	}
	claimed := map[string]claim{}
	oldest := slices.Clone(l.all.quotas)
	slices.SortStableFunc(oldest, func(a, b entry[v1alpha1.Quota]) int { return a.made.Compare(b.made) })
	for _, e := range oldest {
		for i, ns := range e.object.Spec.Namespaces {
			path := index("spec.namespaces", i)
			first, taken := claimed[ns]
			switch {
			case !taken:
				claimed[ns] = claim{e.source, e.Metadata.Name, path}
			case first.source != e.source:
				where := ""
				if !first.cluster {
					where = " in " + first.at(first.path)
				}
				e.fault(path, fmt.Sprintf("namespace %s already belongs to Quota %q%s", quoteShort(ns), first.name, where),
					"each namespace in one Quota")
			}
		}
	}
}

// checkPrices compiles the price book and checks that each pool has a price.
func (l *loading) checkPrices() {
	book := l.all.books[0]
	if book.faulty("spec.currency") {
		return
	}
	own, rates := planSpecs(book.object), rateSpecs(book.object)
	replaced := map[string]bool{}
	for _, p := range own {
		replaced[p.Plan] = true
	}
	for _, p := range billing.DefaultPlans() {
		if !replaced[p.Plan] {
			own = append(own, p)
		}
	}
	var err error
	if l.book, err = billing.NewBook(book.object.Spec.Currency, own, rates); err != nil {
		bookFaults(book.source, err)
		return
	}
	l.rates = rates
	plans := map[billing.PlanKind][]string{}
	for _, p := range own {
		plans[p.Kind] = append(plans[p.Kind], p.Plan)
	}
	for kind := range plans {
		slices.Sort(plans[kind])
		plans[kind] = slices.Compact(plans[kind])
	}
	l.quotes = map[string]billing.Quote{}
	for _, e := range l.all.pools {
		l.checkPoolPrice(e, plans)
	}
	for _, e := range l.all.quotas {
		for i, b := range e.object.Spec.Budgets {
			l.checkMoney(e.source, index("spec.budgets", i), b.Amount, b.Currency)
		}
	}
	for _, e := range l.all.policies {
		for i, b := range e.object.Spec.MaxBurstSpend {
			l.checkMoney(e.source, index("spec.maxBurstSpend", i), b.Amount, b.Currency)
		}
	}
}

func (l *loading) checkPoolPrice(e entry[v1alpha1.Pool], plans map[billing.PlanKind][]string) {
	const path = "spec.pricePlan"
	name := e.object.Spec.PricePlan
	if e.faulty("spec.kind") || e.faulty("spec.region") || e.faulty(path) {
		return
	}
	want := map[string]billing.PlanKind{"process": billing.PlanOwned, "kubernetes": billing.PlanOwned, "offline": billing.PlanOwned, "lambda": billing.PlanLambda, "scf": billing.PlanSCF}[e.object.Spec.Kind]
	for kind, names := range plans {
		if _, other := slices.BinarySearch(names, name); other && kind != want {
			e.fault(path, fmt.Sprintf("%s is a plan of kind %s, and the pool is of kind %s", quoteShort(name), kind, e.object.Spec.Kind), alternatives(plans[want]))
			return
		}
	}
	if !e.reference(path, "price plan", name, plans[want]) {
		return
	}
	quote, err := l.book.At(name, l.now)
	var none *billing.NoPriceError
	switch lapsed := errors.As(err, &none) && none.Lapsed; {
	case lapsed && want != billing.PlanOwned:
		l.warn("nothing is sent to pool %s: %v", e.Metadata.Name, err)
		l.until(none.Next)
		return
	case err != nil:
		e.fault(path, err.Error(), "a plan with a price at this time, and an exchange rate if it is in another currency")
	}
	if name == defaultOwnedPlan && len(l.all.functions) > 0 {
		l.warn("pool %s is billed at the built-in plan %s, which is an example: write an owned plan in a PriceBook", e.Metadata.Name, name)
	}
	l.quotes[name] = quote
	l.until(quote.Until)
}

// until keeps the earliest end of a price.
func (l *loading) until(end time.Time) {
	if u := &l.result.PricesUntil; !end.IsZero() && (u.IsZero() || end.Before(*u)) {
		*u = end
	}
}

// maxMoney is the largest amount of money, for people.
const maxMoney = "9.2 billion"

// checkMoney checks that an amount can be counted in the platform's currency.
func (l *loading) checkMoney(s *source, path string, amount *v1alpha1.Amount, currency string) {
	if amount == nil || s.faulty(path+".currency") {
		return
	}
	_, err := l.convert(*amount, currency)
	switch {
	case errors.Is(err, errLapsed):
		l.warn("%s in %s counts as 0 %s: no exchange rate holds now", path, where(s), l.currency())
	case errors.Is(err, spillway.ErrOverflow):
		s.fault(path+".amount", "is too large in "+l.currency(), "up to "+maxMoney+" "+l.currency())
	case err != nil:
		s.fault(path+".currency", err.Error(), l.currency()+", or a currency with an exchange rate to it in the price book")
	}
}

// bookFaults puts the faults that the price book found where they were written.
func bookFaults(s *source, err error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		s.fault("spec", err.Error(), "")
		return
	}
	for _, one := range joined.Unwrap() {
		var f *billing.SpecError
		if !errors.As(one, &f) {
			s.fault("spec", one.Error(), "")
			continue
		}
		path := "spec." + f.Path
		if strings.HasPrefix(f.Path, "exchangeRates") {
			path = strings.NewReplacer(".validFrom", ".date", ".validTo", ".until").Replace(path)
		}
		s.fault(path, f.Problem, f.Allowed)
	}
}
