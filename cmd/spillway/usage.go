package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/billing/sqlite"
	"github.com/spillway-dev/spillway/internal/safetext"
)

func newUsage(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "Write the calls of the ledger as a trace",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return wrongInput("usage needs to know what to do: 'spillway usage export' writes the calls of the ledger")
		},
	}
	cmd.AddCommand(newUsageExport(s))
	return cmd
}

type usageFlags struct {
	from, to, admin, data string
	namespaces            []string
	force                 bool
}

func newUsageExport(s streams) *cobra.Command {
	var f usageFlags
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the calls of the ledger as a trace that can be simulated",
		Long: `Write one row of CSV for each call in the ledger, in the order of admission: when
it came, which function, where it ran and why, how long it took, how long it
waited, and what it cost. A FILE that ends in .gz or .zst is packed; without one,
or with -, it goes to standard output.

Use it to ask 'spillway simulate' what last month would have been on other pools,
quotas or prices, and 'spillway simulate fit' how your pools really behave.

A row is the last attempt of its call; the amount is of all its attempts, so that
rows add up to the report. Estimates have the outcome unknown and no duration. The
ledger has no refused calls and none that are still running: they have no row.

  duration_us  of the function; empty if the outcome is not known
  init_us      cold start, 0 for none; empty where the pool did not say
  waited_us    from admission until the function was given the call, which on-prem
               includes a cold start; 0 if the pool did not say
  billed_ms    as billed, 0 for estimates; amount: exact, in currency`,
		Example: `  spillway usage export november.csv.zst --from 2026-11-01 --to 2026-12-01
  spillway usage export --namespace shop | head
  spillway usage export calls.csv.gz --data /var/lib/spillway   # server not needed
  spillway simulate --trace november.csv.zst --config next/`,
		Args: atMostOne("FILE"),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "calls admitted from this `time`, a day in UTC or RFC 3339; the first call if not given")
	flags.StringVar(&f.to, "to", "", "calls admitted before this `time`; now if not given")
	flags.StringArrayVar(&f.namespaces, "namespace", nil, "calls of this `namespace` only; may be repeated")
	flags.BoolVar(&f.force, "force", false, "replace FILE if it exists")
	flags.StringVar(&f.data, "data", "", "read the ledger in this `directory` and ask no server")
	adminFlag(cmd, &f.admin)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.data != "" && cmd.Flags().Changed("admin") {
			return wrongInput("--admin and --data exclude each other: say where to ask once")
		}
		file := "-"
		if len(args) == 1 {
			file = args[0]
		}
		return f.export(cmd.Context(), s, file)
	}
	return cmd
}

func (f *usageFlags) export(ctx context.Context, s streams, file string) error {
	filter, err := usageFilter(f.from, f.to, f.namespaces)
	if err != nil {
		return err
	}
	var calls atomic.Int64
	p := newPulse(s.err, "exporting", func() string { return several(int(calls.Load()), "call") })
	defer p.end()
	write := func(w io.Writer) error { return f.fromServer(ctx, w, &calls) }
	if f.data != "" {
		write = func(w io.Writer) error { return usageFromLedger(ctx, w, f.data, filter, &calls) }
	}
	if file == "-" {
		return write(s.out)
	}
	if err := writePacked(file, f.force, write); err != nil {
		return err
	}
	p.end()
	fmt.Fprintf(s.err, "%s in %s\n", several(int(calls.Load()), "call"), file)
	return nil
}

func usageFromLedger(ctx context.Context, w io.Writer, dir string, f sqlite.Filter, calls *atomic.Int64) (err error) {
	store, err := openForReading(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return exportUsage(ctx, w, store, f, calls)
}

// fromServer copies what the server writes. An answer that is cut off is an error.
func (f *usageFlags) fromServer(ctx context.Context, w io.Writer, calls *atomic.Int64) error {
	base, err := baseURL("--admin", f.admin)
	if err != nil {
		return err
	}
	at := base.JoinPath("v1", "usage")
	q := url.Values{"namespace": f.namespaces}
	for name, text := range map[string]string{"from": f.from, "to": f.to} {
		if t, err := moment("--"+name, text); err != nil {
			return err
		} else if !t.IsZero() {
			q.Set(name, t.Format(time.RFC3339Nano))
		}
	}
	at.RawQuery = q.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return wrongInput("--admin: %w", err)
	}
	resp, err := client.Do(r)
	if err != nil {
		return unreachable(r.URL, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // what it says is better than why it cannot be read
		return errors.New(safetext.Line(adminError(resp, body)))
	}
	calls.Store(-1) // the first line has the names of columns
	if _, err := io.Copy(io.MultiWriter(w, lineCounter{calls}), resp.Body); err != nil {
		return fmt.Errorf("the export of %s broke off: %w; the server's log may say why", at.Host, err)
	}
	return nil
}

// lineCounter counts lines that are written to it.
type lineCounter struct{ lines *atomic.Int64 }

func (c lineCounter) Write(text []byte) (int, error) {
	c.lines.Add(int64(bytes.Count(text, []byte{'\n'})))
	return len(text), nil
}
