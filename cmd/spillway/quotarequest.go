package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/internal/safetext"
)

// quotaCaller is which server is asked, and as whom.
type quotaCaller struct{ admin, tokenFile string }

func (c *quotaCaller) flags(cmd *cobra.Command) {
	adminFlag(cmd, &c.admin)
	cmd.Flags().StringVar(&c.tokenFile, "token-file", os.Getenv("SPILLWAY_TOKEN_FILE"), "`file` with your bearer token, which says who you are; default from SPILLWAY_TOKEN_FILE")
}

// send makes a request of the admin port; the caller closes its answer. What the
// server refuses is an error.
func (c *quotaCaller) send(ctx context.Context, query string, body io.Reader, path ...string) (*http.Response, error) {
	base, err := baseURL("--admin", c.admin)
	if err != nil {
		return nil, err
	}
	token, err := bearer(c.tokenFile)
	if err != nil {
		return nil, err
	}
	at := base.JoinPath(append([]string{"v1", "quota", "requests"}, path...)...)
	at.RawQuery = query
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), body)
	if err != nil {
		return nil, wrongInput("--admin: %w", err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, unreachable(r.URL, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", at.Host, err)
	}
	return nil, quotaRefused(resp.StatusCode, adminError(resp, text))
}

// quotaRefused is what the server says is wrong: the input, or something else.
func quotaRefused(status int, message string) error {
	if status == http.StatusUnprocessableEntity || status == http.StatusNotFound {
		return wrongInput("%s", safetext.Lines(message))
	}
	return fmt.Errorf("%s", safetext.Lines(message))
}

// post sends v and returns the request as it is then.
func (c *quotaCaller) post(ctx context.Context, v any, path ...string) (*quotaRequestView, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	resp, err := c.send(ctx, "", bytes.NewReader(body), path...)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	view := &quotaRequestView{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(view); err != nil {
		return nil, fmt.Errorf("read what the server answered: %w", err)
	}
	return view, nil
}

func newQuotaRequest(s streams) *cobra.Command {
	var c quotaCaller
	var f quotaLimitFlags
	var calls quotaCallsFlags
	cmd := &cobra.Command{
		Use:   "request QUOTA",
		Short: "Ask for other limits of a quota node, and see what they would do",
		Long: `Ask for other limits of a Quota. What no flag names stays as it is. The server
replays the team's own calls, of the last days from its ledger or of --trace, with
the present limits and with those asked for, and says how long calls would wait,
what bursts would cost, and how many would overflow or be refused. Then one of the
Quota's approvers decides.

Calls that were refused are not in the ledger: a team that is refused much brings a
trace ('spillway trace generate' makes one). Other teams' calls are not replayed.`,
		Example: `  spillway quota request team --on-prem-slots 8 --reason "sale in December"
  spillway quota request team --cloud-slots 50 --budget month=5000 --currency CNY --until 2027-01-01 --reason "sale"
  spillway quota request team --on-prem-memory 16Gi --trace december.csv --reason "new service"`,
		Args: exactly("the name of a QUOTA"),
	}
	c.flags(cmd)
	f.onPrem.flags(cmd, "on-prem", "on-prem")
	f.cloud.flags(cmd, "cloud", "in clouds")
	flags := cmd.Flags()
	flags.StringToStringVar(&f.budgets, "budget", nil, "money for a `WINDOW=AMOUNT`, of hour, day and month")
	flags.StringVar(&f.currency, "currency", "", "`code` of the budgets, such as CNY; as the Quota's budget if not given")
	flags.StringVar(&f.until, "until", "", "`time` at which the limits end by themselves, as 2027-01-01 (UTC) or RFC 3339")
	flags.StringVar(&f.reason, "reason", "", "what it is for, in `words`; required")
	calls.flags(cmd)
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		spec, err := f.spec(args[0])
		if err != nil {
			return err
		}
		trace, err := calls.open()
		if err != nil {
			return err
		}
		defer trace.Close()
		view, err := c.post(cmd.Context(), spec)
		if err != nil {
			return err
		}
		name := view.Metadata.Name
		if view, err = c.simulate(cmd.Context(), s.err, name, &calls, trace); err != nil {
			return fmt.Errorf("%s is asked for, but was not simulated: %w\nrun 'spillway quota simulate %s' with other --days or a --trace", name, err, name)
		}
		return output.print(s.out, view, func(w io.Writer) error { return printQuotaRequest(w, view) })
	}
	return cmd
}

// simulate has the server simulate a request, and says how far it is.
func (c *quotaCaller) simulate(ctx context.Context, w io.Writer, name string, f *quotaCallsFlags, calls io.Reader) (*quotaRequestView, error) {
	resp, err := c.send(ctx, "days="+strconv.Itoa(cmp.Or(f.days, defaultTraceDays)), calls, name, "simulation")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	bar := newProgress(w, "simulate "+name)
	defer bar.end()
	for lines := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)); ; {
		var p quotaPulse
		switch err := lines.Decode(&p); {
		case errors.Is(err, io.EOF):
			return nil, errors.New("the server ended the simulation without a word; its log says more")
		case err != nil:
			return nil, fmt.Errorf("read what the server answered: %w", err)
		case p.Error != "":
			return nil, quotaRefused(p.Status, p.Error)
		case p.Request != nil:
			return p.Request, nil
		}
		bar.at(p.Share, p.Doing)
	}
}

func newQuotaSimulate(s streams) *cobra.Command {
	var c quotaCaller
	var calls quotaCallsFlags
	cmd := &cobra.Command{
		Use:   "simulate REQUEST",
		Short: "Simulate a quota request again, on other calls or a changed configuration",
		Long: `Replay the team's own calls again with the present limits and with those that an
undecided request asks for. Use it when a request could not be simulated, when the
Quota has changed since, or to look at other days or at a trace.`,
		Example: `  spillway quota simulate qr-3 --days 30
  spillway quota simulate qr-3 --trace december.csv`,
		Args: exactly("the name of a REQUEST, such as qr-1"),
	}
	c.flags(cmd)
	calls.flags(cmd)
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		trace, err := calls.open()
		if err != nil {
			return err
		}
		defer trace.Close()
		view, err := c.simulate(cmd.Context(), s.err, args[0], &calls, trace)
		if err != nil {
			return err
		}
		return output.print(s.out, view, func(w io.Writer) error { return printQuotaRequest(w, view) })
	}
	return cmd
}
