package config

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// compileFunction adds every revision of a function, in the order in which they
// were written. What is said of a function is said of its leading revision.
func (l *loading) compileFunction(p *spillway.Platform, e entry[v1alpha1.Function]) {
	spec := &e.object.Spec
	weights := map[string]int64{}
	for _, t := range spec.Traffic {
		weights[t.Revision] = *t.Weight
	}
	var all []*spillway.Function
	lead := 0
	for i := range spec.Revisions {
		r := &spec.Revisions[i]
		all = append(all, l.compileRevision(p, e, r, weights[r.Name]))
		p.Functions = append(p.Functions, all[i])
		if all[i].Weight > all[lead].Weight {
			lead = i
		}
	}
	if at := slices.IndexFunc(spec.Revisions, func(r v1alpha1.Revision) bool { return r.Qualifier != "" }); at >= 0 && len(spec.Cloud) == 0 {
		l.warn("function %s: the qualifier of revision %s means nothing without a cloud binding (spec.cloud)", all[at].FunctionKey, all[at].Revision)
	}
	if len(all) > 1 {
		all[lead].Revisions = all
		l.judgeSplit(p, all)
	}
	l.judge(p, all[lead], e)
}

// judgeSplit warns of revisions that a cloud cannot tell apart.
func (l *loading) judgeSplit(p *spillway.Platform, all []*spillway.Function) {
	for i, pool := range p.Pools {
		seen := map[string]string{}
		for _, f := range all {
			if f.Weight == 0 || !f.Permitted.Has(i) || !pool.Kind.Cloud() {
				continue
			}
			if first, ok := seen[f.Bindings[i].Qualifier]; ok {
				l.warn("function %s: revisions %s and %s are both %s in pool %s, so the split does not hold there; give each a qualifier",
					f.FunctionKey, first, f.Revision, f.Bindings[i].Qualifier, pool.Name)
			}
			seen[f.Bindings[i].Qualifier] = f.Revision
		}
	}
}

func (l *loading) compileRevision(p *spillway.Platform, e entry[v1alpha1.Function], r *v1alpha1.Revision, weight int64) *spillway.Function {
	spec := &e.object.Spec
	f := &spillway.Function{
		FunctionKey: spillway.FunctionKey{Namespace: e.Metadata.Namespace, Name: e.Metadata.Name},
		Index:       len(p.Functions),
		Namespace:   namespaceIndex(p, e.Metadata.Namespace),
		Revision:    r.Name,
		Weight:      weight,
		Package:     e.packageOf(r),
		Image:       r.Image,
		Handler:     r.Handler,
		Instance:    spillway.Resources{Slots: 1, MilliCPU: int64(*spec.Resources.CPU), MiB: ceilMiB(*spec.Resources.Memory)},
		Concurrency: int(*spec.Concurrency),
		Timeout:     time.Duration(*spec.Timeout),
		Deadline:    time.Duration(*spec.Deadline),
		MaxWait:     time.Duration(*spec.MaxWait),
		MinWarm:     int(*spec.MinWarm),
		DataClass:   spec.DataClass,
		Residency:   slices.Sorted(slices.Values(spec.Residency)),
		Policy:      slices.IndexFunc(p.BurstPolicies, func(b spillway.BurstPolicy) bool { return b.Name == spec.BurstPolicy }),
	}
	f.Resources = part(f.Instance, *spec.Concurrency)
	f.Offline = spec.Class == "offline" || p.BurstPolicies[f.Policy].Mode == spillway.ModeOffline
	if spec.Burst == "allow" {
		f.Burst = spillway.BurstAllow
	}
	if spec.Retry == "idempotent" {
		f.Retry = spillway.RetryIdempotent
	}
	if spec.Kubernetes != nil {
		f.ServiceAccount = spec.Kubernetes.ServiceAccountName
	}
	if spec.Contract == "http" {
		f.Contract = spillway.ContractHTTP
	}
	if weight == 0 || f.Offline {
		f.MinWarm = 0
	}
	for _, key := range sortedKeys(spec.Env) {
		f.Env = append(f.Env, key+"="+spec.Env[key])
	}
	l.bind(p, f, e, r)
	permit(p, f)
	return f
}

func (s *source) packageOf(r *v1alpha1.Revision) spillway.Package {
	if r.Package.Path == "" {
		return spillway.Package{Digest: r.Package.Digest}
	}
	return spillway.Package{Path: s.relative(r.Package.Path), Digest: r.Package.Digest}
}

// part is what each of n invocations holds of an instance, rounded up.
func part(whole spillway.Resources, n int64) spillway.Resources {
	return spillway.Resources{Slots: 1, MilliCPU: (whole.MilliCPU + n - 1) / n, MiB: (whole.MiB + n - 1) / n}
}

// namespaceIndex finds a namespace that is there; they are sorted by name.
func namespaceIndex(p *spillway.Platform, name string) int {
	i, _ := slices.BinarySearchFunc(p.Namespaces, name, func(n spillway.Namespace, name string) int { return cmp.Compare(n.Name, name) })
	return i
}

// bind fills in the bindings with their rate and worst case.
func (l *loading) bind(p *spillway.Platform, f *spillway.Function, e entry[v1alpha1.Function], r *v1alpha1.Revision) {
	for i, b := range e.object.Spec.Cloud {
		at := poolIndex(p, b.Pool)
		rate := l.quotes[l.pool(b.Pool).PricePlan].Rate
		longest := time.Duration(*b.Timeout) + p.Pools[at].InitTimeout
		binding := spillway.Binding{Name: b.Function, Qualifier: b.Qualifier, HTTPv2: b.Payload == "http-v2", MiB: int64(*b.Memory) / mib, Timeout: time.Duration(*b.Timeout), Rate: rate}
		if r.Qualifier != "" {
			binding.Qualifier = r.Qualifier
		}
		millis := rate.BilledMillis(int64((longest + time.Millisecond - 1) / time.Millisecond))
		cost, err := rate.CeilNano(millis, spillway.Resources{MiB: binding.MiB})
		if err != nil {
			e.fault(index("spec.cloud", i), fmt.Sprintf("the cost of a call of %s with %d MiB cannot be counted: %v", longest, binding.MiB, err), "a lower price, memory or timeout")
		}
		binding.WorstCase = cost
		f.Bindings[at] = binding
	}
}

// permit works out which pools may run f, and why others may not. The first
// reason is kept, in the order of how firm it is.
func permit(p *spillway.Platform, f *spillway.Function) {
	policy := &p.BurstPolicies[f.Policy]
	for i, pool := range p.Pools {
		if f.Excluded[i] = exclusion(policy, f, pool); f.Excluded[i] == spillway.ExcludedNot {
			f.Permitted = f.Permitted.With(i)
		}
	}
}

func exclusion(policy *spillway.BurstPolicy, f *spillway.Function, pool *spillway.Pool) spillway.Exclusion {
	cloud := pool.Kind.Cloud()
	switch {
	case pool.Retired:
		return spillway.ExcludedRetired
	case !cloud && f.Offline != (pool.Kind == spillway.PoolOffline):
		return spillway.ExcludedClass
	case len(f.Residency) > 0 && !slices.Contains(f.Residency, pool.Region):
		return spillway.ExcludedResidency
	case cloud && f.Burst == spillway.BurstDeny:
		return spillway.ExcludedBurst
	case cloud && pool.PriceVersion == "":
		return spillway.ExcludedPrice
	case cloud && f.Contract == spillway.ContractHTTP && !f.Bindings[pool.Index].HTTPv2:
		return spillway.ExcludedContract
	case cloud && len(policy.Regions) > 0 && !slices.Contains(policy.Regions, pool.Region):
		return spillway.ExcludedRegion
	case cloud && (policy.Mode == spillway.ModeOnPremOnly || policy.Mode == spillway.ModeOffline), !cloud && policy.Mode == spillway.ModeCloudOnly:
		return spillway.ExcludedMode
	case f.Offline && !cloud && f.Contract == spillway.ContractHTTP:
		return spillway.ExcludedContract
	case !slices.Contains(policy.Order, pool.Index):
		return spillway.ExcludedOrder
	case excludedPods(f, pool) != spillway.ExcludedNot:
		return excludedPods(f, pool)
	case cloud && f.Bindings[pool.Index].Name == "":
		return spillway.ExcludedBinding
	case !cloud && pool.Capacity.Exceeds(spillway.Resources{}, f.Instance) != spillway.DimNone:
		return spillway.ExcludedTooLarge
	}
	return spillway.ExcludedNot
}

// judge refuses a function that nothing may run, and warns of what will not
// happen although it was asked for.
func (l *loading) judge(p *spillway.Platform, f *spillway.Function, e entry[v1alpha1.Function]) {
	if f.Permitted == 0 {
		e.fault("spec", "no pool may run the function: "+exclusions(p, f), "at least one pool that residency, burst, burst policy, binding and capacity leave")
		return
	}
	var onPrem, cloud spillway.PoolSet
	for i, pool := range p.Pools {
		switch {
		case f.Permitted.Has(i) && pool.Kind.Cloud():
			cloud = cloud.With(i)
		case f.Permitted.Has(i):
			onPrem = onPrem.With(i)
		}
	}
	switch {
	case f.Burst == spillway.BurstAllow && len(e.object.Spec.Cloud) == 0:
		l.warn("function %s has burst: allow but no cloud binding (spec.cloud): it stays on-prem", f.FunctionKey)
	case f.Burst == spillway.BurstAllow && cloud == 0:
		l.warn("function %s has burst: allow but no cloud pool may run it: %s", f.FunctionKey, exclusions(p, f))
	case cloud != 0 && !covered(p, f.Namespace):
		l.warn("function %s cannot burst: no budget covers namespace %s; give it to a Quota with budgets", f.FunctionKey, f.FunctionKey.Namespace)
	}
	if f.MinWarm > 0 && !fitsWarm(p, f, onPrem) {
		l.warn("function %s: minWarm: %d does not fit in any on-prem pool that may run it", f.FunctionKey, f.MinWarm)
	}
	for _, region := range f.Residency {
		if !hasRegion(p, region) {
			l.warn("function %s: residency %s is the region of no pool", f.FunctionKey, region)
		}
	}
}

// hasRegion reports whether a pool that is not retired is in a region.
func hasRegion(p *spillway.Platform, region string) bool {
	return slices.ContainsFunc(p.Pools, func(pool *spillway.Pool) bool { return pool.Region == region && !pool.Retired })
}

// fitsWarm reports whether all warm instances of f fit in one of the pools.
func fitsWarm(p *spillway.Platform, f *spillway.Function, onPrem spillway.PoolSet) bool {
	n := int64(f.MinWarm)
	need := spillway.Resources{Slots: n, MilliCPU: n * f.Instance.MilliCPU, MiB: n * f.Instance.MiB}
	for i, pool := range p.Pools {
		if onPrem.Has(i) && pool.Capacity.Exceeds(spillway.Resources{}, need) == spillway.DimNone {
			return true
		}
	}
	return false
}
