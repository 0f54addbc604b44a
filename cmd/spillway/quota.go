package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

func newQuota(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "What quota nodes hold, and requests for more",
		Long: `Show what quota nodes hold, borrow and have left, ask for other limits, and decide on
what was asked. A request is simulated on the team's own calls before it is decided.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQuotaShow(s), newQuotaRequest(s), newQuotaSimulate(s), newQuotaApprove(s), newQuotaDeny(s), newQuotaRevoke(s), newQuotaHistory(s))
	return cmd
}

// quotaNode is a node with those below it, and the requests for them.
type quotaNode struct {
	Quotas   []dispatcher.QuotaView `json:"quotas"`
	Requests []quotaRequestView     `json:"requests"`
}

func newQuotaShow(s streams) *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "show [QUOTA | REQUEST]",
		Short: "Show the quota tree as it is now, or one request",
		Long: `Show every node of the quota tree, children below their parents: what its calls
hold on-prem and in clouds, of how much, what of that is borrowed, how much room
is left before the node's own limit, and what its budgets have spent. Below it are
the requests that wait to be decided. A QUOTA shows only it and the nodes below;
the name of a REQUEST shows that.

Slots are shown, and CPU and memory where they are limited. A limit that was
lowered below what is in use shows more used than allowed until that has drained.`,
		Example: `  spillway quota show
  spillway quota show team
  spillway quota show qr-3
  spillway quota show -o json`,
		Args: atMostOne("a QUOTA or a REQUEST"),
	}
	adminFlag(cmd, &admin)
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		v, err := fromAdmin[dispatcher.View](cmd.Context(), admin, "v1", "quota")
		if err != nil {
			return err
		}
		requests, err := quotaRequests(cmd.Context(), admin)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return output.print(s.out, v.Quotas, func(w io.Writer) error {
				return errors.Join(printQuota(w, v.Quotas), printQuotaNotes(w, requests))
			})
		}
		n := nodeOf(v.Quotas, requests, args[0])
		if len(n.Quotas) > 0 {
			return output.print(s.out, n, func(w io.Writer) error { return errors.Join(printQuota(w, n.Quotas), printQuotaNotes(w, n.Requests)) })
		}
		for i := range requests {
			if requests[i].Metadata.Name == args[0] {
				return output.print(s.out, &requests[i], func(w io.Writer) error { return printQuotaRequest(w, &requests[i]) })
			}
		}
		return wrongInput("%q is neither a Quota nor a request; 'spillway quota show' and 'spillway quota history' list them", args[0])
	}
	return cmd
}

// nodeOf takes a node and those below it out of the tree; it has no parent then.
func nodeOf(all []dispatcher.QuotaView, requests []quotaRequestView, name string) quotaNode {
	n := quotaNode{Quotas: []dispatcher.QuotaView{}, Requests: []quotaRequestView{}}
	var take func(name, parent string)
	take = func(name, parent string) {
		q := find(all, name)
		if q == nil {
			return
		}
		node := *q
		node.Parent = parent
		n.Quotas = append(n.Quotas, node)
		n.Requests = append(n.Requests, slices.DeleteFunc(slices.Clone(requests), func(r quotaRequestView) bool { return r.Spec.Quota != name })...)
		for _, child := range all {
			if child.Parent == name {
				take(child.Name, name)
			}
		}
	}
	take(name, "")
	return n
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
		}{{"on-prem", q.OnPrem}, {"cloud", q.Cloud}, {"offline", q.Offline}} {
			if side.name == "offline" && !concernsJobs(side.use) {
				continue
			}
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

// concernsJobs reports that the offline half of a quota is limited or in use.
func concernsJobs(u dispatcher.UseView) bool {
	return u.Used > 0 || u.Limit >= 0 || u.MilliCPU != nil || u.MiB != nil
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
