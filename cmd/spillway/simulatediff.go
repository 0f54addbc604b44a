package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/report"
)

func newSimulateDiff(s streams) *cobra.Command {
	var f traceFlags
	cmd := &cobra.Command{
		Use:   "diff A B --trace PATH",
		Short: "Replay one trace on two configurations and say what changes for whom",
		Long: `Replay one trace on the configuration directories A and B and say what changes from
A to B: for whom, in calls, waits and money. Use it before a change of quotas,
burst policies, prices or Rego goes live.`,
		Example: `  spillway simulate diff conf conf.next --trace usage.csv.zst
  spillway simulate diff conf conf.next --trace usage.csv.zst -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return wrongInput("needs two configuration directories, before and after; there are %d arguments", len(args))
			}
			return nil
		},
	}
	f.add(cmd.Flags())
	output := formatFlag(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := f.compare(cmd.Context(), s, args[0], args[1])
		if err != nil {
			return err
		}
		if output.value == "json" {
			return d.JSON(s.out, args[0], args[1])
		}
		return d.Table(s.out, args[0], args[1])
	}
	return cmd
}

// compare replays the trace on both directories.
func (f *traceFlags) compare(ctx context.Context, s streams, before, after string) (*report.Difference, error) {
	if f.nodes != 0 || f.concurrency != 0 {
		return nil, wrongInput("--nodes and --concurrency are of the default platform; a comparison has directories")
	}
	t, err := f.open(ctx, true)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.Close() }() // it was only read
	var both [2]*simulator.Result
	var beside [2]report.Meta
	for i, dir := range []string{before, after} {
		sc, err := f.scenario(t, dir)
		if err == nil {
			both[i], err = replay(ctx, s, t, sc)
		}
		if err != nil {
			return nil, err
		}
		beside[i] = f.meta(t, sc, dir)
	}
	d, err := report.Diff(both[0], both[1])
	if err == nil {
		d.Beside(&beside[0], &beside[1])
	}
	return d, err
}
