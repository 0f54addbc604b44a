package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Difference is what changes from a result a to a result b of the same trace.
type Difference struct {
	currency                        string
	calls, placed, refused, skipped change
	cold                            change
	waits, latency                  [2]spreadJSON
	owned, cloud, total             amounts
	pools                           []poolChange
	reasons                         []reasonChange
	tenants                         []tenantChange // only those with a change, the largest first
	unchanged                       int            // tenants
	rows                            []trace.Skip   // of the trace that neither result has
	warnings                        []string
}

// Beside adds what is to be known of the two results: rows of the trace that were not
// taken, and warnings, those of one result with its letter.
func (d *Difference) Beside(a, b *Meta) {
	d.rows = a.Skipped
	for _, w := range a.Warnings {
		if slices.Contains(b.Warnings, w) {
			d.warnings = append(d.warnings, w)
		} else {
			d.warnings = append(d.warnings, "A: "+w)
		}
	}
	for _, w := range b.Warnings {
		if !slices.Contains(a.Warnings, w) {
			d.warnings = append(d.warnings, "B: "+w)
		}
	}
}

// change is a count before and after.
type change [2]int64

func (c change) by() int64 { return c[1] - c[0] }

// amounts are exact.
type amounts [2]apd.Decimal

// by is the exact difference.
func (a *amounts) by() (apd.Decimal, error) { return less(&a[1], &a[0]) }

func (a *amounts) same() bool { return a[0].Cmp(&a[1]) == 0 }

type poolChange struct {
	name       string
	runs, cold change
	cost       amounts
}

type reasonChange struct {
	spillway.Reason
	calls change
}

type tenantChange struct {
	namespace, department string
	payer                 string // before, where another department pays now; else empty
	calls, refused        change
	waits                 [2]spreadJSON
	cost                  amounts
	pools                 []poolChange   // only those with a change
	reasons               []reasonChange // only those with a change
	size                  apd.Decimal    // of the change in cost
	moved                 int64          // by how much counts changed, together
}

// Diff compares two results. Pools and tenants are the same if their names are; one
// that only one result has counts as empty in the other.
func Diff(a, b *simulator.Result) (*Difference, error) {
	if a == nil || b == nil || a.Platform == nil || b.Platform == nil {
		return nil, errors.New("compare results: one is missing")
	}
	if a.Platform.Currency != b.Platform.Currency {
		return nil, fmt.Errorf("compare results: one is in %s, the other in %s; use price books of the same currency", a.Platform.Currency, b.Platform.Currency)
	}
	d := &Difference{
		currency: a.Platform.Currency, calls: change{a.Calls, b.Calls}, placed: change{a.Placed, b.Placed},
		refused: change{a.Refused, b.Refused}, skipped: change{a.Skipped, b.Skipped},
		waits: [2]spreadJSON{spreadOf(a.Waits), spreadOf(b.Waits)}, latency: [2]spreadJSON{spreadOf(a.Latency), spreadOf(b.Latency)},
		owned: amounts{a.OwnedCost, b.OwnedCost}, cloud: amounts{a.CloudCost, b.CloudCost},
		reasons: reasonChanges(a.Reasons, b.Reasons),
	}
	for i, r := range []*simulator.Result{a, b} {
		for _, part := range []*apd.Decimal{&r.OwnedCost, &r.CloudCost} {
			if err := add(&d.total[i], part); err != nil {
				return nil, err
			}
		}
		for p := range r.Pools {
			d.cold[i] += r.Pools[p].Cold
		}
	}
	d.pools = poolChanges(usages(a), usages(b))
	return d, d.addTenants(a, b)
}

// Nothing reports that nothing changes for anyone.
func (d *Difference) Nothing() bool {
	return len(d.pools)+len(d.reasons)+len(d.tenants) == 0 && d.calls.by() == 0 && d.placed.by() == 0 && d.refused.by() == 0 && d.skipped.by() == 0 &&
		d.waits[0] == d.waits[1] && d.latency[0] == d.latency[1] && d.owned.same() && d.cloud.same()
}

// named is what a pool did for someone.
type named struct {
	name string
	simulator.Usage
}

// usages are those of pools, owned ones at their whole cost.
func usages(r *simulator.Result) []named {
	all := make([]named, len(r.Pools))
	for i := range r.Pools {
		all[i] = named{r.Platform.Pools[i].Name, r.Pools[i].Usage}
		if !r.Platform.Pools[i].Kind.Cloud() {
			all[i].Cost = r.Pools[i].Owned
		}
	}
	return all
}

func tenantUsages(r *simulator.Result, i int) []named {
	if i < 0 {
		return nil
	}
	all := make([]named, len(r.Tenants[i].ByPool))
	for p := range all {
		all[p] = named{r.Platform.Pools[p].Name, r.Tenants[i].ByPool[p]}
	}
	return all
}

// poolChanges are those pools whose figures differ, in the order of a, then of b.
func poolChanges(a, b []named) []poolChange {
	var all []poolChange
	at := map[string]int{}
	for side, list := range [][]named{a, b} {
		for i := range list {
			u := &list[i]
			k, known := at[u.name]
			if !known {
				k = len(all)
				at[u.name] = k
				all = append(all, poolChange{name: u.name})
			}
			all[k].runs[side], all[k].cold[side], all[k].cost[side] = runsOf(&u.Usage), u.Cold, u.Cost
		}
	}
	return slices.DeleteFunc(all, func(p poolChange) bool { return p.runs.by() == 0 && p.cold.by() == 0 && p.cost.same() })
}

func reasonChanges(a, b []int64) []reasonChange {
	var all []reasonChange
	for _, reason := range spillway.Reasons() {
		if c := (change{at(a, int(reason)), at(b, int(reason))}); c.by() != 0 {
			all = append(all, reasonChange{reason, c})
		}
	}
	return all
}

func (d *Difference) addTenants(a, b *simulator.Result) error {
	var names []string
	sides := map[string]*[2]int{}
	for side, r := range []*simulator.Result{a, b} {
		for i := range r.Tenants {
			name := r.Platform.Namespaces[i].Name
			if sides[name] == nil {
				sides[name] = &[2]int{-1, -1}
				names = append(names, name)
			}
			sides[name][side] = i
		}
	}
	for _, name := range names {
		t, err := tenantChangeOf(a, b, sides[name])
		if err != nil {
			return err
		}
		if t.nothing() {
			d.unchanged++
			continue
		}
		d.tenants = append(d.tenants, *t)
	}
	slices.SortStableFunc(d.tenants, func(x, y tenantChange) int {
		return cmp.Or(y.size.Cmp(&x.size), cmp.Compare(y.moved, x.moved), cmp.Compare(x.namespace, y.namespace))
	})
	return nil
}

func tenantChangeOf(a, b *simulator.Result, index *[2]int) (*tenantChange, error) {
	t := &tenantChange{}
	var reasons [2][]int64
	for side, r := range []*simulator.Result{a, b} {
		i := index[side]
		if i < 0 {
			continue
		}
		x, n := &r.Tenants[i], &r.Platform.Namespaces[i]
		if side == 1 && index[0] >= 0 && t.department != n.Department {
			t.payer = cmp.Or(t.department, t.namespace)
		}
		t.namespace, t.department = n.Name, n.Department
		t.calls[side], t.refused[side], t.cost[side], t.waits[side], reasons[side] = x.Calls, x.Refused, x.Cost, spreadOf(x.Waits), x.Reasons
	}
	t.pools = poolChanges(tenantUsages(a, index[0]), tenantUsages(b, index[1]))
	t.reasons = reasonChanges(reasons[0], reasons[1])
	by, err := t.cost.by()
	if err != nil {
		return nil, err
	}
	t.size.Abs(&by)
	for i := range t.pools {
		t.moved += absolute(t.pools[i].runs.by())
	}
	t.moved += absolute(t.refused.by()) + absolute(t.calls.by())
	return t, nil
}

func absolute(n int64) int64 { return max(n, -n) }

func (t *tenantChange) nothing() bool {
	return t.payer == "" && len(t.pools)+len(t.reasons) == 0 && t.calls.by() == 0 && t.refused.by() == 0 && t.waits[0] == t.waits[1] && t.cost.same()
}
