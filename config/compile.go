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
	for i, e := range l.all.pools {
		p.Pools = append(p.Pools, l.compilePool(i, e))
	}
	for _, e := range l.all.policies {
		p.BurstPolicies = append(p.BurstPolicies, compilePolicy(p, e.object))
	}
	l.compileQuotas(p)
	l.compileNamespaces(p)
	for i, e := range l.all.functions {
		p.Functions = append(p.Functions, l.compileFunction(p, i, e))
	}
	p.Index()
	l.compileServer()
	l.keepEffective()
	p.Revision = l.revision()
}

func (l *loading) compilePool(i int, e entry[v1alpha1.Pool]) *spillway.Pool {
	spec, quote := &e.object.Spec, l.quotes[e.object.Spec.PricePlan]
	pool := &spillway.Pool{
		Index: i, Name: e.Metadata.Name, Region: spec.Region, InitTimeout: time.Duration(*spec.InitTimeout),
		PriceVersion: quote.Version,
	}
	if spec.Kind == "process" {
		pool.Kind = spillway.PoolProcess
		pool.Capacity = limits(spec.Capacity)
		pool.KeepAlive = time.Duration(*spec.KeepAlive)
		pool.Rate, pool.HourlyNano = quote.Rate, quote.Hourly
		return pool
	}
	pool.Kind = spillway.PoolLambda
	pool.Limits = spillway.CloudLimits{Concurrency: *spec.Limits.Concurrency, RampPer10s: *spec.Limits.RampPer10s, RequestsPerSecond: *spec.Limits.RequestsPerSecond}
	pool.Lambda = spillway.LambdaEndpoint{Endpoint: spec.Lambda.Endpoint, CredentialsFrom: "environment"}
	if file := spec.Lambda.Credentials.File; file != "" {
		pool.Lambda.CredentialsFrom = "file:" + e.relative(file)
	}
	return pool
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

func compilePolicy(p *spillway.Platform, o *v1alpha1.BurstPolicy) spillway.BurstPolicy {
	policy := spillway.BurstPolicy{
		Name:                o.Metadata.Name,
		Mode:                map[string]spillway.Mode{"OnPremOnly": spillway.ModeOnPremOnly, "Hybrid": spillway.ModeHybrid, "CloudOnly": spillway.ModeCloudOnly}[o.Spec.Mode],
		MaxBurstConcurrency: spillway.Unlimited,
		OnPremWaitBudget:    time.Duration(*o.Spec.OnPremWaitBudget),
	}
	if o.Spec.MaxBurstConcurrency != nil {
		policy.MaxBurstConcurrency = *o.Spec.MaxBurstConcurrency
	}
	for _, name := range o.Spec.Order {
		policy.Order = append(policy.Order, poolIndex(p, name))
	}
	return policy
}

func poolIndex(p *spillway.Platform, name string) int {
	return slices.IndexFunc(p.Pools, func(pool *spillway.Pool) bool { return pool.Name == name })
}

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
	node.Nominal[spillway.ClassOnPrem] = limits(o.Spec.Nominal.OnPrem)
	node.Nominal[spillway.ClassCloud] = limits(o.Spec.Nominal.Cloud)
	for _, b := range o.Spec.Budgets {
		// The zone and the currency were checked.
		location, _ := zone(b.TimeZone)
		limit, _ := l.convert(*b.Amount, b.Currency)
		budget := spillway.Budget{Limit: limit, Location: location,
			Window: map[string]spillway.Window{"hour": spillway.WindowHour, "day": spillway.WindowDay, "month": spillway.WindowMonth}[b.Window]}
		if b.AtLimit == "redirect" {
			budget.AtLimit = spillway.AtLimitRedirect
		}
		node.Budgets = append(node.Budgets, budget)
	}
	slices.SortFunc(node.Budgets, func(a, b spillway.Budget) int { return cmp.Compare(a.Window, b.Window) })
	return node
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
		ns := spillway.Namespace{Name: name, UID: uuid.NewSHA1(namespaceUIDs, []byte(name)).String(), Quota: leaf[name]}
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
		Keys: slices.Clone(spec.Auth.Keys), Tokens: slices.Clone(spec.Auth.Tokens)}
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
