package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// newQuotaDecision is one of approve, deny and revoke; action is its route.
func newQuotaDecision(s streams, use, action, short, long, example string) *cobra.Command {
	var c quotaCaller
	var comment string
	cmd := &cobra.Command{Use: use + " REQUEST", Short: short, Long: long, Example: example, Args: exactly("the name of a REQUEST, such as qr-1")}
	c.flags(cmd)
	cmd.Flags().StringVarP(&comment, "comment", "m", "", "why, in `words`, for the history; required")
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if strings.TrimSpace(comment) == "" {
			return wrongInput("--comment is required: the history says why")
		}
		view, err := c.post(cmd.Context(), quotaDecision{comment}, args[0], action)
		if err != nil {
			return err
		}
		return output.print(s.out, view, func(w io.Writer) error { return printQuotaRequest(w, view) })
	}
	return cmd
}

func newQuotaApprove(s streams) *cobra.Command {
	return newQuotaDecision(s, "approve", "approval", "Approve a quota request; its limits hold at once",
		`Approve a request that was simulated. The Quota has its limits at once, and after a
restart, until the request's end if it names one. Use it as one of the approvers that
the Quota, or the nearest one above it, names; whoever asked cannot approve.`,
		`  spillway quota approve qr-3 --comment "fits the plan" --token-file boss.token`)
}

func newQuotaDeny(s streams) *cobra.Command {
	return newQuotaDecision(s, "deny", "denial", "Deny a quota request, or take back your own",
		`Decide against a request. Use it as an approver, or as the one who asked, who takes
it back so.`,
		`  spillway quota deny qr-3 --comment "wait for the new nodes" --token-file boss.token`)
}

func newQuotaRevoke(s streams) *cobra.Command {
	return newQuotaDecision(s, "revoke", "revocation", "End an approved quota request; its limits go at once",
		`End an approval. The Quota has the limits that the configuration directory and other
approved requests give it. Calls in flight end; new ones meet the lower limit.`,
		`  spillway quota revoke qr-3 --comment "sale is over" --token-file boss.token`)
}

func newQuotaHistory(s streams) *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "history [QUOTA | REQUEST]",
		Short: "Who asked for quota, what it would have done, who decided and why",
		Long: `List what happened to quota requests: all, those of one Quota, or one. Use it to see
who gave a team its limits, when, what they were before, and on what numbers.`,
		Example: `  spillway quota history
  spillway quota history team -o yaml`,
		Args: atMostOne("a QUOTA or a REQUEST"),
	}
	adminFlag(cmd, &admin)
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		all, err := quotaRequests(cmd.Context(), admin)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			all = requestsFor(all, args[0])
			if len(all) == 0 {
				return wrongInput("there is no request %q, nor one for such a Quota", args[0])
			}
		}
		return output.print(s.out, all, func(w io.Writer) error { return printQuotaHistory(w, all) })
	}
	return cmd
}

func quotaRequests(ctx context.Context, admin string) ([]quotaRequestView, error) {
	list, err := fromAdmin[quotaRequestList](ctx, admin, "v1", "quota", "requests")
	if err != nil {
		return nil, err
	}
	return list.Requests, nil
}

// requestsFor are those of a Quota, or the one of that name.
func requestsFor(all []quotaRequestView, name string) []quotaRequestView {
	return slices.DeleteFunc(slices.Clone(all), func(r quotaRequestView) bool { return r.Spec.Quota != name && r.Metadata.Name != name })
}

// momentText is a time for people.
func momentText(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") }
