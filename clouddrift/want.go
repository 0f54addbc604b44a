package clouddrift

import (
	"path/filepath"

	"github.com/spillway-dev/spillway"
)

// Want is what one binding relies on. All pointers are into one Platform.
type Want struct {
	Pool         *spillway.Pool
	Function     *spillway.Function
	Binding      *spillway.Binding
	Architecture string // that the price plan is for; empty if it does not say
	// Burst is how many calls at once Spillway may send to the function: the
	// smallest of its policy's maxBurstConcurrency and what the quota tree and the
	// pool's limits leave. Unlimited if none says.
	Burst int64
	// Mode says what is done about reserved concurrency, and Reserve what is to be
	// reserved with spillway.ReservedWrite, in its cloud's unit; nil for nothing.
	Mode    spillway.ReservedMode
	Reserve *int64
}

// Wants returns what each binding of a cloud pool relies on, by pool and then in
// the order of p.Functions. With a name it is only that pool's. architecture
// tells what a pool's price plan is for: X86, ARM or nothing.
func Wants(p *spillway.Platform, pool string, architecture func(*spillway.Pool) string) []Want {
	var all []Want
	for _, at := range CloudPools(p, pool) {
		for _, f := range p.Functions {
			b := &f.Bindings[at.Index]
			if b.Name == "" {
				continue
			}
			policy := &p.BurstPolicies[f.Policy]
			w := Want{Pool: at, Function: f, Binding: b, Architecture: architecture(at),
				Burst: min(policy.MaxBurstConcurrency, quotaCalls(p, f, b)), Mode: policy.Reserved}
			if w.Mode == spillway.ReservedWrite {
				w.Reserve = reservation(p, f, at)
			}
			if limit := poolCalls(at, b); limit > 0 {
				w.Burst = min(w.Burst, limit)
			}
			all = append(all, w)
		}
	}
	return all
}

// CloudPools returns the cloud pools of p that are in use, or only the one with
// that name.
func CloudPools(p *spillway.Platform, name string) []*spillway.Pool {
	var all []*spillway.Pool
	for _, pool := range p.Pools {
		if pool.Kind.Cloud() && !pool.Retired && (name == "" || pool.Name == name) {
			all = append(all, pool)
		}
	}
	return all
}

// poolCalls is how many calls of b the pool's own limits let run at once; zero if
// they do not limit that.
func poolCalls(p *spillway.Pool, b *spillway.Binding) int64 {
	n := p.Limits.Concurrency
	if p.Limits.MemoryMiB > 0 && b.MiB > 0 {
		if calls := p.Limits.MemoryMiB / b.MiB; n == 0 || calls < n {
			n = calls
		}
	}
	return n
}

// zipped reports whether the package is a zip file, whose bytes a cloud has too.
func (w Want) zipped() bool { return filepath.Ext(w.Function.Package.Path) == ".zip" }

// finding is the empty result for w.
func (w Want) finding() Finding {
	return Finding{
		Pool: w.Pool.Name, Function: w.Function.String(), Revision: w.Function.Revision,
		Name: w.Binding.Name, Qualifier: w.Binding.Qualifier, Status: OK,
	}
}
