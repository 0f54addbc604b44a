package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/auth"
)

func checkQuota(e entry[v1alpha1.Quota]) {
	spec := &e.object.Spec
	if spec.Parent != "" {
		e.label("spec.parent", spec.Parent)
	}
	if spec.Department != "" {
		e.label("spec.department", spec.Department)
	}
	e.labels("spec.namespaces", spec.Namespaces, maxQuotas)
	checkCapacity(e.source, "spec.nominal.onPrem", spec.Nominal.OnPrem, 0)
	checkCapacity(e.source, "spec.nominal.cloud", spec.Nominal.Cloud, 0)
	checkCapacity(e.source, "spec.nominal.offline", spec.Nominal.Offline, 0)
	for _, side := range []struct {
		name                   string
		nominal, borrow, lends *v1alpha1.Capacity
	}{
		{"onPrem", spec.Nominal.OnPrem, spec.BorrowingLimit.OnPrem, spec.LendingLimit.OnPrem},
		{"cloud", spec.Nominal.Cloud, spec.BorrowingLimit.Cloud, spec.LendingLimit.Cloud},
		{"offline", spec.Nominal.Offline, spec.BorrowingLimit.Offline, spec.LendingLimit.Offline},
	} {
		checkCapacity(e.source, "spec.borrowingLimit."+side.name, side.borrow, 0)
		checkCapacity(e.source, "spec.lendingLimit."+side.name, side.lends, 0)
		e.withNominal("spec.borrowingLimit."+side.name, side.borrow, side.nominal)
		e.withNominal("spec.lendingLimit."+side.name, side.lends, side.nominal)
		e.withinNominal("spec.lendingLimit."+side.name, side.lends, side.nominal)
	}
	if spec.Parent == "" && spec.BorrowingLimit != (v1alpha1.Nominal{}) {
		e.fault("spec.borrowingLimit", "a root has nobody to borrow from", "only with spec.parent")
	}
	checkBudgets(e.source, "spec.budgets", spec.Budgets)
	checkApprovers(e.source, spec.Approvers)
}

// maxApprovers is how many may decide for one node.
const maxApprovers = 100

func checkApprovers(s *source, who []string) {
	if n := len(who); n > maxApprovers {
		s.fault("spec.approvers", fmt.Sprintf("has %d entries", n), fmt.Sprintf("at most %d", maxApprovers))
		return
	}
	for i, identity := range who {
		switch path := index("spec.approvers", i); {
		case !identityForm.MatchString(identity):
			s.fault(path, quoteShort(identity)+" is not an identity", identityAllowed)
		case identity == auth.AnonymousName:
			s.fault(path, identity+" is whoever has no credentials", "an identity of the Server's keys or tokens")
		case slices.Contains(who[:i], identity):
			s.fault(path, identity+" is named twice", "each once")
		}
	}
}

// dimensions are what a Capacity has, by the names that people write.
func dimensions(c *v1alpha1.Capacity) map[string]*int64 {
	if c == nil {
		return nil
	}
	return map[string]*int64{"slots": c.Slots, "cpu": (*int64)(c.CPU), "memory": (*int64)(c.Memory)}
}

// withNominal refuses dimensions that the nominal does not limit.
func (s *source) withNominal(path string, c, nominal *v1alpha1.Capacity) {
	limited := dimensions(nominal)
	for _, name := range sortedKeys(dimensions(c)) {
		if dimensions(c)[name] != nil && limited[name] == nil {
			s.fault(path+"."+name, "means nothing where nominal does not limit it", strings.Replace(path, path[5:strings.LastIndex(path, ".")], "nominal", 1)+"."+name+" too")
		}
	}
}

// withinNominal refuses dimensions above the nominal.
func (s *source) withinNominal(path string, c, nominal *v1alpha1.Capacity) {
	limited := dimensions(nominal)
	for _, name := range sortedKeys(dimensions(c)) {
		if n := dimensions(c)[name]; n != nil && limited[name] != nil && *n > *limited[name] {
			s.fault(path+"."+name, "is more than nominal", "at most nominal")
		}
	}
}

func checkBudgets(s *source, at string, budgets []v1alpha1.Budget) {
	if n := len(budgets); n > 3 {
		s.fault(at, fmt.Sprintf("has %d entries", n), "at most one each for hour, day and month")
		return
	}
	seen := map[string]int{}
	for i, b := range budgets {
		path := index(at, i)
		s.oneOf(path+".window", b.Window, []string{"hour", "day", "month"})
		if first, ok := seen[b.Window]; ok {
			s.fault(path+".window", fmt.Sprintf("%s is already for each %s", index(at, first), b.Window), "one budget for each window")
		}
		seen[b.Window] = i
		if b.Amount == nil {
			s.fault(path+".amount", "is required", v1alpha1.Amount(0).Syntax())
		}
		s.currency(path+".currency", b.Currency)
		s.oneOf(path+".atLimit", b.AtLimit, []string{"reject", "redirect"})
		if _, err := zone(b.TimeZone); err != nil {
			s.fault(path+".timeZone", "unknown time zone "+quoteShort(b.TimeZone), "an IANA name such as UTC or Asia/Shanghai")
		}
	}
}

// zone returns a named time zone. The machine's own is refused: it would make a
// budget depend on where the server runs.
func zone(name string) (*time.Location, error) {
	if name == "Local" || name == "" {
		return nil, fmt.Errorf("time zone %q", name)
	}
	return time.LoadLocation(name)
}

// checkKept checks that what children keep for themselves fits in their parent, in
// the units that quotas are counted in.
func (l *loading) checkKept() {
	nodes := map[string]entry[v1alpha1.Quota]{}
	for _, e := range l.all.quotas {
		nodes[e.Metadata.Name] = e
	}
	kept := map[string]int64{} // by parent and dimension
	for _, e := range l.all.quotas {
		parent, ok := nodes[e.object.Spec.Parent]
		if !ok {
			continue
		}
		nominal, lends, most := sides(&e.object.Spec.Nominal), sides(&e.object.Spec.LendingLimit), sides(&parent.object.Spec.Nominal)
		for _, side := range sortedKeys(lends) {
			own := resourcesByName(keeps(limits(nominal[side]), limits(lends[side])))
			limit := resourcesByName(limits(most[side]))
			for _, name := range sortedKeys(own) {
				at := side + "." + name
				sum := parent.Metadata.Name + " " + at
				if kept[sum] += own[name]; own[name] == 0 || kept[sum] <= limit[name] {
					continue
				}
				e.fault("spec.lendingLimit."+at, fmt.Sprintf("with its siblings it keeps more than the nominal of their parent %s in %s", parent.Metadata.Name, parent.at("spec.nominal."+at)),
					"to lend more, or a larger nominal of the parent")
			}
		}
	}
}

// resourcesByName are the dimensions of r by the names that people write.
func resourcesByName(r spillway.Resources) map[string]int64 {
	return map[string]int64{"slots": r.Slots, "cpu": r.MilliCPU, "memory": r.MiB}
}

func sides(n *v1alpha1.Nominal) map[string]*v1alpha1.Capacity {
	return map[string]*v1alpha1.Capacity{"onPrem": n.OnPrem, "cloud": n.Cloud, "offline": n.Offline}
}
