package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/report"
	"github.com/spillway-dev/spillway/simulator/scenario"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// traceFlags are what every command that replays a trace asks for.
type traceFlags struct {
	trace, format      string
	adopt, pricesAt    string
	models, data       string
	nodes, concurrency int64
	seed               uint64
	spread             trace.Spread
	warm               bool

	flags *pflag.FlagSet
}

// maxStandard bounds the size of the default platform.
const maxStandard = 1_000_000

func (f *traceFlags) add(flags *pflag.FlagSet) {
	f.flags = flags
	flags.StringVar(&f.trace, "trace", "", "`path` of the trace: a file or a directory")
	flags.StringVar(&f.format, "format", "", "`format` of the trace, recognised by its columns if not given: "+traceFormats())
	flags.TextVar(&f.spread, "spread", trace.SpreadEven, "how counted calls lie in their minute: even or random")
	flags.StringVar(&f.adopt, "adopt", "", "`quota` below which tenants come that the configuration does not have")
	flags.StringVar(&f.pricesAt, "prices-at", "", "`date` whose prices hold, such as 2026-11-01; today if not given")
	flags.Int64Var(&f.nodes, "nodes", 0, "owned `servers` of the default platform; the mean demand if not given")
	flags.Int64Var(&f.concurrency, "concurrency", 0, "`calls` at once in the cloud of the default platform; twice the peak if not given")
	flags.StringVar(&f.data, "data", "", "data `directory` of a server: with --config, what was deployed to it and its approved quota requests hold, too")
	flags.StringVar(&f.models, "models", "", "`file` that says how pools behave; 'spillway simulate fit' makes one")
	flags.Uint64Var(&f.seed, "seed", 1, "`number` that all random choices follow from")
	flags.BoolVar(&f.warm, "warm", false, "model no instances: no cold starts on-prem, nothing kept in memory")
}

func traceFormats() string {
	var names []string
	for _, f := range trace.Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// opened is a trace, what there is to say about it, and what the flags beside it name.
type opened struct {
	*trace.Trace
	summary *trace.Summary
	prices  time.Time
	models  scenario.Models
	with    additions
}

// open checks the flags, and then reads the trace once; configured says that there is a
// configuration directory.
func (f *traceFlags) open(ctx context.Context, configured bool) (*opened, error) {
	if err := f.check(configured); err != nil {
		return nil, err
	}
	o := &opened{prices: time.Now()}
	if err := f.readBeside(o); err != nil {
		return nil, err
	}
	var err error
	if o.Trace, err = trace.Open(ctx, f.trace, trace.Options{Format: trace.Format(f.format), Seed: f.seed, Spread: f.spread}); err != nil {
		return nil, traceError(err)
	}
	if o.summary, err = trace.Inspect(ctx, o.Trace); err != nil {
		return nil, errors.Join(traceError(err), o.Close())
	}
	return o, nil
}

// check is of the flags alone.
func (f *traceFlags) check(configured bool) error {
	switch {
	case f.trace == "":
		return wrongInput("--trace is needed: a file or directory; 'spillway trace generate' makes one")
	case f.format != "" && !slices.Contains(trace.Formats(), trace.Format(f.format)):
		return wrongInput("--format: %q; allowed: %s", f.format, traceFormats())
	case f.flags.Changed("nodes") && (f.nodes < 1 || f.nodes > maxStandard):
		return wrongInput("--nodes is %d; allowed: 1 to %d. To own nothing, write a configuration whose burst policy is CloudOnly", f.nodes, maxStandard)
	case f.flags.Changed("concurrency") && (f.concurrency < 1 || f.concurrency > maxStandard):
		return wrongInput("--concurrency is %d; allowed: 1 to %d", f.concurrency, maxStandard)
	case configured && (f.nodes > 0 || f.concurrency > 0):
		return wrongInput("--nodes and --concurrency size the default platform; with --config the pools of the directory hold")
	case !configured && f.adopt != "":
		return wrongInput("--adopt names a Quota of --config; the default platform takes all tenants in")
	case !configured && f.data != "":
		return wrongInput("--data is of a server, and so needs its --config")
	}
	return nil
}

// readBeside reads what flags beside --trace name.
func (f *traceFlags) readBeside(o *opened) error {
	var err error
	if f.pricesAt != "" {
		if o.prices, err = time.Parse(time.DateOnly, f.pricesAt); err != nil {
			return wrongInput("--prices-at: %q is not a date; allowed: YYYY-MM-DD", f.pricesAt)
		}
	}
	if f.models != "" {
		if o.models, err = scenario.ReadModels(f.models); err != nil {
			return err
		}
	}
	if f.data == "" {
		return nil
	}
	if _, err = os.Stat(f.data); err != nil {
		return wrongInput("--data: %w", err)
	}
	o.with, err = additionsOf(deployedIn(f.data), requestedIn(f.data))
	return err
}

// traceError makes faults of a trace wrong input.
func traceError(err error) error {
	var fault *trace.Error
	if errors.As(err, &fault) || errors.Is(err, os.ErrNotExist) {
		return wrongInput("%w", err)
	}
	return err
}

// scenario is what the trace is replayed on.
func (f *traceFlags) scenario(t *opened, dir string) (*scenario.Scenario, error) {
	standard := scenario.StandardFor(t.summary)
	if f.nodes > 0 {
		standard.Nodes = f.nodes
	}
	if f.concurrency > 0 {
		standard.Concurrency = f.concurrency
	}
	if err := t.Rewind(); err != nil {
		return nil, err
	}
	sc, err := scenario.Load(t.Trace, scenario.Options{
		Dir: dir, Standard: standard, Adopt: f.adopt, Longest: t.summary.Duration.At(1), PricesAt: t.prices, Seed: f.seed, Warm: f.warm, Models: t.models, Policy: policyFaults,
		Deployed: t.with.files, Overlays: t.with.overlays,
	})
	var unknown *scenario.NoQuotaError
	if errors.As(err, &unknown) {
		return nil, wrongInput("--adopt: %w", err)
	}
	return sc, err
}

// replay runs a scenario with progress on standard error.
func replay(ctx context.Context, s streams, t *opened, sc *scenario.Scenario) (*simulator.Result, error) {
	p := newProgress(s.err, "replaying")
	defer p.end()
	sc.Progress = func(at time.Duration, calls int64) {
		p.at(float64(calls)/float64(max(t.summary.Calls, 1)), fmt.Sprintf("%s of %s", at.Round(time.Minute), t.Length().Round(time.Minute)))
	}
	r, err := simulator.Run(ctx, sc.Config)
	if err != nil {
		return nil, traceError(err)
	}
	return r, nil
}

type simulateFlags struct {
	traceFlags
	config    string
	functions bool
}

func newSimulate(s streams) *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use:   "simulate --trace PATH",
		Short: "Replay a trace: what would have happened, and what it would have cost",
		Long: `Replay a trace on a configuration directory and say where its calls would have
gone, who would have waited, what would have been refused and why, and what each
department would have paid. The Engine that decides is the one of 'spillway up',
with its quota tree, burst policies, Rego and price book; only the clock and the
pools are simulated. The same trace, configuration, seed and --prices-at give the
same bytes.

The trace is a public one or your own: 'spillway usage export' writes the calls of
a ledger. Tenants that the configuration does not have are left out and counted, or
come below the Quota that --adopt names. Without --config a platform is assumed that
the trace fills: owned servers for its mean demand, AWS Lambda for the rest.

How pools behave (cold starts, outages, capacity that comes and goes) is in --models.
docs/simulation.md says what is modelled, and how well it agrees with live runs.`,
		Example: `  spillway simulate --trace usage.csv.zst --config examples/platform
  spillway simulate --trace azure2019/ --nodes 20 -o html > report.html
  spillway trace generate --preset mixed --days 7 --calls-per-day 100000 week.csv.zst
  spillway simulate --trace week.csv.zst -o json | jq .cost`,
		Args: cobra.NoArgs,
	}
	f.add(cmd.Flags())
	cmd.Flags().StringVar(&f.config, "config", "", "configuration `directory`; the default platform if not given")
	cmd.Flags().BoolVar(&f.functions, "functions", false, "with -o json: functions, too; with -o csv: functions in place of tenants")
	output := formatFlag(cmd, "table", "json", "csv", "html")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v, err := f.run(cmd.Context(), s)
		if err != nil {
			return err
		}
		return writeView(s.out, v, output.value)
	}
	cmd.AddCommand(newSimulateDiff(s), newSimulateFit(s))
	return cmd
}

func (f *simulateFlags) run(ctx context.Context, s streams) (*report.View, error) {
	t, err := f.open(ctx, f.config != "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.Close() }() // it was only read
	sc, err := f.scenario(t, f.config)
	if err != nil {
		return nil, err
	}
	r, err := replay(ctx, s, t, sc)
	if err != nil {
		return nil, err
	}
	return &report.View{Result: r, Functions: f.functions, Meta: f.meta(t, sc, f.config)}, nil
}

// meta is what reports say beside a result.
func (f *traceFlags) meta(t *opened, sc *scenario.Scenario, dir string) report.Meta {
	m := report.Meta{
		Version: thisBuild().Version, Command: strings.Join(append([]string{"spillway"}, os.Args[1:]...), " "),
		Trace: f.trace, Summary: t.summary, Skipped: t.Skipped(), PricesAt: t.prices.UTC().Truncate(24 * time.Hour), Seed: f.seed, Models: sc.Pools, Warnings: sc.Warnings,
	}
	if n := t.summary.CallsWithoutMemory; n > 0 {
		m.Warnings = append(m.Warnings, counted(int(n), "call")+" of functions whose memory the trace does not say: an instance is taken to have 128 MiB unless the configuration has the function")
	}
	if t.summary.Format == trace.LLM {
		m.Warnings = append(m.Warnings, "durations are an assumption: 0.06 ms for a token of the context and 30 ms for one that is generated")
	}
	if sc.Unknown > 0 && f.adopt == "" {
		m.Warnings = append([]string{fmt.Sprintf("%s of the trace are not in the configuration and left out; --adopt QUOTA takes their tenants in", counted(sc.Unknown, "function"))}, m.Warnings...)
	}
	if dir == "" {
		m.Platform = fmt.Sprintf("the default platform, sized by the trace: %s; 'spillway simulate --help' says how", counted(int(sc.Standard.Nodes), "owned server"))
	}
	return m
}

func writeView(w io.Writer, v *report.View, form string) error {
	switch form {
	case "json":
		return report.JSON(w, v)
	case "csv":
		if v.Functions {
			return report.FunctionsCSV(w, v)
		}
		return report.CSV(w, v)
	case "html":
		return report.HTML(w, v)
	}
	return report.Table(w, v)
}
