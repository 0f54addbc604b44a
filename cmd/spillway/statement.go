package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/sqlite"
)

// bill is a statement as it is printed and sent. Amounts are exact decimals in
// Currency.
type bill struct {
	By       billing.By `json:"by"`
	From     time.Time  `json:"from"` // calls admitted from
	To       time.Time  `json:"to"`   // and before
	Currency string     `json:"currency,omitempty"`

	Lines     []billLine `json:"lines"`
	Estimated []billLine `json:"estimated"` // outcome unknown, at the reservation
	Total     decimal    `json:"total"`     // lines and estimated together
	ByReason  []billLine `json:"byReason"`  // the same total, by why it ran where it did

	Open openLine   `json:"open"` // may be running: reserved, not billed
	Idle []idleLine `json:"idle"` // owned pools: paid for and not charged to anyone
}

type billLine struct {
	Key         string  `json:"key"`
	Calls       int64   `json:"calls"`
	BilledMs    int64   `json:"billedMs"`
	ColdMicros  int64   `json:"coldStartMicros"`
	GiBSeconds  decimal `json:"gibSeconds"`
	VCPUSeconds decimal `json:"vcpuSeconds"`
	Amount      decimal `json:"amount"`
}

type openLine struct {
	Attempts int64   `json:"attempts"`
	Reserved decimal `json:"reserved"`
}

type idleLine struct {
	Pool    string  `json:"pool"`
	Cost    decimal `json:"cost"`
	Charged decimal `json:"charged"`
	Amount  decimal `json:"idle"`
}

// decimal is written exactly and without an exponent.
type decimal struct{ apd.Decimal }

// MarshalText implements encoding.TextMarshaler.
func (d decimal) MarshalText() ([]byte, error) { return []byte(d.Text('f')), nil }

// period is which calls a bill is for; zero times are open.
type period struct {
	by       billing.By
	from, to time.Time
}

// lineReader is a ledger that can be read.
type lineReader interface {
	Lines(context.Context, sqlite.Filter) iter.Seq2[billing.Entry, error]
}

// billOf adds up the lines of a period. Without a start it begins with the first
// line; it ends now at the latest.
func billOf(ctx context.Context, l lineReader, p period, o *owned, now time.Time) (*bill, error) {
	if p.to.IsZero() || p.to.After(now) {
		p.to = now
	}
	if p.from.IsZero() {
		p.from = p.to
		for e, err := range l.Lines(ctx, sqlite.Filter{To: p.to}) {
			if err != nil {
				return nil, err
			}
			p.from = e.Admitted // the first one
			break
		}
	}
	var pools []billing.OwnedPool
	currency := ""
	if o != nil {
		pools, currency = o.Pools, o.Currency
	}
	lines := oneCurrency(l.Lines(ctx, sqlite.Filter{From: p.from, To: p.to}), &currency)
	s, err := billing.NewStatement(lines, p.by, p.from.UTC(), p.to.UTC(), pools)
	if err != nil {
		return nil, fmt.Errorf("add up the ledger: %w", err)
	}
	return printable(s, currency), nil
}

// oneCurrency refuses to add up different currencies.
func oneCurrency(lines iter.Seq2[billing.Entry, error], currency *string) iter.Seq2[billing.Entry, error] {
	return func(yield func(billing.Entry, error) bool) {
		for e, err := range lines {
			switch {
			case err != nil:
			case *currency == "":
				*currency = e.Currency
			case e.Currency != *currency:
				err = fmt.Errorf("lines in %s and in %s cannot be added; choose --from and --to so that there is one currency", *currency, e.Currency)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func printable(s *billing.Statement, currency string) *bill {
	b := &bill{
		By: s.By, From: s.From, To: s.To, Currency: currency,
		Lines: billLines(s.Rows), Estimated: billLines(s.Estimated), ByReason: billLines(s.ByReason),
		Total: decimal{s.Total}, Open: openLine{s.Open.Attempts, decimal{s.Open.Reserved}}, Idle: []idleLine{},
	}
	for _, i := range s.Idle {
		b.Idle = append(b.Idle, idleLine{i.Pool, decimal{i.Cost}, decimal{i.Charged}, decimal{i.Amount}})
	}
	return b
}

func billLines(rows []billing.Row) []billLine {
	all := []billLine{}
	for _, r := range rows {
		all = append(all, billLine{r.Key, r.Calls, r.BilledMillis, r.ColdMicros, decimal{r.GiBSeconds}, decimal{r.VCPUSeconds}, decimal{r.Amount}})
	}
	return all
}

// owned is what the pools of the last start cost whether used or not. It is kept
// beside the ledger so that a report needs no configuration.
type owned struct {
	Currency string              `json:"currency"`
	Pools    []billing.OwnedPool `json:"pools"`
}

const ownedFile = "owned.json"

func ownedOf(p *spillway.Platform) *owned {
	o := &owned{Currency: p.Currency}
	for _, pool := range p.Pools {
		if !pool.Kind.Cloud() && pool.Kind != spillway.PoolOffline { // what is idle elsewhere has no idle cost
			o.Pools = append(o.Pools, billing.OwnedPool{Name: pool.Name, Hourly: pool.HourlyNano})
		}
	}
	return o
}

func writeOwned(dir string, o *owned) error {
	text, err := json.MarshalIndent(o, "", "  ")
	if err == nil {
		err = replaceFile(filepath.Join(dir, ownedFile), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the prices of owned pools: %w", err)
	}
	return nil
}

// readOwned returns nil for a ledger without that file.
func readOwned(dir string) (*owned, error) {
	text, err := os.ReadFile(filepath.Join(dir, ownedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var o owned
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return nil, fmt.Errorf("read the prices of owned pools: %w", err)
	}
	return &o, nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
