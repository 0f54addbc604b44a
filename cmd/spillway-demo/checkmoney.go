package main

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// checkBill compares our exact charges for one cloud with its own bill, line by line
// and in sum, and our estimates with what it billed for those calls.
func checkBill(e *evidence, c *cloudSide) check {
	var f findings
	invoiced := c.invoiced()
	ours, theirs := new(big.Rat), new(big.Rat)
	for key, lines := range e.billed(billing.KindCharge, c.has) {
		for _, l := range lines {
			amount := money(l.Amount.Text('f'))
			ours.Add(ours, amount)
			cost := billedFor(invoiced[key])
			theirs.Add(theirs, cost)
			if cost = c.ours(cost); amount.Cmp(cost) != 0 {
				f.miss("%s attempt %d: we charge %s, the cloud bills %s", key.Invocation, key.N, decimal(amount), decimal(cost))
			}
		}
	}
	estimated, lost := e.estimated(c, &f)
	total := new(big.Rat).Add(theirs, lost)
	if want := money(c.bill.Total); total.Cmp(want) != 0 {
		f.miss("the cloud's lines that we know add up to %s, its bill is %s", decimal(total), decimal(want))
	}
	bill := decimal(theirs)
	if c.rate().Cmp(big.NewRat(1, 1)) != 0 {
		bill = fmt.Sprintf("%s %s × %s", bill, c.bill.Currency, decimal(c.rate()))
	}
	return f.check("our cost of "+c.pool+" = its own bill", "%s = %s; unknown: estimated %s, billed %s",
		decimal(ours), bill, decimal(estimated), decimal(c.ours(lost)))
}

// estimated sums what we estimated, and what the cloud billed for those calls in its
// own currency.
func (e *evidence) estimated(c *cloudSide, f *findings) (ours, theirs *big.Rat) {
	ours, theirs = new(big.Rat), new(big.Rat)
	invoiced := c.invoiced()
	for key, lines := range e.billed(billing.KindEstimate, c.has) {
		amount, cost := new(big.Rat), billedFor(invoiced[key])
		for _, l := range lines {
			amount.Add(amount, money(l.Amount.Text('f')))
		}
		if amount.Cmp(c.ours(cost)) < 0 {
			f.miss("%s attempt %d: we estimated %s, the cloud bills %s", key.Invocation, key.N, decimal(amount), decimal(c.ours(cost)))
		}
		ours.Add(ours, amount)
		theirs.Add(theirs, cost)
	}
	return ours, theirs
}

// ours is an amount of the cloud's in our currency.
func (c *cloudSide) ours(amount *big.Rat) *big.Rat { return new(big.Rat).Mul(amount, c.rate()) }

// billedFor sums a cloud's lines of one attempt.
func billedFor(lines []cloud.Line) *big.Rat {
	sum := new(big.Rat)
	for _, l := range lines {
		sum.Add(sum, money(l.Cost))
	}
	return sum
}

// money reads a decimal; one that is none counts as a value no bill has.
func money(text string) *big.Rat {
	amount, ok := new(big.Rat).SetString(text)
	if !ok {
		return big.NewRat(-1, 1)
	}
	return amount
}

// decimal writes r exactly: amounts have at most 18 decimals.
func decimal(r *big.Rat) string {
	text := r.FloatString(billing.Decimals)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// checkBudgets sums what the ledger settled, by budget and window.
func checkBudgets(e *evidence) check {
	var f findings
	var seen []string
	for i, node := range e.platform.Quotas {
		for _, b := range node.Budgets {
			most := spillway.Nano(0)
			for from, spent := range e.spent(i, b) {
				most = max(most, spent)
				if spent > b.Limit {
					f.miss("%s spent %s in the %s from %s, the limit is %s", node.Name, spent, b.Window, from.Time(), b.Limit)
				}
			}
			seen = append(seen, fmt.Sprintf("%s %s ≤ %s", node.Name, most, b.Limit))
		}
	}
	return f.check("no budget was exceeded", "%s", strings.Join(seen, ", "))
}

// spent is what was settled under node, by the beginning of b's window.
func (e *evidence) spent(node int, b spillway.Budget) map[spillway.Instant]spillway.Nano {
	within := map[string]bool{}
	for _, ns := range e.platform.Namespaces {
		for q := ns.Quota; q >= 0; q = e.platform.Quotas[q].Parent {
			if q == node {
				within[ns.Name] = true
			}
		}
	}
	sums := map[spillway.Instant]spillway.Nano{}
	for i := range e.ledger {
		if l := &e.ledger[i]; within[l.Namespace] {
			from, _ := b.Window.Bounds(spillway.InstantOf(l.Admitted), b.Location)
			sums[from] += l.Settled
		}
	}
	return sums
}
