package operator

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway"
)

// exclusions are the reasons of Burstable, and what to do.
var exclusions = map[spillway.Exclusion][2]string{
	spillway.ExcludedMode:      {"OnPremOnly", "the mode of its burst policy leaves it out"},
	spillway.ExcludedOrder:     {"NotInOrder", "it is not in the order of its burst policy"},
	spillway.ExcludedBurst:     {"BurstDenied", "spec.burst is deny"},
	spillway.ExcludedResidency: {"Residency", "its region is not in spec.residency"},
	spillway.ExcludedBinding:   {"NoBinding", "spec.cloud has no entry for it"},
	spillway.ExcludedTooLarge:  {"TooLarge", "one invocation is larger than the pool"},
	spillway.ExcludedRegion:    {"Region", "its region is not in those of its burst policy"},
	spillway.ExcludedContract:  {"Contract", "a web function needs cloud.payload: http-v2 there"},
	spillway.ExcludedPrice:     {"NoPrice", "no price or exchange rate of it holds now"},
}

// burstable says whether calls of a function may go to a cloud now, and if not, the
// first thing that keeps them.
func burstable(f *spillway.Function, now time.Time) say {
	no := func(reason, format string, args ...any) say {
		return say{metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
	}
	p := f.Platform
	policy := &p.BurstPolicies[f.Policy]
	permitted, clouds, only, why := cloudsOf(f)
	covered, zero := budgeted(p, f.Namespace)
	switch {
	case f.Burst == spillway.BurstDeny:
		return no("BurstDenied", "spec.burst is deny, which is the default.")
	case policy.KillSwitch:
		return no("KillSwitch", "The kill switch of BurstPolicy %s is on.", policy.Name)
	case clouds == 0:
		return no("NoCloudPool", "There is no cloud Pool.")
	case len(permitted) == 0:
		return no(only, "No cloud pool is permitted: %s.", strings.Join(why, "; "))
	case !covered:
		return no("NoBudget", "No Quota with a budget covers namespace %s, so it may not spend.", f.FunctionKey.Namespace)
	case zero != "":
		return no("ZeroBudget", "The budget of Quota %s allows no paid call: its amount is 0, or its exchange rate has lapsed.", zero)
	case policy.Shadow:
		return no("Shadow", "BurstPolicy %s is in shadow mode: what would have burst is counted, and stays.", policy.Name)
	case !windowOpen(policy, now):
		return no("OutsideWindow", "It is outside the burst windows of BurstPolicy %s.", policy.Name)
	}
	return say{metav1.ConditionTrue, "Permitted", "Calls may overflow to " + strings.Join(permitted, ", ") + "."}
}

// cloudsOf returns the names of the cloud pools that are permitted, and why others are
// not; only is their reason in common.
func cloudsOf(f *spillway.Function) (permitted []string, clouds int, only string, why []string) {
	for _, pool := range f.Platform.Pools {
		if !pool.Kind.Cloud() || pool.Retired {
			continue
		}
		clouds++
		if f.Permitted.Has(pool.Index) {
			permitted = append(permitted, pool.Name)
			continue
		}
		is := exclusions[f.Excluded[pool.Index]]
		if only == "" {
			only = is[0]
		}
		if only != is[0] || only == "" {
			only = "NoPoolPermitted"
		}
		why = append(why, pool.Name+": "+is[1])
	}
	return permitted, clouds, only, why
}

// budgeted reports that a quota of the namespace, or one above, has a budget, and the
// first of them that allows nothing.
func budgeted(p *spillway.Platform, namespace int) (covered bool, zero string) {
	for at := p.Namespaces[namespace].Quota; at >= 0; at = p.Quotas[at].Parent {
		for _, b := range p.Quotas[at].Budgets {
			covered = true
			if b.Limit == 0 {
				zero = cmp.Or(zero, p.Quotas[at].Name)
			}
		}
	}
	return covered, zero
}

func windowOpen(policy *spillway.BurstPolicy, now time.Time) bool {
	for i := range policy.Windows {
		if policy.Windows[i].Holds(spillway.InstantOf(now)) {
			return true
		}
	}
	return len(policy.Windows) == 0
}
