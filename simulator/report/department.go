package report

import (
	"cmp"
	"slices"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
)

// department sums the namespaces of one department; one without a department stands
// for itself.
type department struct {
	name                             string
	namespaces                       int
	calls, refused, overflowed       int64
	runs, inCloud, cold              int64
	waits                            simulator.Histogram
	exactly                          apd.Decimal
	onPrem, cloud, total             apd.Decimal // rounded
	chargedExactly, cloudBillExactly apd.Decimal
	byPool                           []apd.Decimal // exact
}

func (d *department) placed() int64 { return d.calls - d.refused }

// charges are the columns of costs by department: on-prem and cloud.
type charges struct{ onPrem, cloud []apd.Decimal }

func (s *sheet) byDepartment() error {
	type key struct {
		name  string
		alone bool
	}
	index := map[key]int{}
	for i := range s.Tenants {
		n := &s.Platform.Namespaces[i]
		k := key{n.Department, false}
		if n.Department == "" {
			k = key{n.Name, true}
		}
		at, known := index[k]
		if !known {
			at = len(s.departments)
			index[k] = at
			s.departments = append(s.departments, department{name: k.name, byPool: make([]apd.Decimal, len(s.Pools))})
			if k.alone {
				s.departments[at].name += " (namespace)"
			}
		}
		if err := s.departments[at].add(s, &s.Tenants[i]); err != nil {
			return err
		}
	}
	slices.SortStableFunc(s.departments, func(a, b department) int {
		return cmp.Or(b.exactly.Cmp(&a.exactly), cmp.Compare(b.calls, a.calls), cmp.Compare(a.name, b.name))
	})
	return s.roundDepartments()
}

func (d *department) add(s *sheet, t *simulator.TenantResult) error {
	d.namespaces++
	d.calls += t.Calls
	d.refused += t.Refused
	if t.Waits != nil {
		d.waits.Merge(t.Waits)
	}
	for reason, n := range t.Reasons {
		if spillway.Reason(reason).Overflow() {
			d.overflowed += n
		}
	}
	for pool := range t.ByPool {
		u := &t.ByPool[pool]
		d.runs += runsOf(u)
		d.cold += u.Cold
		half := &d.chargedExactly
		if s.Platform.Pools[pool].Kind.Cloud() {
			half = &d.cloudBillExactly
			d.inCloud += runsOf(u)
		}
		for _, sum := range []*apd.Decimal{half, &d.exactly, &d.byPool[pool]} {
			if err := add(sum, &u.Cost); err != nil {
				return err
			}
		}
	}
	return nil
}

// roundDepartments rounds each column to the sum that the pools show. What owned
// pools cost beyond what was charged is a part of its own.
func (s *sheet) roundDepartments() error {
	var c charges
	var owned, charged apd.Decimal
	for i := range s.Pools {
		if s.Platform.Pools[i].Kind.Cloud() {
			continue
		}
		if err := add(&owned, &s.Pools[i].Owned); err != nil {
			return err
		}
	}
	for i := range s.departments {
		d := &s.departments[i]
		if err := add(&charged, &d.chargedExactly); err != nil {
			return err
		}
		c.onPrem, c.cloud = append(c.onPrem, d.chargedExactly), append(c.cloud, d.cloudBillExactly)
	}
	idle, err := less(&owned, &charged)
	if err != nil {
		return err
	}
	onPrem, sum, err := apportion(append(c.onPrem, idle), s.places)
	if err != nil {
		return err
	}
	s.idle = onPrem[len(s.departments)]
	if s.charged, err = less(&sum, &s.idle); err != nil {
		return err
	}
	cloud, _, err := apportion(c.cloud, s.places)
	if err != nil {
		return err
	}
	for i := range s.departments {
		d := &s.departments[i]
		d.onPrem, d.cloud = onPrem[i], cloud[i]
		for _, part := range []*apd.Decimal{&d.onPrem, &d.cloud} {
			if err := add(&d.total, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// restOf sums the departments that a table leaves out.
func restOf(all []department) (rest department, err error) {
	for i := range all {
		d := &all[i]
		rest.namespaces += d.namespaces
		rest.calls += d.calls
		rest.refused += d.refused
		rest.overflowed += d.overflowed
		rest.runs += d.runs
		rest.inCloud += d.inCloud
		rest.cold += d.cold
		rest.waits.Merge(&d.waits)
		for _, pair := range [][2]*apd.Decimal{{&rest.onPrem, &d.onPrem}, {&rest.cloud, &d.cloud}, {&rest.total, &d.total}} {
			if err := add(pair[0], pair[1]); err != nil {
				return rest, err
			}
		}
		if rest.byPool == nil {
			rest.byPool = make([]apd.Decimal, len(d.byPool))
		}
		for pool := range d.byPool {
			if err := add(&rest.byPool[pool], &d.byPool[pool]); err != nil {
				return rest, err
			}
		}
	}
	return rest, nil
}
