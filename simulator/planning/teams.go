package planning

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/planner"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// TeamQuota is how many on-prem slots a team needs so that its calls keep an aim
// without bursting.
type TeamQuota struct {
	Team   string // namespace
	Calls  int64  // in the trace
	Tried  int64  // calls that quotas were tried on, all or those of the busiest window
	From   time.Duration
	Until  time.Duration // of that window; zero: all
	Peak   int64         // calls at once if none waited
	Answer planner.Answer
	Fault  string // why there is no answer; then Answer.Trials has what was tried
}

// TeamsNamed returns the demand of the named namespaces, TeamsLargest of those that
// keep most busy.
func (d *Demand) TeamsNamed(p *spillway.Platform, name string) ([]TeamDemand, error) {
	for i := range p.Namespaces {
		if p.Namespaces[i].Name != name {
			continue
		}
		if d.Teams[i].Calls == 0 {
			return nil, &planner.InputError{Path: "teams", Problem: fmt.Sprintf("%q has no calls in the trace that may run on-prem", name)}
		}
		return d.Teams[i : i+1], nil
	}
	return nil, &planner.InputError{Path: "teams", Problem: fmt.Sprintf("%q is no namespace of the configuration or the trace", name)}
}

// TeamsLargest returns the n teams that keep most busy; negative is all.
func (d *Demand) TeamsLargest(n int) []TeamDemand {
	all := largest(d.Teams)
	if n >= 0 && n < len(all) {
		all = all[:n]
	}
	return all
}

// Quotas finds the smallest quota for each team, in their order. A trial replays the
// team's calls alone on the Engine, with on-prem pools without limits, no cloud and
// one quota node; waits are bounded by the functions' maxWait as ever. Of teams with
// more calls than are replayed, those around the busiest step, or around the busiest part
// of it, stand for all, which errs to the side of a larger quota.
func (c *Case) Quotas(ctx context.Context, d *Demand, teams []TeamDemand, aim planner.Aim) ([]TeamQuota, error) {
	var all []TeamQuota
	for _, batch := range batches(teams) {
		samples, err := c.samples(ctx, d, batch)
		if err != nil {
			return nil, err
		}
		for i, s := range samples {
			c.say(float64(len(all))/float64(len(teams)), "trying quotas of teams")
			q, err := c.quota(ctx, s, aim)
			if err != nil {
				return nil, fmt.Errorf("quota of %s: %w", q.Team, err)
			}
			all = append(all, q)
			samples[i] = nil // its calls are not needed any more
		}
	}
	return all, nil
}

func (c *Case) quota(ctx context.Context, s *sample, aim planner.Aim) (TeamQuota, error) {
	q := TeamQuota{Team: c.Run.Platform.Namespaces[s.team.Namespace].Name, Calls: s.team.Calls, Tried: int64(len(s.calls))}
	if !s.whole {
		q.From, q.Until = s.from, s.until
	}
	if s.burst {
		q.Fault = fmt.Sprintf("more calls begin in the same nanosecond than the %d that quotas are tried on", sampleCalls)
		return q, nil
	}
	levels, err := planner.Levels(c.intervals(s.calls))
	if err != nil {
		return q, err
	}
	if len(levels) > 0 {
		q.Peak = levels[len(levels)-1].Busy
	}
	q.Peak = max(q.Peak, 1) // calls shorter than a microsecond are never busy, and need a place
	t := c.alone(s)
	q.Answer, err = planner.SmallestQuota(planner.FluidQuota(levels, aim.RefusedShare), q.Peak+1, aim, func(quota int64) (float64, int64, error) {
		return t.run(ctx, quota)
	})
	if errors.Is(err, planner.ErrUnreachable) {
		q.Fault, err = err.Error(), nil
	}
	return q, err
}

// trial replays one team.
type trial struct {
	config simulator.Config
	calls  []trace.Call
}

// alone takes everything but the team away from the platform.
func (c *Case) alone(s *sample) *trial {
	p := *c.Run.Platform
	p.Namespaces = []spillway.Namespace{p.Namespaces[s.team.Namespace]}
	p.Namespaces[0].Quota = 0
	p.Pools = append([]*spillway.Pool(nil), p.Pools...)
	var onPrem spillway.PoolSet
	models := append([]simulator.PoolModel(nil), c.Run.Pools...)
	for i, pool := range p.Pools {
		if pool.Kind.Cloud() {
			continue
		}
		own := *pool
		own.Capacity = spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
		p.Pools[i], models[i] = &own, simulator.PoolModel{}
		onPrem = onPrem.With(i)
	}
	platform, at := rebuild(&p, func(f *spillway.Function) bool { return f.Namespace == s.team.Namespace }, func(f *spillway.Function) {
		f.Namespace = 0
		f.Permitted &= onPrem
	})
	run := c.Run
	run.Platform, run.Pools, run.Warm, run.Progress = platform, models, true, nil
	run.Functions = make([]int, len(c.Run.Functions))
	for i, f := range c.Run.Functions {
		run.Functions[i] = -1
		if f >= 0 {
			run.Functions[i] = at[f]
		}
	}
	run.Step = max(run.Length, time.Second)
	return &trial{run, s.calls}
}

func (t *trial) run(ctx context.Context, quota int64) (refused float64, p95 int64, err error) {
	run := t.config
	p := *run.Platform
	node := spillway.QuotaNode{Name: "trial", Parent: -1}
	node.Nominal[spillway.ClassOnPrem] = spillway.Resources{Slots: quota, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
	p.Quotas = []spillway.QuotaNode{node}
	run.Platform, _ = rebuild(&p, func(*spillway.Function) bool { return true }, func(*spillway.Function) {})
	run.Calls = &held{t.calls}
	r, err := simulator.Run(ctx, run)
	if err != nil {
		return 0, 0, err
	}
	return float64(r.Refused) / float64(max(r.Calls, 1)), r.Waits.Quantile(0.95).Microseconds(), nil
}

// held yields calls from memory.
type held struct{ calls []trace.Call }

// Next implements simulator.Source.
func (h *held) Next(into []trace.Call) (int, error) {
	if len(h.calls) == 0 {
		return 0, io.EOF
	}
	n := copy(into, h.calls)
	h.calls = h.calls[n:]
	return n, nil
}
