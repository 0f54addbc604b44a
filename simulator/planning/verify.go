package planning

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/planner"
)

// Owned is what a choice of nodes offers and costs an hour, without what is sunk.
type Owned struct {
	Capacity spillway.Resources
	Hourly   spillway.Nano
}

// OwnedBy returns what counts of node types come to, where a node runs so many calls at
// once, or spillway.Unlimited: as many as its memory and CPU allow. CPU is unlimited if
// no type says how much it has.
func OwnedBy(nodes []planner.NodeType, counts []int64, slots int64) (Owned, error) {
	var o Owned
	var all, milliCPU int64
	for i, n := range counts {
		all, milliCPU = max(all, n), max(milliCPU, nodes[i].MilliCPU)
	}
	for i, n := range counts {
		t := &nodes[i]
		kept := min(n, t.Owned)
		for _, add := range [5]struct {
			to      *int64
			n, each int64
		}{
			{&o.Capacity.Slots, n, limited(slots)}, {&o.Capacity.MilliCPU, n, t.MilliCPU}, {&o.Capacity.MiB, n, t.MiB},
			{(*int64)(&o.Hourly), kept, int64(t.Avoidable)}, {(*int64)(&o.Hourly), n - kept, int64(t.Hourly)},
		} {
			hi, lo := bits.Mul64(uint64(add.n), uint64(add.each))
			if *add.to += int64(lo); hi != 0 || int64(lo) < 0 || *add.to < 0 {
				return o, fmt.Errorf("%d nodes of type %q: %w", n, t.Name, spillway.ErrOverflow)
			}
		}
	}
	if all > 0 && slots == spillway.Unlimited {
		o.Capacity.Slots = spillway.Unlimited
	}
	if all > 0 && milliCPU == 0 {
		o.Capacity.MilliCPU = spillway.Unlimited
	}
	return o, nil
}

// limited is n, 0 if there is no limit.
func limited(n int64) int64 {
	if n == spillway.Unlimited {
		return 0
	}
	return n
}

// Owned is what the plan owns. A node that is the pool as a whole has the pool's slots.
func (f *Findings) Owned() (Owned, error) {
	slots := spillway.Unlimited
	if pool := f.Case.ownPool(); f.Whole && pool != nil {
		slots = pool.Capacity.Slots
	}
	return OwnedBy(f.Nodes, f.Answer.Plan.Best.Choice.Nodes, slots)
}

// ownPool is the first on-prem pool, for which is planned, or nil.
func (c *Case) ownPool() *spillway.Pool {
	for _, pool := range c.Run.Platform.Pools {
		if !pool.Kind.Cloud() && !pool.Retired {
			return pool
		}
	}
	return nil
}

// Verify replays the trace on the Engine with owned in place of all on-prem pools of
// the platform: the first has it all. Quotas, budgets, burst policies and Rego are the
// platform's own, so they may refuse what a plan would have burst. Where nothing is
// owned, calls that may burst do not wait for an on-prem place first. Nodes are paid for
// length, that of the demand, which ends with the last call.
func (c *Case) Verify(ctx context.Context, owned Owned, length time.Duration) (*simulator.Result, error) {
	run, err := c.with(owned)
	if err != nil {
		return nil, err
	}
	run.Length = length
	if err := c.Trace.Rewind(); err != nil {
		return nil, err
	}
	run.Calls = c.Trace
	run.Progress = func(_ time.Duration, calls int64) {
		c.say(float64(calls)/float64(max(c.Calls, 1)), "simulating the plan")
	}
	r, err := simulator.Run(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("simulate the plan: %w", err)
	}
	return r, nil
}

// with returns Run on a platform that owns owned.
func (c *Case) with(owned Owned) (simulator.Config, error) {
	p := *c.Run.Platform
	p.Pools = append([]*spillway.Pool(nil), p.Pools...)
	var onPrem spillway.PoolSet
	first := true
	for i, pool := range p.Pools {
		if pool.Kind.Cloud() || pool.Retired {
			continue
		}
		own := *pool
		own.Capacity, own.HourlyNano = spillway.Resources{}, 0
		if first {
			own.Capacity, own.HourlyNano = owned.Capacity, owned.Hourly
		}
		first = false
		p.Pools[i], onPrem = &own, onPrem.With(i)
	}
	if first {
		return simulator.Config{}, fmt.Errorf("%w: the configuration has no on-prem pool to plan for", ErrNoDemand)
	}
	run := c.Run
	run.Pools = append([]simulator.PoolModel(nil), run.Pools...)
	for i, pool := range p.Pools {
		if !pool.Kind.Cloud() {
			run.Pools[i].Capacity = nil
		}
	}
	var failed error
	run.Platform, _ = rebuild(&p, func(*spillway.Function) bool { return true }, func(f *spillway.Function) {
		if _, cloud := places(f); cloud && owned.Capacity == (spillway.Resources{}) {
			f.Permitted &^= onPrem // or calls would wait for a place that there never is
		}
		if c.Cloud.Imposed && c.Cloud.Pool >= 0 && f.Bindings[c.Cloud.Pool].MiB > 0 {
			if err := impose(&f.Bindings[c.Cloud.Pool], c.Cloud.Rate); err != nil {
				failed = err
			}
		}
	})
	return run, failed
}

// impose gives a binding another rate; the worst case keeps its length.
func impose(b *spillway.Binding, rate spillway.Rate) error {
	const initLimit = 65 * time.Second // at least as long as any provider's
	worst, err := rate.CeilNano(rate.BilledMillis((b.Timeout + initLimit).Milliseconds()), spillway.Resources{MiB: b.MiB})
	b.Rate, b.WorstCase = rate, worst
	return err
}
