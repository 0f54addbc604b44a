package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// QuotaOverlay gives a Quota of the directory other limits. It holds while the
// directory gives that Quota the limits that it was made for.
type QuotaOverlay struct {
	Name    string // for messages
	Quota   string
	Base    string    // Loaded.QuotaBase of then
	Until   time.Time // it holds before this; zero: no end
	Nominal v1alpha1.Nominal
	// Budgets replace those for the same window, but what they do not say stays.
	Budgets []v1alpha1.Budget
}

// On returns spec with the limits of o. It changes nothing that spec points to.
func (o *QuotaOverlay) On(spec v1alpha1.QuotaSpec) v1alpha1.QuotaSpec {
	spec.Nominal.OnPrem = withCapacity(spec.Nominal.OnPrem, o.Nominal.OnPrem)
	spec.Nominal.Cloud = withCapacity(spec.Nominal.Cloud, o.Nominal.Cloud)
	spec.Nominal.Offline = withCapacity(spec.Nominal.Offline, o.Nominal.Offline)
	spec.Budgets = slices.Clone(spec.Budgets)
	for _, b := range o.Budgets {
		at := slices.IndexFunc(spec.Budgets, func(old v1alpha1.Budget) bool { return old.Window == b.Window })
		if at < 0 {
			spec.Budgets = append(spec.Budgets, b)
			continue
		}
		old := spec.Budgets[at]
		setDefault(&b.Currency, old.Currency)
		setDefault(&b.TimeZone, old.TimeZone)
		setDefault(&b.AtLimit, old.AtLimit)
		spec.Budgets[at] = b
	}
	return spec
}

func withCapacity(old, next *v1alpha1.Capacity) *v1alpha1.Capacity {
	if next == nil {
		return old
	}
	c := v1alpha1.Capacity{}
	if old != nil {
		c = *old
	}
	if next.Slots != nil {
		c.Slots = next.Slots
	}
	if next.CPU != nil {
		c.CPU = next.CPU
	}
	if next.Memory != nil {
		c.Memory = next.Memory
	}
	return &c
}

// overlayQuotas applies the overlays, in their order, to quotas with their
// defaults. One that does not hold any more is said and left out.
func (l *loading) overlayQuotas() {
	for i := range l.checks.QuotaOverlays {
		o := &l.checks.QuotaOverlays[i]
		if !o.Until.IsZero() {
			l.until(o.Until)
		}
		at := slices.IndexFunc(l.all.quotas, func(e entry[v1alpha1.Quota]) bool { return e.Metadata.Name == o.Quota })
		if at < 0 {
			l.conflict(o, "the directory has no such Quota any more")
			continue
		}
		e := l.all.quotas[at]
		written, overlaid := l.result.written[o.Quota]
		if !overlaid {
			written = e.object.Spec
		}
		if base(&written) != o.Base {
			l.conflict(o, "the directory has given it other limits since")
			continue
		}
		if l.result.written == nil {
			l.result.written = map[string]v1alpha1.QuotaSpec{}
		}
		l.result.written[o.Quota] = written
		quota := *e.object // which may be the caller's
		quota.Spec = o.On(quota.Spec)
		fillQuota(&quota, l.currency())
		l.all.quotas[at].object = &quota
	}
}

func (l *loading) conflict(o *QuotaOverlay, why string) {
	why = fmt.Sprintf("%s does not apply to Quota %s: %s", o.Name, o.Quota, why)
	if l.result.Conflicts == nil {
		l.result.Conflicts = map[string]string{}
	}
	l.result.Conflicts[o.Name] = why
	l.warn("%s", why)
}

// Quota returns a Quota as it holds, with defaults; nil if there is none of that name.
// The caller must not change it.
func (l *Loaded) Quota(name string) *v1alpha1.Quota {
	for _, o := range l.effective {
		if q, ok := o.(*v1alpha1.Quota); ok && q.Metadata.Name == name {
			return q
		}
	}
	return nil
}

// WrittenQuota returns what the directory says of a Quota, with defaults, whatever
// overlays say; nil if there is no such Quota. The caller must not change it.
func (l *Loaded) WrittenQuota(name string) *v1alpha1.QuotaSpec {
	if spec, ok := l.written[name]; ok {
		return &spec
	}
	if q := l.Quota(name); q != nil {
		return &q.Spec
	}
	return nil
}

// QuotaBase returns the digest of the limits that the directory gives a Quota,
// whatever overlays say; empty if there is no such Quota.
func (l *Loaded) QuotaBase(name string) string {
	if spec := l.WrittenQuota(name); spec != nil {
		return base(spec)
	}
	return ""
}

// QuotaNow returns the digest of the limits that a Quota has, with overlays; empty if
// there is no such Quota.
func (l *Loaded) QuotaNow(name string) string {
	if q := l.Quota(name); q != nil {
		return base(&q.Spec)
	}
	return ""
}

// base is the digest of all that limits calls in spec.
func base(spec *v1alpha1.QuotaSpec) string {
	sum := sha256.New()
	write(sum.Write, v1alpha1.QuotaSpec{Parent: spec.Parent, Nominal: spec.Nominal, BorrowingLimit: spec.BorrowingLimit,
		LendingLimit: spec.LendingLimit, Budgets: spec.Budgets})
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// Overlaid returns, in the order of their names, the Quotas that have other limits than
// the directory gives them, with these: as overlays that any load of the same may take.
func (l *Loaded) Overlaid() []QuotaOverlay {
	var all []QuotaOverlay
	for _, name := range slices.Sorted(maps.Keys(l.written)) {
		if q := l.Quota(name); q != nil {
			all = append(all, QuotaOverlay{Name: "what was approved", Quota: name, Base: l.QuotaBase(name), Nominal: q.Spec.Nominal})
		}
	}
	return all
}

// Approvers returns who may decide on requests for a Quota, and the name of the Quota
// that says so: the nearest of it and those above that names any.
func (l *Loaded) Approvers(name string) (who []string, by string) {
	for q := l.Quota(name); q != nil; q = l.Quota(q.Spec.Parent) {
		if len(q.Spec.Approvers) > 0 {
			return q.Spec.Approvers, q.Metadata.Name
		}
	}
	return nil, ""
}

// RootApprovers returns who may decide on requests for Quotas that have none above
// them, sorted.
func (l *Loaded) RootApprovers() []string {
	var who []string
	for _, o := range l.effective {
		if q, ok := o.(*v1alpha1.Quota); ok && q.Spec.Parent == "" {
			who = append(who, q.Spec.Approvers...)
		}
	}
	slices.Sort(who)
	return slices.Compact(who)
}
