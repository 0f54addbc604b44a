package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/simulator/trace"
)

func newTrace(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Look into a trace of calls, or make one",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return wrongInput("trace needs to know what to do: 'spillway trace inspect PATH' or 'spillway trace generate PATH'")
		},
	}
	cmd.AddCommand(newTraceInspect(s), newTraceGenerate(s))
	return cmd
}

func newTraceInspect(s streams) *cobra.Command {
	var format, spread string
	var seed uint64
	cmd := &cobra.Command{
		Use:   "inspect PATH",
		Short: "Say what is in a trace, and what of it cannot be used",
		Long: `Read a whole trace, a file or a directory, plain or packed by gzip or zstd, and
say what is in it: functions, tenants, calls, peaks, durations, memory, and which
rows were skipped and why.

Use it before you simulate: a trace that is cut off, has gaps or is of another
format than you think shows here. A format is recognised by the columns:

  azure2019   Azure Functions 2019: counts per function and minute, with
              percentiles of durations and memory in files beside them
  invitro     the same with memory per function
  azure2021   Azure Functions 2021: a row a call, by its end
  llm         Azure LLM inference: a row an arrival
  usage       a row a call: 'spillway usage export' and 'spillway trace generate'
  huawei2023  a column a function; never tried on real files of its publisher

Where a trace counts calls by the minute, they are spread over it. Durations that
a trace only has percentiles of are drawn; the seed decides how.`,
		Example: `  spillway trace inspect november.csv.zst
  spillway trace inspect azurefunctions-dataset2019/
  spillway trace inspect mixed-directory/ --format azure2021 -o json`,
		Args: exactly("PATH"),
	}
	cmd.Flags().StringVar(&format, "format", "", "read only files of this `format`; recognised if not given")
	cmd.Flags().StringVar(&spread, "spread", trace.SpreadEven.String(), "how counted calls lie in their minute: even, random")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "`number` that drawn durations and places in the minute follow from")
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o := trace.Options{Format: trace.Format(format), Seed: seed}
		if format != "" && !slices.Contains(trace.Formats(), o.Format) {
			return wrongInput("--format: %q is not known; allowed: %s", format, joined(trace.Formats()))
		}
		if err := o.Spread.UnmarshalText([]byte(spread)); err != nil {
			return wrongInput("--spread: %w", err)
		}
		v, err := inspectTrace(cmd.Context(), s, args[0], o)
		if err != nil {
			return err
		}
		return output.print(s.out, v, v.print)
	}
	return cmd
}

func joined[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}

func inspectTrace(ctx context.Context, s streams, path string, o trace.Options) (*inspected, error) {
	p := newPulse(s.err, "reading", func() string { return path })
	defer p.end()
	t, err := trace.Open(ctx, path, o)
	if err != nil {
		return nil, traceError(err)
	}
	sum, err := trace.Inspect(ctx, t)
	if err = errors.Join(err, t.Close()); err != nil {
		return nil, traceError(err)
	}
	return inspectedOf(path, sum), nil
}

type generateFlags struct {
	trace.Workload
	preset, start, form string
	force               bool
}

func newTraceGenerate(s streams) *cobra.Command {
	var f generateFlags
	cmd := &cobra.Command{
		Use:   "generate PATH",
		Short: "Make a synthetic trace with daily and weekly seasons",
		Long: `Make a trace from a preset and a seed. The same flags give the same bytes.

Use it where there is no trace yet, for demos, and to ask what growth would do.

  online      pages and back ends: a daily season, short calls, quiet week-ends
  nearline    data work that may wait: batches, long calls
  inspection  timed, every 1 to 60 minutes, each run a fan of calls
  settlement  bills: every night, and twenty times that at the end of a month
  mixed       all of these, each with tenants of its own

With --form usage PATH is a file, packed if its name ends in .gz or .zst, and its
rows are as 'spillway usage export' writes them. With --form azure2019 it is a new
directory with a file for each day, counts by the minute, from 2019-07-15 on.`,
		Example: `  spillway trace generate week.csv.zst
  spillway trace generate --preset settlement --days 60 --start 2026-01-01 bills.csv.gz
  spillway trace generate --form azure2019 --functions 1000 --tenants 50 --calls-per-day 10000000 big/
  spillway simulate --trace week.csv.zst`,
		Args: exactly("PATH"),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.preset, "preset", string(trace.Mixed), "kind of `workload`: "+joined(trace.Presets()))
	flags.IntVar(&f.Days, "days", 7, "`number` of days, 1 to 3660")
	flags.IntVar(&f.Functions, "functions", 0, "`number` of functions; the preset's if not given")
	flags.IntVar(&f.Tenants, "tenants", 0, "`number` of tenants, at most one for each function; the preset's if not given")
	flags.Int64Var(&f.CallsPerDay, "calls-per-day", 0, "`number` of calls of a working day, about; small numbers are exceeded, since timed work is called anyway. The preset's if not given")
	flags.StringVar(&f.start, "start", "", "first `day`, or full hour in RFC 3339; Monday 2026-01-05 if not given")
	flags.Uint64Var(&f.Seed, "seed", 1, "`number` that all choices follow from")
	flags.StringVar(&f.form, "form", string(trace.Usage), "what to write: usage, azure2019")
	flags.BoolVar(&f.force, "force", false, "replace PATH if it is a trace of the same form")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return f.generate(cmd.Context(), s, args[0]) }
	return cmd
}

func (f *generateFlags) generate(ctx context.Context, s streams, path string) error {
	if err := f.read(); err != nil {
		return err
	}
	if path == "-" {
		return wrongInput("a trace is read more than once, so it is written to a file; name one")
	}
	form := trace.Format(f.form)
	switch form {
	case trace.Usage:
		if err := mayWrite(path, f.force); err != nil {
			return err
		}
	case trace.Azure2019:
		if err := clearTrace(path, f.force); err != nil {
			return err
		}
	default:
		return wrongInput("--form: %q; allowed: usage, azure2019", f.form)
	}
	p := newProgress(s.err, "generating")
	defer p.end()
	whole := time.Duration(f.Days) * 24 * time.Hour
	f.Progress = func(at time.Duration) {
		p.at(float64(at)/float64(whole), fmt.Sprintf("day %d of %d", min(int(at/(24*time.Hour))+1, f.Days), f.Days))
	}
	if err := trace.Generate(ctx, path, form, f.Workload); err != nil {
		return traceError(err)
	}
	p.end()
	_, err := fmt.Fprintf(s.out, "wrote %s; 'spillway trace inspect %[1]s' says what is in it\n", path)
	return err
}

// read checks what the flags say together.
func (f *generateFlags) read() (err error) {
	f.Preset = trace.Preset(f.preset)
	if f.Workload.Start, err = moment("--start", f.start); err != nil {
		return err
	}
	if f.form == string(trace.Azure2019) && f.start != "" {
		return wrongInput("--start: the form azure2019 has no dates; leave it out or write --form usage")
	}
	if _, err := trace.New(f.Workload); err != nil {
		return wrongInput("%w", err)
	}
	return nil
}

// clearTrace makes room for a directory. Only one that holds nothing but what
// generate writes is taken away, and that by force.
func clearTrace(path string, force bool) error {
	found, err := os.ReadDir(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return wrongInput("--form azure2019 writes a new directory: %w", err)
	case !force:
		return wrongInput("%s exists; --force replaces it if it is such a trace", path)
	}
	for _, e := range found {
		if !e.Type().IsRegular() || !writtenByGenerate(e.Name()) {
			return wrongInput("%s holds %s, which is no part of a generated trace; name another directory", path, e.Name())
		}
	}
	return os.RemoveAll(path)
}

func writtenByGenerate(name string) bool {
	return name == "function_durations.csv.gz" || name == "app_memory.csv.gz" ||
		strings.HasPrefix(name, "invocations_per_function.d") && strings.HasSuffix(name, ".csv.gz")
}
