package main

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/fit"
	"github.com/spillway-dev/spillway/simulator/scenario"
	"github.com/spillway-dev/spillway/simulator/trace"
)

func newSimulateFit(s streams) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "fit --trace FILE",
		Short: "Find in a usage export how your pools behave",
		Long: `Read a usage export and write how its pools behave, in the form that
'spillway simulate --models' reads: cold starts, how long a cloud keeps idle
environments, whether it bills their start. Observed counts say what each figure
rests on; mistrust those that rest on few.

Use it before you simulate your own platform, and again after what your functions
do at start has changed.

A ledger does not tell what a call takes beyond its execution, how long a cloud
prepares an environment before the function's own start, or when a pool was away:
what is not in the file stays as it is by default. On-prem, the time before the
function's own start is what callers waited; where the pool was full, that includes
the queue.

The file may be edited, or written by hand. Times count from the start of the trace:

  pools:
    lambda:
      coldStart:                # steps, one after the other; [] for none
        - {name: environment, p50: 120ms, p99: 400ms, outside: true}
        - {name: init, p50: 180ms, p99: 900ms}
      added: 5ms                # to each call: network and the provider
      idleFor: 10m              # how long an idle environment is kept
      initBilled: true
      away: [{from: 1h, to: 1h10m, throttle: true}]   # or not reachable
    onprem:
      stop: {p50: 50ms, p99: 1s}                      # the end of an instance
      capacity: [{at: 6h, cpu: 16, memory: 64Gi, slots: 200}]
      daily: [{hour: 0, share: 1}, {hour: 9, share: 0.25}, {hour: 22, share: 1}]
      timeZone: Asia/Shanghai                         # of daily; else UTC
      spot: {machines: 20, revokedPerHour: 0.05, backAfter: 15m, seed: 1}

A step that is outside comes before the function's own start: no provider bills it,
and no ledger records it. Where no step is outside, those of the default stay.
Capacity is the latest step, times the share of the hour, times the share of spot
machines that are there; each is revoked on its own at that rate, by the seed.`,
		Example: `  spillway usage export november.csv.zst --from 2026-11-01 --to 2026-12-01
  spillway simulate fit --trace november.csv.zst > models.yaml
  spillway simulate --trace november.csv.zst --config next/ --models models.yaml`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&path, "trace", "", "usage export: one `file`, plain or packed")
	output := formatFlag(cmd, "yaml", "json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if path == "" {
			return wrongInput("--trace is needed: a file that 'spillway usage export' wrote")
		}
		models, err := fitted(cmd.Context(), s, path)
		if err != nil {
			return err
		}
		return output.print(s.out, models, nil)
	}
	return cmd
}

func fitted(ctx context.Context, s streams, path string) (scenario.Models, error) {
	var calls atomic.Int64
	p := newPulse(s.err, "reading", func() string { return several(int(calls.Load()), "call") })
	defer p.end()
	pools, err := fit.Pools(watched(ctx, trace.UsageRows(path), &calls))
	if err != nil {
		return nil, traceError(err)
	}
	models := scenario.Models{}
	for name, pool := range pools {
		models[name] = modelOf(pool)
	}
	if len(models) == 0 {
		return nil, wrongInput("%s has no call that ran in a pool; a made-up trace has none", path)
	}
	return models, nil
}

// watched counts rows and ends when ctx does.
func watched(ctx context.Context, rows iter.Seq2[trace.UsageRow, error], calls *atomic.Int64) iter.Seq2[trace.UsageRow, error] {
	return func(yield func(trace.UsageRow, error) bool) {
		for r, err := range rows {
			if n := calls.Add(1); err == nil && n&4095 == 0 {
				err = ctx.Err()
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// modelOf writes down what was found; the rest stays as it is by default.
func modelOf(p *fit.Pool) scenario.Model {
	m := scenario.Model{Observed: &scenario.Observed{
		Calls: p.Calls, ColdStarts: p.ColdStarts, Warm: p.Warm, Gone: p.Gone, Against: p.Against, Billed: p.Billed, Unbilled: p.Unbilled,
	}}
	for _, c := range p.Model.Cold {
		m.ColdStart = append(m.ColdStart, writtenStep(c))
	}
	if p.Model.IdleFor > 0 {
		m.IdleFor = new(v1alpha1.Duration(p.Model.IdleFor))
	}
	if p.Billed+p.Unbilled > 0 {
		m.InitBilled = new(p.Model.InitBilled)
	}
	return m
}

func writtenStep(c simulator.ColdStep) scenario.ColdStep {
	return scenario.ColdStep{Name: c.Name, Outside: c.Outside,
		P50: new(v1alpha1.Duration(threeDigits(c.P50))), P99: new(v1alpha1.Duration(threeDigits(c.P99)))}
}

// threeDigits rounds to what a histogram knows.
func threeDigits(d time.Duration) time.Duration {
	unit := time.Microsecond
	for unit*1000 <= d {
		unit *= 10
	}
	return d.Round(unit)
}
