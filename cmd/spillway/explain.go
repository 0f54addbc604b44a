package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/internal/safetext"
)

type explainFlags struct{ admin, data string }

func newExplain(s streams) *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain INVOCATION",
		Short: "Say why a call went where it went, or was refused",
		Long: `Tell the story of one call: which pools were permitted, which were not and why,
the exact limit that decided, the quota path, the policy, waits, attempts, price.

Use it with the id that invoke --explain, the X-Spillway-Invocation header, a
refusal or a bill named, or with the UID of a Job's pod on idle capacity (that of the
pod itself, not of its guest). Refusals, overflows and unknown outcomes are kept for 7
days, the last 100,000 other calls while the server runs; older ids are answered
from their ledger lines.`,
		Example: `  spillway explain 0199f0c2-7c1a-7d3e-9c55-1f2e3d4c5b6a
  spillway explain 0199f0c2-7c1a-7d3e-9c55-1f2e3d4c5b6a -o yaml
  spillway explain 0199f0c2-7c1a-7d3e-9c55-1f2e3d4c5b6a --data /var/lib/spillway   # server not needed`,
		Args: exactly("INVOCATION"),
	}
	cmd.Flags().StringVar(&f.admin, "admin", envOr("SPILLWAY_ADMIN", defaultAdmin), "`URL` of the server's admin port; default from SPILLWAY_ADMIN")
	cmd.Flags().StringVar(&f.data, "data", "", "read the ledger in this `directory` and ask no server")
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.data != "" && cmd.Flags().Changed("admin") {
			return wrongInput("--admin and --data exclude each other: say where to ask once")
		}
		text, err := f.find(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return output.print(s.out, text, func(w io.Writer) error { return printExplanation(w, text) })
	}
	return cmd
}

// find returns the explanation of id as JSON.
func (f *explainFlags) find(ctx context.Context, id string) (json.RawMessage, error) {
	if _, err := uuid.Parse(id); err != nil {
		return nil, wrongInput("%q is neither a call's id nor a pod's UID; allowed: a call's id, such as 0199f0c2-7c1a-7d3e-9c55-1f2e3d4c5b6a, or the UID of a Job's pod", id)
	}
	if f.data != "" {
		return explainFromLedger(ctx, f.data, id)
	}
	base, err := baseURL("--admin", f.admin)
	if err != nil {
		return nil, err
	}
	text, err := ask(ctx, base.JoinPath("v1", "explain", url.PathEscape(id)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return text, nil
}

// ask gets JSON from the admin port.
func ask(ctx context.Context, at *url.URL) (json.RawMessage, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, wrongInput("--admin: %w", err)
	}
	resp, body, err := exchange(r)
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusOK && json.Valid(body):
		return body, nil
	case resp.StatusCode == http.StatusOK:
		return nil, fmt.Errorf("%s answered no JSON; is it the admin port of a Spillway server?", at.Host)
	}
	return nil, fmt.Errorf("%s", safetext.Line(adminError(resp, body)))
}

// adminError is what the admin port says is wrong.
func adminError(resp *http.Response, body []byte) string {
	var said struct{ Error struct{ Message string } }
	if json.Unmarshal(body, &said) == nil && said.Error.Message != "" {
		return said.Error.Message
	}
	if resp.Header.Get("X-Amzn-Errortype") != "" {
		return "this is the front door; --admin wants the admin port, which 'spillway up' said at start"
	}
	return "the admin port answered " + resp.Status
}

// printExplanation writes the account of one call for people.
func printExplanation(w io.Writer, text json.RawMessage) error {
	var x dispatcher.Explanation
	if err := json.Unmarshal(text, &x); err != nil {
		return fmt.Errorf("read the explanation: %w", err)
	}
	facts := [][]string{{"call", x.Invocation}, {"function", x.Function + ", revision " + x.Revision}}
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, []string{name, value})
		}
	}
	add("caller", x.Caller)
	add("admitted", x.Admitted.Format(time.RFC3339Nano))
	add("outcome", outcomeLine(&x))
	if x.Limit != nil {
		add("because of", x.Limit.Reads)
	}
	if x.WaitedMs > 0 {
		add("waited", fmt.Sprintf("%.1f ms for a place", x.WaitedMs))
	}
	add("department", x.Department)
	add("quota path", strings.Join(x.QuotaPath, " < "))
	add("policy", policyLine(x.Policy))
	add("note", x.Note)
	if err := table(w, facts); err != nil {
		return err
	}
	if err := printPools(w, x.Pools); err != nil {
		return err
	}
	return printAttempts(w, x.Attempts, x.Currency)
}

func outcomeLine(x *dispatcher.Explanation) string {
	switch {
	case x.Outcome == "refused":
		return "refused: " + x.Reason.String()
	case x.Pool == "":
		return x.Outcome
	}
	return fmt.Sprintf("%s on %s (%s)", x.Outcome, x.Pool, x.Reason)
}

func policyLine(p dispatcher.PolicyText) string {
	if p.Failed != "" {
		return "failed, so nothing was permitted: " + p.Failed
	}
	if p.Revision == "" {
		return ""
	}
	return fmt.Sprintf("revision %s, verdict %s", shortDigest(p.Revision), p.Verdict)
}

func printPools(w io.Writer, pools []dispatcher.PoolText) error {
	if len(pools) == 0 {
		return nil
	}
	rows := [][]string{{"POOL", "PERMITTED", "NOT USED BECAUSE"}}
	for _, p := range pools {
		why := p.Filter
		if p.Detail != "" {
			why += ": " + p.Detail
		}
		rows = append(rows, []string{p.Name, yesNo(p.Permitted), why})
	}
	fmt.Fprintln(w)
	return table(w, rows)
}

func printAttempts(w io.Writer, attempts []dispatcher.AttemptText, currency string) error {
	if len(attempts) == 0 {
		return nil
	}
	rows := [][]string{{"ATTEMPT", "POOL", "REASON", "OUTCOME", "TIME", "BILLED"}}
	var notes [][]string
	for _, a := range attempts {
		detail := strings.Trim(a.Cause+": "+a.Detail, ": ")
		if a.Cold {
			detail = strings.TrimSpace(fmt.Sprintf("cold start %.1f ms %s", a.InitMs, detail))
		}
		rows = append(rows, []string{fmt.Sprint(a.Attempt), a.Pool, a.Reason.String(), a.Outcome,
			orUnknown(a.DurationMs > 0, fmt.Sprintf("%.1f ms", a.DurationMs)), orUnknown(a.BilledMs > 0, fmt.Sprintf("%d ms", a.BilledMs))})
		for _, note := range [][2]string{{"cost", costLine(&a, currency)}, {"price", a.PriceVersion}, {"detail", detail}} {
			if note[1] != "" {
				notes = append(notes, []string{fmt.Sprint(a.Attempt), note[0], note[1]})
			}
		}
	}
	fmt.Fprintln(w)
	if err := table(w, rows); err != nil || len(notes) == 0 {
		return err
	}
	fmt.Fprintln(w)
	return table(w, append([][]string{{"ATTEMPT", "FACT", "VALUE"}}, notes...))
}

// orUnknown is text where there is something to say.
func orUnknown(known bool, text string) string {
	if !known {
		return "-"
	}
	return text
}

// costLine is the exact cost if the ledger told it, else what the Engine booked.
func costLine(a *dispatcher.AttemptText, currency string) string {
	cost := a.Cost
	if cost == "" {
		cost = a.Settled
	}
	if cost == "" {
		return ""
	}
	if a.Reserved != "" {
		cost += " of " + a.Reserved + " reserved"
	}
	return cost + " " + currency
}
