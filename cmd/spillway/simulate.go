package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/scenario"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// simulateFlags are what runs of a trace have in common.
type simulateFlags struct {
	trace, format, config, adopt, pricesAt string
	seed                                   uint64
	warm                                   bool
	step                                   time.Duration
}

func newSimulate(s streams) *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use:   "simulate --trace PATH",
		Short: "Replay a trace and say what would have happened and what it would have cost",
		Args:  cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.trace, "trace", "", "`path` of a trace: a file or a directory")
	flags.StringVar(&f.format, "format", "", "`form` of the trace; recognised if not given")
	flags.StringVar(&f.config, "config", "", "configuration `directory`")
	flags.StringVar(&f.adopt, "adopt", "", "`Quota` below which tenants come that the configuration does not know")
	flags.StringVar(&f.pricesAt, "prices-at", "", "`date` whose prices hold, such as 2026-11-01; today if not given")
	flags.Uint64Var(&f.seed, "seed", 1, "`number` that random choices follow from")
	flags.BoolVar(&f.warm, "warm", false, "model no instances: no cold starts on-prem, nothing kept")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		t, err := trace.Open(cmd.Context(), f.trace, trace.Options{Format: trace.Format(f.format), Seed: f.seed})
		if err != nil {
			return err
		}
		defer t.Close()
		sum, err := trace.Inspect(cmd.Context(), t)
		if err != nil {
			return err
		}
		sc, err := scenario.Load(t, scenario.Options{Dir: f.config, Standard: scenario.StandardFor(sum), Adopt: f.adopt, PricesAt: time.Now(), Seed: f.seed, Warm: f.warm, Step: f.step, Policy: policyFaults})
		if err != nil {
			return err
		}
		began := time.Now()
		r, err := simulator.Run(cmd.Context(), sc.Config)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%d calls: %d placed, %d refused, %d skipped in %s\n", r.Calls, r.Placed, r.Refused, r.Skipped, time.Since(began))
		for i, p := range r.Pools {
			fmt.Fprintf(s.out, "%s %d cold %d throttled %d lost %d cost %s owned %s held %.0f busy %.0f peak %v\n", r.Platform.Pools[i].Name, p.Executed, p.Cold, p.Throttled, p.Lost, p.Cost.String(), p.Owned.String(), p.HeldGiBHours, p.BusyGiBHours, p.Peak)
		}
		for i, n := range r.Reasons {
			if n > 0 {
				fmt.Fprintln(s.out, i, n)
			}
		}
		fmt.Fprintln(s.out, r.Waits.Quantile(.5), r.Waits.Quantile(.95), r.Waits.Quantile(.99), r.Waits.Max())
		return nil
	}
	return cmd
}
