package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// newQuotaDecision is one of approve, deny and revoke; action is its route. about, if
// given, completes what is sent for a request.
func newQuotaDecision(s streams, use, action, short, long, example string, about func(context.Context, *quotaCaller, string, *quotaDecision) error) *cobra.Command {
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
		decision := quotaDecision{Comment: comment}
		if about != nil {
			if err := about(cmd.Context(), &c, args[0], &decision); err != nil {
				return err
			}
		}
		view, err := c.post(cmd.Context(), decision, args[0], action)
		if err != nil {
			return err
		}
		return output.print(s.out, view, func(w io.Writer) error { return printQuotaRequest(w, view) })
	}
	return cmd
}

func newQuotaApprove(s streams) *cobra.Command {
	var report string
	cmd := newQuotaDecision(s, "approve", "approval", "Approve a quota request; its limits hold at once",
		`Approve a request that was simulated. The Quota has its limits at once, and after a
restart, until the request's end if it names one. Use it as one of the approvers that
the Quota, or the nearest one above it, names; whoever asked cannot approve.

With --report it counts only if the numbers are still those that you looked at: a
request may be simulated again, on other calls, until it is decided. Without, it
counts on the latest ones, which are shown.`,
		`  spillway quota approve qr-3 --report 9f86d081884c --comment "fits the plan" --token-file boss.token`,
		func(ctx context.Context, c *quotaCaller, name string, d *quotaDecision) (err error) {
			d.Report, err = c.latestReport(ctx, name, report)
			return err
		})
	cmd.Flags().StringVar(&report, "report", "", fmt.Sprintf("`digest` of the report that you looked at, as 'spillway quota show' has it; %d digits do", shortReport))
	return cmd
}

// shortReport is how many digits of a report's digest are enough to tell it.
const shortReport = 12

// latestReport is the report of a request, which looked, if given, must be the
// beginning of; empty if there is none, of which the server says more.
func (c *quotaCaller) latestReport(ctx context.Context, name, looked string) (string, error) {
	looked = strings.TrimPrefix(looked, "sha256:")
	if looked != "" && len(looked) < shortReport {
		return "", wrongInput("--report: %q is too short; allowed: at least %d digits", looked, shortReport)
	}
	view, err := fromAdmin[quotaRequestView](ctx, c.admin, "v1", "quota", "requests", name)
	if err != nil || view.Status.Simulation == nil {
		return "", nil
	}
	latest := view.Status.Simulation.Report
	if !strings.HasPrefix(latest, "sha256:"+looked) {
		return "", wrongInput("--report: the report of %s is %s now; look at it with 'spillway quota show %s'", view.Metadata.Name, latest, view.Metadata.Name)
	}
	return latest, nil
}

func newQuotaDeny(s streams) *cobra.Command {
	return newQuotaDecision(s, "deny", "denial", "Deny a quota request, or take back your own",
		`Decide against a request. Use it as an approver, or as the one who asked, who takes
it back so.`,
		`  spillway quota deny qr-3 --comment "wait for the new nodes" --token-file boss.token`, nil)
}

func newQuotaRevoke(s streams) *cobra.Command {
	return newQuotaDecision(s, "revoke", "revocation", "End an approved quota request; its limits go at once",
		`End an approval. The Quota has the limits that the configuration directory and other
approved requests give it. Calls in flight end; new ones meet the lower limit.`,
		`  spillway quota revoke qr-3 --comment "sale is over" --token-file boss.token`, nil)
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

// quotaRequests are all, which the server gives in several answers if they are many.
func quotaRequests(ctx context.Context, admin string) ([]quotaRequestView, error) {
	base, err := baseURL("--admin", admin)
	if err != nil {
		return nil, err
	}
	at := base.JoinPath("v1", "quota", "requests")
	for all := []quotaRequestView{}; ; {
		at.RawQuery = "skip=" + strconv.Itoa(len(all))
		text, err := ask(ctx, at)
		if err != nil {
			return nil, err
		}
		var list quotaRequestList
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, fmt.Errorf("read what %s answered: %w", base.Host, err)
		}
		if all = append(all, list.Requests...); !list.More || len(list.Requests) == 0 {
			return all, nil
		}
	}
}

// requestsFor are those of a Quota, or the one of that name.
func requestsFor(all []quotaRequestView, name string) []quotaRequestView {
	return slices.DeleteFunc(slices.Clone(all), func(r quotaRequestView) bool { return r.Spec.Quota != name && r.Metadata.Name != name })
}

// momentText is a time for people.
func momentText(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") }
