package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/dispatcher"
)

func newBurst(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "burst",
		Short: "Whether calls may overflow to clouds now, and what would have",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBurstShow(s))
	return cmd
}

func newBurstShow(s streams) *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show every burst policy as it is now",
		Long: `Show what each burst policy does with a call that would overflow now: open,
closed (hysteresis: on-prem has not been full for long enough), outside_windows,
kill_switch, shadow, or on_prem_only. Then what it has in clouds, its share and
spend, and for shadow mode how many calls would have gone to a cloud since the
mode was switched on, and what they would have cost.

To stop bursting at once set killSwitch: true in the BurstPolicy: the server sees
the change by itself, and what is in a cloud already may end.`,
		Example: `  spillway burst show
  spillway burst show -o json`,
		Args: cobra.NoArgs,
	}
	adminFlag(cmd, &admin)
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v, err := fromAdmin[dispatcher.View](cmd.Context(), admin, "v1", "quota")
		if err != nil {
			return err
		}
		return output.print(s.out, v.Bursts, func(w io.Writer) error { return printBursts(w, v) })
	}
	return cmd
}

func printBursts(w io.Writer, v *dispatcher.View) error {
	rows := [][]string{{"POLICY", "STATE", "IN CLOUDS", "OF", "SHARE", "SPENT", "OF"}}
	shadows := [][]string{{"IN SHADOW MODE", "WOULD HAVE BURST", "OF THEM REFUSED", "WOULD HAVE COST"}}
	for _, b := range v.Bursts {
		row := []string{b.Name, b.State, fmt.Sprint(b.InFlight), unlimited(b.MaxInFlight), "-", "-", "-"}
		if b.SharePercent != nil {
			row[4] = fmt.Sprintf("%d%% of %d%%", *b.SharePercent, *b.ShareLimit)
		}
		for _, spend := range b.Spend {
			row[5], row[6] = (spend.Spent + spend.Reserved).String(), spend.Limit.String()+" per "+spend.Window
		}
		rows = append(rows, row)
		if b.Shadow != nil {
			shadows = append(shadows, []string{b.Name, fmt.Sprint(b.Shadow.Calls), fmt.Sprint(b.Shadow.Refused), b.Shadow.Cost.String()})
		}
	}
	if err := table(w, rows); err != nil {
		return err
	}
	if len(shadows) > 1 {
		fmt.Fprintln(w)
		if err := table(w, shadows); err != nil {
			return err
		}
	}
	return printKeptAway(w, v.Pools)
}

// printKeptAway names clouds that calls are kept away from.
func printKeptAway(w io.Writer, pools []dispatcher.PoolView) error {
	for _, p := range pools {
		if p.Breaker {
			if _, err := fmt.Fprintf(w, "\npool %s failed too often and is left alone for a while\n", p.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
