package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/internal/safetext"
)

type reportFlags struct{ by, from, to, admin, data string }

func newReport(s streams) *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Say what was spent, by whom and why",
		Long: `Add up the ledger: what the calls of each department, namespace, function or pool
cost, why they ran where they ran, what is only estimated because its outcome is
unknown, and what owned machines cost that nobody used.

Use it for showback and chargeback. The total is the exact sum of the lines and
estimates shown. A call belongs to the time of its admission. Idle cost is the
pool's hourly price, as of the last start of the server, over the whole period
less what was charged. CSV and JSON have amounts to the last digit.`,
		Example: `  spillway report
  spillway report --by function --from 2026-11-01 --to 2026-12-01
  spillway report --by department -o csv --data /var/lib/spillway > november.csv   # server not needed`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.by, "by", string(billing.ByDepartment), "what to group by: department, namespace, function, pool")
	flags.StringVar(&f.from, "from", "", "calls admitted from this `time`, a day in UTC or RFC 3339; the first call if not given")
	flags.StringVar(&f.to, "to", "", "calls admitted before this `time`; now if not given")
	flags.StringVar(&f.admin, "admin", envOr("SPILLWAY_ADMIN", defaultAdmin), "`URL` of the server's admin port; default from SPILLWAY_ADMIN")
	flags.StringVar(&f.data, "data", "", "read the ledger in this `directory` and ask no server")
	output := formatFlag(cmd, "table", "json", "yaml", "csv")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.data != "" && cmd.Flags().Changed("admin") {
			return wrongInput("--admin and --data exclude each other: say where to ask once")
		}
		b, err := f.find(cmd.Context())
		if err != nil {
			return err
		}
		return output.print(s.out, b, func(w io.Writer) error {
			if output.value == "csv" {
				return writeCSV(w, b.csv())
			}
			return b.print(w)
		})
	}
	return cmd
}

// find gets the bill from the ledger or from the server.
func (f *reportFlags) find(ctx context.Context) (*bill, error) {
	p, err := f.period()
	if err != nil {
		return nil, err
	}
	if f.data != "" {
		return billFromLedger(ctx, f.data, p)
	}
	base, err := baseURL("--admin", f.admin)
	if err != nil {
		return nil, err
	}
	at := base.JoinPath("v1", "report")
	q := at.Query()
	q.Set("by", string(p.by))
	if !p.from.IsZero() {
		q.Set("from", p.from.Format(time.RFC3339))
	}
	if !p.to.IsZero() {
		q.Set("to", p.to.Format(time.RFC3339))
	}
	at.RawQuery = q.Encode()
	text, err := ask(ctx, at)
	if err != nil {
		return nil, err
	}
	var b bill
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, fmt.Errorf("read the report of %s: %w", at.Host, err)
	}
	return &b, nil
}

func (f *reportFlags) period() (p period, err error) {
	if p.by, err = billing.ParseBy(f.by); err != nil {
		return p, wrongInput("--by: %w", err)
	}
	if p.from, err = moment("--from", f.from); err != nil {
		return p, err
	}
	if p.to, err = moment("--to", f.to); err != nil {
		return p, err
	}
	if !p.from.IsZero() && !p.to.IsZero() && !p.from.Before(p.to) {
		return p, wrongInput("--from %s is not before --to %s", f.from, f.to)
	}
	if !p.from.IsZero() && p.from.After(time.Now()) {
		return p, wrongInput("--from %s is in the future", f.from)
	}
	return p, nil
}

func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, wrongInput("%s: %q is not a time; allowed: 2026-11-01 (in UTC), 2026-11-01T08:00:00Z", flag, text)
}

func billFromLedger(ctx context.Context, dir string, p period) (b *bill, err error) {
	store, err := openForReading(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	o, err := readOwned(dir)
	if err != nil {
		return nil, err
	}
	return billOf(ctx, store, p, o, time.Now())
}

// print writes the bill for people, rounded so that the lines add up to the total.
func (b *bill) print(w io.Writer) error {
	shown, total, err := b.amounts()
	if err != nil {
		return err
	}
	if len(b.Lines)+len(b.Estimated) == 0 {
		fmt.Fprintf(w, "no calls were billed before %s\n\n", b.To.Format(time.RFC3339))
		return b.printRest(w)
	}
	fmt.Fprintf(w, "calls admitted from %s to %s\n\n", b.From.Format(time.RFC3339), b.To.Format(time.RFC3339))
	rows := [][]string{{strings.ToUpper(string(b.By)), "CALLS", "BILLED", "GiB·s", "vCPU·s", "COLD STARTS", "COST " + b.Currency}}
	for i, l := range append(append([]billLine{}, b.Lines...), b.Estimated...) {
		key := named(l.Key)
		if i >= len(b.Lines) {
			key += " (estimated)"
		}
		rows = append(rows, []string{key, strconv.FormatInt(l.Calls, 10), seconds(l.BilledMs),
			rounded(l.GiBSeconds, 3), rounded(l.VCPUSeconds, 3), millis(l.ColdMicros), shown[i]})
	}
	rows = append(rows, []string{"total", "", "", "", "", "", total})
	if err := table(w, rows); err != nil {
		return err
	}
	return b.printRest(w)
}

// printRest writes why it was paid, and what is on no line.
func (b *bill) printRest(w io.Writer) error {
	if len(b.ByReason) > 0 {
		rows := [][]string{{"RAN THERE BECAUSE", "CALLS", "COST " + b.Currency}}
		for _, l := range b.ByReason {
			rows = append(rows, []string{l.Key, strconv.FormatInt(l.Calls, 10), rounded(l.Amount, tableDecimals)})
		}
		fmt.Fprintln(w)
		if err := table(w, rows); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	for _, i := range b.Idle {
		fmt.Fprintf(w, "on-prem idle: %s %s of pool %s\n  it cost %s, of which %s is charged above\n",
			rounded(i.Amount, tableDecimals), b.Currency, safetext.Line(i.Pool), rounded(i.Cost, tableDecimals), rounded(i.Charged, tableDecimals))
	}
	if b.Open.Attempts > 0 {
		fmt.Fprintf(w, "not billed yet: %s with an unknown outcome, %s %s reserved;\n  each is billed as an estimate when the cloud must have ended it\n",
			counted(int(b.Open.Attempts), "cloud attempt"), rounded(b.Open.Reserved, tableDecimals), b.Currency)
	}
	return nil
}

// amounts returns the amounts of lines and estimates, and the total, with so many
// decimals that small ones can be seen.
func (b *bill) amounts() (shown []string, total string, err error) {
	var amounts []apd.Decimal
	for _, l := range append(append([]billLine{}, b.Lines...), b.Estimated...) {
		amounts = append(amounts, l.Amount.Decimal)
	}
	parts, whole, err := billing.Apportion(amounts, tableDecimals)
	if err != nil {
		return nil, "", fmt.Errorf("round the bill: %w", err)
	}
	for i := range parts {
		shown = append(shown, parts[i].Text('f'))
	}
	return shown, whole.Text('f'), nil
}

// tableDecimals shows single calls of small functions, which cost less than a
// millionth.
const tableDecimals = 9

// csv has one row for each line; charge and estimate rows add up to the total.
func (b *bill) csv() [][]string {
	rows := [][]string{{"section", string(b.By), "calls", "billed_ms", "cold_start_us", "gib_seconds", "vcpu_seconds", "amount", "currency", "from", "to"}}
	from, to := b.From.Format(time.RFC3339), b.To.Format(time.RFC3339)
	for _, part := range []struct {
		section string
		lines   []billLine
	}{{"charge", b.Lines}, {"estimate", b.Estimated}} {
		for _, l := range part.lines {
			rows = append(rows, []string{part.section, l.Key, strconv.FormatInt(l.Calls, 10), strconv.FormatInt(l.BilledMs, 10),
				strconv.FormatInt(l.ColdMicros, 10), l.GiBSeconds.Text('f'), l.VCPUSeconds.Text('f'), l.Amount.Text('f'), b.Currency, from, to})
		}
	}
	for _, i := range b.Idle {
		rows = append(rows, []string{"idle", i.Pool, "", "", "", "", "", i.Amount.Text('f'), b.Currency, from, to})
	}
	return rows
}
