package scenario

import (
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/simulator/trace"
)

const (
	company    = "company"
	mib        = 1 << 20
	coreMiB    = 1769  // for which AWS Lambda gives a core
	unknownMiB = 128   // where a trace does not say
	maxNodes   = 9_000 // quota nodes that are made; more tenants share the one they are below
)

func header(kind, namespace, name string) v1alpha1.Header {
	return v1alpha1.Header{APIVersion: v1alpha1.APIVersion, Kind: kind, Metadata: v1alpha1.Metadata{Namespace: namespace, Name: name}}
}

// NoQuotaError names a Quota that tenants were to come below.
type NoQuotaError struct{ Name string }

func (e *NoQuotaError) Error() string {
	return fmt.Sprintf("tenants of the trace are to come below Quota %q, which the configuration does not have", e.Name)
}

// adopt makes the objects of functions that only the trace has, and of their tenants.
func adopt(t *trace.Trace, longest time.Duration, p *spillway.Platform, keys []spillway.FunctionKey, below string) ([]any, error) {
	parent := false
	for _, q := range p.Quotas {
		parent = parent || q.Name == below
	}
	if !parent {
		return nil, &NoQuotaError{below}
	}
	var all []any
	payers, member := newPayers(), map[string]bool{}
	for i, key := range keys {
		if key.Name == "" || p.Function(key) != nil {
			continue
		}
		f := &t.Functions()[i]
		all = append(all, function(f, longest, key, p))
		if !member[key.Namespace] {
			member[key.Namespace] = true
			payers.add(f.Tenant, key.Namespace)
		}
	}
	return append(all, payers.quotas(p, below)...), nil
}

// payers are the tenants of a trace with their namespaces, in the order in which they
// come. A namespace belongs to the first that has a function in it.
type payers struct {
	names      *labels
	order      []string
	namespaces map[string][]string
}

func newPayers() *payers { return &payers{newLabels(), nil, map[string][]string{}} }

func (p *payers) add(tenant, namespace string) {
	name := p.names.label(tenant)
	if p.namespaces[name] == nil {
		p.order = append(p.order, name)
	}
	p.namespaces[name] = append(p.namespaces[name], namespace)
}

// quotas makes a node for each tenant, or one for all if there are too many.
func (p *payers) quotas(platform *spillway.Platform, below string) []any {
	var all []any
	taken := map[string]bool{}
	for _, q := range platform.Quotas {
		taken[q.Name] = true
	}
	node := func(name string, namespaces []string) {
		department := name
		for taken[name] {
			name = "trace-" + name
		}
		taken[name] = true
		all = append(all, &v1alpha1.Quota{Header: header(v1alpha1.KindQuota, "", name),
			Spec: v1alpha1.QuotaSpec{Parent: below, Department: department, Namespaces: namespaces}})
	}
	if len(p.order) > maxNodes {
		var whole []string
		for _, name := range p.order {
			whole = append(whole, p.namespaces[name]...)
		}
		node("trace", whole)
		return all
	}
	for _, name := range p.order {
		node(name[:min(len(name), 50)], p.namespaces[name])
	}
	return all
}

// function is a function as its trace shows it. longest is the longest execution of
// the trace, for functions without durations of their own.
func function(f *trace.Function, longest time.Duration, key spillway.FunctionKey, p *spillway.Platform) *v1alpha1.Function {
	if f.Duration.Known() {
		longest = f.Duration.At(1)
	}
	memory := f.MiB
	if memory <= 0 {
		memory = unknownMiB
	}
	cpu := f.MilliCPU
	if cpu <= 0 {
		cpu = max(memory*1000/coreMiB, 100)
	}
	timeout := min(max((longest+time.Second-1)/time.Second*time.Second, 3*time.Second), 15*time.Minute)
	spec := v1alpha1.FunctionSpec{
		Revisions: []v1alpha1.Revision{{Name: "trace", Package: v1alpha1.Package{Path: "."}}},
		Resources: v1alpha1.ResourceRequest{CPU: new(v1alpha1.MilliCPU(cpu)), Memory: new(v1alpha1.Bytes(memory * mib))},
		Timeout:   new(v1alpha1.Duration(timeout)),
		Burst:     "allow",
	}
	for _, pool := range p.Pools {
		if b := binding(pool, memory, timeout); b != nil {
			spec.Cloud = append(spec.Cloud, *b)
		}
	}
	if len(spec.Cloud) == 0 {
		spec.Burst = "deny"
	}
	return &v1alpha1.Function{Header: header(v1alpha1.KindFunction, key.Namespace, key.Name), Spec: spec}
}

// binding is how a function is deployed in a cloud pool, or nil if it has no place there.
func binding(pool *spillway.Pool, memory int64, timeout time.Duration) *v1alpha1.Binding {
	least, most, step := int64(128), int64(10240), int64(1)
	longest := 15 * time.Minute
	switch pool.Kind {
	case spillway.PoolLambda:
	case spillway.PoolSCF:
		most, step, longest = 3072, 128, 5*time.Minute
	default:
		return nil
	}
	memory = max((memory+step-1)/step*step, least)
	if memory > most || timeout > longest || pool.PriceVersion == "" {
		return nil
	}
	return &v1alpha1.Binding{Pool: pool.Name, Memory: new(v1alpha1.Bytes(memory * mib)), Timeout: new(v1alpha1.Duration(timeout))}
}
