package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

func newQuota(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "What quota nodes hold, borrow and have left",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQuotaShow(s))
	return cmd
}

func newQuotaShow(s streams) *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the quota tree as it is now",
		Long: `Show every node of the quota tree, children below their parents: what its calls
hold on-prem and in clouds, of how much, what of that is borrowed, how much room
is left before the node's own limit, and what its budgets have spent.

Slots are shown, and CPU and memory where they are limited. A limit that was
lowered below what is in use shows more used than allowed until that has drained.`,
		Example: `  spillway quota show
  spillway quota show -o json`,
		Args: cobra.NoArgs,
	}
	adminFlag(cmd, &admin)
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v, err := fromAdmin[dispatcher.View](cmd.Context(), admin, "v1", "quota")
		if err != nil {
			return err
		}
		return output.print(s.out, v.Quotas, func(w io.Writer) error { return printQuota(w, v.Quotas) })
	}
	return cmd
}

func printQuota(w io.Writer, all []dispatcher.QuotaView) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "there is no quota: calls are limited by the pools only, and nothing may be spent")
		return err
	}
	rows := [][]string{{"QUOTA", "", "USED", "OF", "BORROWED", "KEEPS", "ROOM"}}
	for _, name := range inTree(all) {
		q := find(all, name.name)
		label := strings.Repeat("  ", name.depth) + q.Name
		for _, side := range []struct {
			name string
			use  dispatcher.UseView
		}{{"on-prem", q.OnPrem}, {"cloud", q.Cloud}} {
			for _, d := range []struct {
				unit string
				use  *dispatcher.UseView
			}{{"slots", &side.use}, {"mCPU", side.use.MilliCPU}, {"MiB", side.use.MiB}} {
				if d.use == nil {
					continue
				}
				rows = append(rows, []string{label, side.name + " " + d.unit, fmt.Sprint(d.use.Used), unlimited(d.use.Limit),
					orDashZero(d.use.Borrowed), orDashZero(d.use.Keeps), unlimited(d.use.MayTake)})
				label = ""
			}
		}
	}
	if err := table(w, rows); err != nil {
		return err
	}
	return printBudgets(w, all)
}

func printBudgets(w io.Writer, all []dispatcher.QuotaView) error {
	rows := [][]string{{"BUDGET", "PER", "SPENT", "RESERVED", "OF", ""}}
	for _, name := range inTree(all) {
		q := find(all, name.name)
		for _, b := range q.Budgets {
			rows = append(rows, []string{q.Name, b.Window, b.Spent.String(), b.Reserved.String(), b.Limit.String(), percentOf(b.Spent+b.Reserved, b.Limit)})
		}
	}
	if len(rows) == 1 {
		return nil
	}
	fmt.Fprintln(w)
	return table(w, rows)
}

type nodeAt struct {
	name  string
	depth int
}

// inTree lists nodes with children after their parents.
func inTree(all []dispatcher.QuotaView) []nodeAt {
	var order []nodeAt
	var below func(parent string, depth int)
	below = func(parent string, depth int) {
		for _, q := range all {
			if q.Parent == parent {
				order = append(order, nodeAt{q.Name, depth})
				below(q.Name, depth+1)
			}
		}
	}
	below("", 0)
	return order
}

func find(all []dispatcher.QuotaView, name string) *dispatcher.QuotaView {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

func unlimited(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func orDashZero(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// percentOf is part of whole in whole percent, rounded down.
func percentOf(part, whole spillway.Nano) string {
	if whole <= 0 {
		return "100%"
	}
	return fmt.Sprintf("%d%%", int64(float64(part)/float64(whole)*100))
}
