package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// compile turns the checked objects into a Platform. Everything is ordered by
// name.
func (l *loading) compile() {
	p := &spillway.Platform{Generation: 1, Currency: l.currency()}
	l.result.Platform = p
	if l.compilePools(p); len(l.faults) > 0 {
		return
	}
	for _, e := range l.all.policies {
		p.BurstPolicies = append(p.BurstPolicies, l.compilePolicy(p, e.object))
	}
	l.compileQuotas(p)
	l.compileNamespaces(p)
	for _, e := range l.all.functions {
		l.compileFunction(p, e)
	}
	p.Index()
	l.compileServer()
	l.keepEffective()
	p.Revision = l.revision()
}

// compilePools gives every pool its index: the one that it had in the previous
// platform, or the lowest that no pool has had. It refuses what cannot follow that
// platform while serving.
func (l *loading) compilePools(p *spillway.Platform) {
	old := l.checks.Previous
	if old == nil {
		for i, e := range l.all.pools {
			p.Pools = append(p.Pools, l.compilePool(i, e))
		}
		return
	}
	p.Generation = old.Generation + 1
	if old.Currency != p.Currency {
		l.all.books[0].fault("spec.currency", fmt.Sprintf("what was spent is counted in %s while the server runs", old.Currency), old.Currency+", or a restart")
	}
	p.Pools = make([]*spillway.Pool, len(old.Pools))
	for _, e := range l.all.pools {
		at := poolIndex(old, e.Metadata.Name)
		if at < 0 {
			at = len(p.Pools)
			p.Pools = append(p.Pools, nil)
		}
		p.Pools[at] = l.compilePool(at, e)
		if at < len(old.Pools) && old.Pools[at].Kind != p.Pools[at].Kind {
			e.fault("spec.kind", fmt.Sprintf("pool %s was of kind %s earlier while the server runs", e.Metadata.Name, old.Pools[at].Kind), "another name, or a restart")
		}
		if at < len(old.Pools) && old.Pools[at].Kind.Cloud() && old.Pools[at].Region != p.Pools[at].Region {
			e.fault("spec.region", fmt.Sprintf("pool %s was in %s earlier while the server runs, and calls may be on their way there", e.Metadata.Name, old.Pools[at].Region), "another name, or a restart")
		}
		if at < len(old.Pools) && old.Pools[at].Kind == spillway.PoolOffline && makesPods(old.Pools[at]) && !makesPods(p.Pools[at]) {
			e.fault("spec.kubernetes", fmt.Sprintf("pool %s ran functions earlier while the server runs", e.Metadata.Name), "as it was, or a restart")
		}
		if at >= spillway.MaxPools {
			e.fault("metadata.name", fmt.Sprintf("pool %d, with those that were removed while the server runs", at+1), fmt.Sprintf("at most %d until a restart", spillway.MaxPools))
		}
	}
	for i, pool := range p.Pools {
		if pool == nil {
			retired := *old.Pools[i]
			retired.Retired = true
			p.Pools[i] = &retired
		}
	}
}

func (l *loading) compilePool(i int, e entry[v1alpha1.Pool]) *spillway.Pool {
	spec, quote := &e.object.Spec, l.quotes[e.object.Spec.PricePlan]
	if spec.Kind == "offline" {
		pool := &spillway.Pool{Index: i, Name: e.Metadata.Name, Kind: spillway.PoolOffline, Region: spec.Region, Node: spec.Offline.Node,
			Capacity: limits(nil), PriceVersion: quote.Version, Rate: quote.Rate}
		if spec.Kubernetes != nil {
			pool.Kubernetes, pool.KeepAlive, pool.InitTimeout = compileKubernetes(spec.Kubernetes), time.Duration(*spec.KeepAlive), time.Duration(*spec.InitTimeout)
		}
		return pool
	}
	pool := &spillway.Pool{
		Index: i, Name: e.Metadata.Name, Region: spec.Region, InitTimeout: time.Duration(*spec.InitTimeout),
		PriceVersion: quote.Version,
	}
	if slices.Contains(onPremKinds, spec.Kind) {
		if spec.Kind == "kubernetes" {
			pool.Kind, pool.Kubernetes = spillway.PoolKubernetes, compileKubernetes(spec.Kubernetes)
		}
		pool.Capacity = limits(spec.Capacity)
		pool.KeepAlive = time.Duration(*spec.KeepAlive)
		pool.KeepAlivePolicy = compileKeepAlive(spec.KeepAlivePolicy)
		pool.Rate, pool.HourlyNano = quote.Rate, quote.Hourly
		return pool
	}
	pool.Limits = spillway.CloudLimits{Concurrency: orZero(spec.Limits.Concurrency), MemoryMiB: int64(orZero(spec.Limits.Memory)) / mib,
		RampPer10s: orZero(spec.Limits.RampPer10s), RampPerMinute: orZero(spec.Limits.RampPerMinute), RequestsPerSecond: orZero(spec.Limits.RequestsPerSecond)}
	if spec.Kind == "scf" {
		pool.Kind = spillway.PoolSCF
		pool.SCF = spillway.SCFEndpoint{Endpoint: spec.SCF.Endpoint, Namespace: spec.SCF.Namespace, CredentialsFrom: e.credentials(spec.SCF.Credentials)}
		return pool
	}
	pool.Kind = spillway.PoolLambda
	pool.Lambda = spillway.LambdaEndpoint{Endpoint: spec.Lambda.Endpoint, CredentialsFrom: e.credentials(spec.Lambda.Credentials)}
	return pool
}

func (s *source) credentials(c *v1alpha1.Credentials) string {
	if c.File != "" {
		return "file:" + s.relative(c.File)
	}
	return "environment"
}

// limits returns c with what is not written as Unlimited.
func limits(c *v1alpha1.Capacity) spillway.Resources {
	r := spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
	if c == nil {
		return r
	}
	if c.Slots != nil {
		r.Slots = *c.Slots
	}
	if c.CPU != nil {
		r.MilliCPU = int64(*c.CPU)
	}
	if c.Memory != nil {
		r.MiB = int64(*c.Memory) / mib
	}
	return r
}

func ceilMiB(b v1alpha1.Bytes) int64 {
	n := int64(b) / mib
	if int64(b)%mib > 0 {
		n++
	}
	return n
}

func poolIndex(p *spillway.Platform, name string) int {
	return slices.IndexFunc(p.Pools, func(pool *spillway.Pool) bool { return pool.Name == name })
}

// namespaceUIDs is where names of namespaces written in files become UIDs.
var namespaceUIDs = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://spillway.dev/namespaces/"))

// compileNamespaces makes every namespace that a function or a quota names.
func (l *loading) compileNamespaces(p *spillway.Platform) {
	quotas := map[string]*v1alpha1.QuotaSpec{}
	for _, e := range l.all.quotas {
		quotas[e.Metadata.Name] = &e.object.Spec
	}
	leaf := map[string]int{}
	for _, e := range l.all.functions {
		leaf[e.Metadata.Namespace] = -1
	}
	for i, q := range p.Quotas {
		for _, ns := range quotas[q.Name].Namespaces {
			leaf[ns] = i
		}
	}
	for _, name := range slices.Sorted(maps.Keys(leaf)) {
		ns := spillway.Namespace{Name: name, UID: cmp.Or(l.checks.NamespaceUIDs[name], uuid.NewSHA1(namespaceUIDs, []byte(name)).String()), Quota: leaf[name]}
		for at := ns.Quota; at >= 0 && ns.Department == ""; at = p.Quotas[at].Parent {
			ns.Department = quotas[p.Quotas[at].Name].Department
		}
		p.Namespaces = append(p.Namespaces, ns)
	}
}

func (l *loading) compileServer() {
	e := l.all.servers[0]
	spec := &e.object.Spec
	s := Server{Listen: spec.Listen, Admin: spec.Admin, DataDir: e.relative(spec.DataDir),
		DrainTimeout: time.Duration(*spec.DrainTimeout), Anonymous: *spec.Auth.Anonymous,
		Keys: slices.Clone(spec.Auth.Keys), Tokens: slices.Clone(spec.Auth.Tokens), Alerts: spec.Alerts}
	for i := range s.Keys {
		e.absolute(&s.Keys[i].SecretFrom)
	}
	for i := range s.Tokens {
		e.absolute(&s.Tokens[i].TokenFrom)
	}
	l.result.Server = s
}

func (s *source) absolute(from *v1alpha1.SecretSource) {
	if from.File != "" {
		from.File = s.relative(from.File)
	}
}

// covered reports whether a budget holds for a namespace.
func covered(p *spillway.Platform, ns int) bool {
	for at := p.Namespaces[ns].Quota; at >= 0; at = p.Quotas[at].Parent {
		if len(p.Quotas[at].Budgets) > 0 {
			return true
		}
	}
	return false
}

func exclusions(p *spillway.Platform, f *spillway.Function) string {
	text := ""
	for i, pool := range p.Pools {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s: %s", pool.Name, f.Excluded[i])
	}
	return text
}
