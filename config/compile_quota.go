package config

import (
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// compileQuotas puts parents before children, and siblings in the order of
// their names.
func (l *loading) compileQuotas(p *spillway.Platform) {
	children := map[string][]*v1alpha1.Quota{}
	for _, e := range l.all.quotas {
		children[e.object.Spec.Parent] = append(children[e.object.Spec.Parent], e.object)
	}
	type step struct {
		quota  *v1alpha1.Quota
		parent int
	}
	var queue []step
	for _, q := range children[""] {
		queue = append(queue, step{q, -1})
	}
	for ; len(queue) > 0; queue = queue[1:] {
		at := len(p.Quotas)
		p.Quotas = append(p.Quotas, l.compileQuota(queue[0].quota, queue[0].parent))
		for _, child := range children[queue[0].quota.Metadata.Name] {
			queue = append(queue, step{child, at})
		}
	}
}

func (l *loading) compileQuota(o *v1alpha1.Quota, parent int) spillway.QuotaNode {
	node := spillway.QuotaNode{Name: o.Metadata.Name, Parent: parent}
	for class, side := range map[spillway.Class][3]*v1alpha1.Capacity{
		spillway.ClassOnPrem:  {o.Spec.Nominal.OnPrem, o.Spec.BorrowingLimit.OnPrem, o.Spec.LendingLimit.OnPrem},
		spillway.ClassCloud:   {o.Spec.Nominal.Cloud, o.Spec.BorrowingLimit.Cloud, o.Spec.LendingLimit.Cloud},
		spillway.ClassOffline: {o.Spec.Nominal.Offline, o.Spec.BorrowingLimit.Offline, o.Spec.LendingLimit.Offline},
	} {
		node.Nominal[class], node.Borrowing[class] = limits(side[0]), amounts(side[1])
		node.Keep[class] = keeps(limits(side[0]), limits(side[2]))
	}
	for _, b := range o.Spec.Budgets {
		node.Budgets = append(node.Budgets, l.compileBudget(b.Window, *b.Amount, b.Currency, b.TimeZone, b.AtLimit))
	}
	slices.SortFunc(node.Budgets, byWindow)
	return node
}

// compileBudget takes what was checked.
func (l *loading) compileBudget(window string, amount v1alpha1.Amount, currency, timeZone, atLimit string) spillway.Budget {
	location, _ := zone(timeZone)
	limit, _ := l.convert(amount, currency)
	budget := spillway.Budget{Limit: limit, Location: location,
		Window: map[string]spillway.Window{"hour": spillway.WindowHour, "day": spillway.WindowDay, "month": spillway.WindowMonth}[window]}
	if atLimit == "redirect" {
		budget.AtLimit = spillway.AtLimitRedirect
	}
	return budget
}

// amounts returns c with what is not written as zero.
func amounts(c *v1alpha1.Capacity) spillway.Resources {
	if c == nil {
		return spillway.Resources{}
	}
	return spillway.Resources{Slots: orZero(c.Slots), MilliCPU: int64(orZero(c.CPU)), MiB: int64(orZero(c.Memory)) / mib}
}

// keeps is what of a nominal is not lent.
func keeps(nominal, lends spillway.Resources) spillway.Resources {
	keep := func(n, l int64) int64 {
		if n == spillway.Unlimited || l == spillway.Unlimited {
			return 0
		}
		return max(0, n-l)
	}
	return spillway.Resources{Slots: keep(nominal.Slots, lends.Slots), MilliCPU: keep(nominal.MilliCPU, lends.MilliCPU), MiB: keep(nominal.MiB, lends.MiB)}
}
