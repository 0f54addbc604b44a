package clouddrift

import (
	"slices"

	"github.com/spillway-dev/spillway"
)

// Reservation is what a cloud is to keep for one of its functions. All pointers are
// into one Platform, but for Want.
type Reservation struct {
	Pool     *spillway.Pool
	Function *spillway.Function // its leading revision
	Name     string             // in the cloud
	// Want is calls at once, or MiB at once on SCF; nil if nothing is to be reserved.
	Want *int64
	// Shared are other functions that are bound to the same one of the cloud: none of
	// them says alone what that is to have.
	Shared []string
}

// Reservations returns what each function is to have whose burst policy has it written,
// in the order of p.Functions and then of pools.
func Reservations(p *spillway.Platform) []Reservation {
	type place struct {
		pool int
		name string
	}
	var all []Reservation
	users := map[place][]string{}
	for _, f := range p.Functions {
		if p.Function(f.FunctionKey) != f {
			continue // reservations are of all revisions together
		}
		for _, pool := range CloudPools(p, "") {
			b := &f.Bindings[pool.Index]
			if b.Name == "" {
				continue
			}
			at := place{pool.Index, b.Name}
			users[at] = append(users[at], f.String())
			if p.BurstPolicies[f.Policy].Reserved == spillway.ReservedWrite {
				all = append(all, Reservation{Pool: pool, Function: f, Name: b.Name, Want: reservation(p, f, pool)})
			}
		}
	}
	for i := range all {
		r := &all[i]
		r.Shared = slices.DeleteFunc(slices.Clone(users[place{r.Pool.Index, r.Name}]), func(name string) bool { return name == r.Function.String() })
	}
	return all
}

// Unit is what reservations in a pool count.
func Unit(p *spillway.Pool) string {
	if p.Kind == spillway.PoolSCF {
		return "MiB"
	}
	return "calls"
}

// reservation is what limits here allow f to have in pool: nil if none does, or if calls
// may not go there. The pool's own limits are the account's, and alone ask for nothing.
func reservation(p *spillway.Platform, f *spillway.Function, pool *spillway.Pool) *int64 {
	b, policy := &f.Bindings[pool.Index], &p.BurstPolicies[f.Policy]
	excluded := f.Excluded[pool.Index]
	calls := min(policy.MaxBurstConcurrency, quotaCalls(p, f, b))
	switch {
	case excluded != spillway.ExcludedNot && excluded != spillway.ExcludedPrice: // a price comes back
		return nil
	case policy.KillSwitch:
		calls = 0
	case calls == spillway.Unlimited:
		return nil
	default:
		if most := poolCalls(pool, b); most > 0 {
			calls = min(calls, most)
		}
	}
	if pool.Kind == spillway.PoolSCF {
		calls *= b.MiB
	}
	return &calls
}

// quotaCalls is how many calls of b at once the quota tree allows at most, what may be
// borrowed included.
func quotaCalls(p *spillway.Platform, f *spillway.Function, b *spillway.Binding) int64 {
	calls := spillway.Unlimited
	if f.Namespace >= len(p.Namespaces) {
		return calls
	}
	for at := p.Namespaces[f.Namespace].Quota; at >= 0; at = p.Quotas[at].Parent {
		nominal, borrow := p.Quotas[at].Nominal[spillway.ClassCloud], p.Quotas[at].Borrowing[spillway.ClassCloud]
		if nominal.Slots != spillway.Unlimited && borrow.Slots != spillway.Unlimited {
			calls = min(calls, nominal.Slots+borrow.Slots)
		}
		if nominal.MiB != spillway.Unlimited && borrow.MiB != spillway.Unlimited {
			calls = min(calls, (nominal.MiB+borrow.MiB)/max(1, b.MiB))
		}
	}
	return calls
}

// Record is what is remembered of a reservation: Writing before it is sent, Written
// when it is known to have been taken. Nil is none.
type Record struct{ Writing, Written *int64 }

// Action is what is to be done about a reservation.
type Action uint8

const (
	Leave Action = iota
	Reserve
	Unreserve
)

// Step is what to do, what to remember before that, and why what was found is left
// though it is not what is wanted.
type Step struct {
	Do     Action
	Record Record
	Left   Left
}

// Left is why a reservation is left as it is.
type Left string

const (
	// ChangedElsewhere: somebody else changed what was written.
	ChangedElsewhere Left = "ChangedElsewhere"
	// NotOurs: there was one before any was written.
	NotOurs Left = "NotOurs"
)

// Decide returns the next step for a reservation that is to be want and was found as
// found. What somebody else has put there is left until what is wanted is another than
// was written, or restore asks for it; what was there before anything was written is
// left whoever asks. Only what was written is taken away.
func Decide(want, found *int64, r Record, restore bool) Step {
	if r.Writing != nil && same(found, r.Writing) { // it arrived, and nobody heard of it
		r.Written = r.Writing
	}
	r.Writing = nil
	ours := r.Written != nil && same(found, r.Written)
	switch {
	case want == nil && ours:
		return Step{Do: Unreserve, Record: r}
	case want == nil:
		return Step{}
	case same(found, want):
		if r.Written != nil { // who put it there wants the same
			r.Written = want
		}
		return Step{Record: r}
	case restore && r.Written != nil, ours, found == nil && r.Written == nil, r.Written != nil && !same(r.Written, want):
		return Step{Do: Reserve, Record: Record{Writing: want, Written: r.Written}}
	case r.Written == nil:
		return Step{Record: r, Left: NotOurs}
	}
	return Step{Record: r, Left: ChangedElsewhere}
}

func same(a, b *int64) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
