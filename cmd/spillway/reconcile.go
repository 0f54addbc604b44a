package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/ledger"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/internal/safetext"
)

type reconcileFlags struct {
	admin, config, data string
	ask                 reconcileAsk
}

func newReconcile(s streams) *cobra.Command {
	var f reconcileFlags
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Replace estimates by what the clouds' own logs say ran",
		Long: `Settle the cloud calls whose answer was lost. Each stands in the ledger as an
estimate, the most it could have cost, until this command reads in the cloud's own
log what ran: CloudWatch Logs for Lambda, the Cloud Log Service for SCF. A call
that ran is charged what it cost and its estimate reversed; one that never ran is
reversed. Both count where the call was admitted, and budgets follow at once.

Nothing is guessed. An estimate stays as it is while the log may still be behind
(--lag), while a call beside it is open, when executions that are not Spillway's
could be its own, and when the log lacks a call that is known to have run: then it
is kept too short, filtered, or another function's. What stays can be tried again.

The server does the work, with the credentials of its pools. They need for Lambda
lambda:GetFunctionConfiguration and logs:FilterLogEvents on /aws/lambda/NAME, for
SCF scf:GetFunction and cls:SearchLog. With --config DIR it is done here, on the
ledger of a server that does not run.

Use it every hour or night, and before a bill is sent. A second time changes
nothing. Exit codes: 0 done, 1 a log could not be used, 2 wrong input.`,
		Example: `  spillway reconcile --dry-run
  spillway reconcile --since 72h -o json
  spillway reconcile --config /etc/spillway      # no server runs`,
		Args: cobra.NoArgs,
	}
	adminFlag(cmd, &f.admin)
	flags := cmd.Flags()
	flags.DurationVar(&f.ask.since, "since", defaultSince, "how far back calls were admitted that are settled")
	flags.DurationVar(&f.ask.lag, "lag", defaultLag, "how long a cloud's log may be behind; younger estimates wait; 10m or more")
	flags.BoolVar(&f.ask.dryRun, "dry-run", false, "say what would be posted, and post nothing")
	flags.StringVar(&f.config, "config", "", "do it here, with this `directory` of the configuration, while no server runs")
	flags.StringVar(&f.data, "data", "", "with --config, the `directory` of the ledger; overrides the configuration")
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(cmd.Flags().Changed("admin")); err != nil {
			return err
		}
		said, err := f.settle(cmd.Context())
		if err != nil {
			return err
		}
		if err := output.print(s.out, said, func(w io.Writer) error { return said.print(w) }); err != nil {
			return err
		}
		if said.Problems > 0 {
			return errSaid
		}
		return nil
	}
	return cmd
}

func (f *reconcileFlags) check(adminGiven bool) error {
	switch {
	case f.config != "" && adminGiven:
		return wrongInput("--admin and --config exclude each other: either the server does it or this command")
	case f.data != "" && f.config == "":
		return wrongInput("--data needs --config, which says what functions are called in the clouds")
	}
	if err := f.ask.check(); err != nil {
		return wrongInput("--since, --lag: %w", err)
	}
	return nil
}

func (f *reconcileFlags) settle(ctx context.Context) (*reconciled, error) {
	if f.config != "" {
		return f.settleHere(ctx)
	}
	base, err := baseURL("--admin", f.admin)
	if err != nil {
		return nil, err
	}
	at := base.JoinPath("v1", "reconcile")
	at.RawQuery = url.Values(f.ask.query()).Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), nil)
	if err != nil {
		return nil, wrongInput("--admin: %w", err)
	}
	resp, body, err := exchange(r)
	if err != nil {
		return nil, err
	}
	var said reconciled
	switch {
	case resp.StatusCode == http.StatusBadRequest:
		return nil, wrongInput("%s", safetext.Line(adminError(resp, body)))
	case resp.StatusCode != http.StatusOK:
		return nil, errors.New(safetext.Line(adminError(resp, body)))
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, fmt.Errorf("read what %s answered: %w", at.Host, err)
	}
	return &said, nil
}

// settleHere opens the ledger itself, as a server would.
func (f *reconcileFlags) settleHere(ctx context.Context) (said *reconciled, err error) {
	loaded, err := loadConfig(f.config)
	if err == nil {
		loaded, err = f.dataOf(ctx, loaded)
	}
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(loaded.Server.DataDir, ledger.Options{})
	if err != nil {
		return nil, fmt.Errorf("%w; a server that runs does it without --config", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	r := reconciler{platform: loaded.Platform, ledger: l, open: openExecutionLog, posted: func([]billing.Entry) {}}
	return r.run(ctx, f.ask, time.Now().UTC())
}

// dataOf completes the configuration with what was deployed to its data directory,
// which must have a ledger.
func (f *reconcileFlags) dataOf(ctx context.Context, loaded *config.Loaded) (*config.Loaded, error) {
	if f.data != "" {
		dir, err := filepath.Abs(f.data)
		if err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
		loaded.Server.DataDir = dir
	}
	if _, err := os.Stat(filepath.Join(loaded.Server.DataDir, databaseFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, wrongInput("there is no ledger in %s; name the data directory that 'spillway up' said at start with --data", loaded.Server.DataDir)
	} else if err != nil {
		return nil, fmt.Errorf("find the ledger: %w", err)
	}
	return withDeployed(ctx, inDirectory(f.config), loaded)
}
