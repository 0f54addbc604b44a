package config

import (
	"cmp"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

func (l *loading) compilePolicy(p *spillway.Platform, o *v1alpha1.BurstPolicy) spillway.BurstPolicy {
	policy := spillway.BurstPolicy{
		Name:                o.Metadata.Name,
		Mode:                map[string]spillway.Mode{"OnPremOnly": spillway.ModeOnPremOnly, "Hybrid": spillway.ModeHybrid, "CloudOnly": spillway.ModeCloudOnly, "Offline": spillway.ModeOffline}[o.Spec.Mode],
		MaxBurstConcurrency: spillway.Unlimited,
		OnPremWaitBudget:    time.Duration(*o.Spec.OnPremWaitBudget),
	}
	if o.Spec.MaxBurstConcurrency != nil {
		policy.MaxBurstConcurrency = *o.Spec.MaxBurstConcurrency
	}
	policy.Order = offlineBefore(p, o.Spec.Order)
	for _, name := range o.Spec.Order {
		policy.Order = append(policy.Order, poolIndex(p, name))
	}
	if len(o.Spec.Weights) > 0 {
		policy.Weights = make([]int64, len(p.Pools))
		for name, weight := range o.Spec.Weights {
			policy.Weights[poolIndex(p, name)] = weight
		}
	}
	if s := o.Spec.MaxBurstShare; s != nil {
		policy.Share = &spillway.BurstShare{Percent: *s.Percent, Window: time.Duration(*s.Window), Minimum: *s.Minimum}
		if s.Of == "gibSeconds" {
			policy.Share.Of = spillway.ShareGiBSeconds
		}
	}
	if h := o.Spec.Hysteresis; h != nil {
		policy.Hysteresis = spillway.Hysteresis{OpenAfter: time.Duration(*h.OpenAfter), CloseAfter: time.Duration(*h.CloseAfter), CloseBelowPercent: *h.CloseBelow}
	}
	for _, b := range o.Spec.MaxBurstSpend {
		policy.Spend = append(policy.Spend, l.compileBudget(b.Window, *b.Amount, b.Currency, b.TimeZone, "redirect"))
	}
	slices.SortFunc(policy.Spend, byWindow)
	for _, w := range o.Spec.Windows {
		policy.Windows = append(policy.Windows, compileWindow(w))
	}
	policy.KillSwitch, policy.Shadow = o.Spec.KillSwitch, o.Spec.Shadow
	policy.Reserved = map[string]spillway.ReservedMode{"Off": spillway.ReservedOff, "Show": spillway.ReservedShow, "Write": spillway.ReservedWrite}[o.Spec.ReservedConcurrency]
	policy.Regions = slices.Sorted(slices.Values(o.Spec.Regions))
	for _, region := range policy.Regions {
		if !hasRegion(p, region) {
			l.warn("burst policy %s: %s is the region of no pool", policy.Name, region)
		}
	}
	return policy
}

func compileWindow(w v1alpha1.BurstWindow) spillway.BurstWindow {
	location, _ := zone(w.TimeZone) // checked
	c := spillway.BurstWindow{From: minutesOf(w.From), To: minutesOf(w.To), Location: location}
	for _, day := range w.Days {
		c.Days[(slices.Index(dayNames, day)+1)%7] = true // time.Weekday begins with Sunday
	}
	return c
}

func byWindow(a, b spillway.Budget) int { return cmp.Compare(a.Window, b.Window) }
