package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// Filter picks lines. A zero field picks all.
type Filter struct {
	From, To   time.Time // admitted in [From, To)
	Namespaces []string
	Invocation string
	Cloud      bool // only lines of cloud attempts
}

func (f Filter) where() (string, []any) {
	conditions, args := []string{"1"}, []any{}
	add := func(condition string, values ...any) {
		conditions, args = append(conditions, condition), append(args, values...)
	}
	if !f.From.IsZero() {
		add("admitted >= ?", nanos(f.From))
	}
	if !f.To.IsZero() {
		add("admitted < ?", nanos(f.To))
	}
	if f.Invocation != "" {
		add("invocation = ?", f.Invocation)
	}
	if f.Cloud {
		add("cloud")
	}
	if f.Namespaces != nil {
		list, err := json.Marshal(f.Namespaces)
		if err != nil { // strings always marshal
			panic(err)
		}
		add("namespace IN (SELECT value FROM json_each(?))", string(list))
	}
	return strings.Join(conditions, " AND "), args
}

// Lines yields the lines of f in the order of admission, invocation, attempt and
// kind, as of the moment it is ranged over. After an error it ends.
func (s *Store) Lines(ctx context.Context, f Filter) iter.Seq2[billing.Entry, error] {
	where, args := f.where()
	return s.query(ctx, "SELECT "+s.columns+" FROM line WHERE "+where+" ORDER BY admitted, invocation, attempt, kind", args...)
}

// OpenIntents yields the intents that have no charge, estimate or void.
func (s *Store) OpenIntents(ctx context.Context) iter.Seq2[billing.Entry, error] {
	return s.query(ctx, "SELECT "+s.columns+" FROM open_intent JOIN line USING (invocation, attempt) WHERE kind = 'intent' ORDER BY admitted, invocation, attempt")
}

// Unreversed yields the estimates of cloud attempts admitted from a time on that no
// reversal has taken back.
func (s *Store) Unreversed(ctx context.Context, from time.Time) iter.Seq2[billing.Entry, error] {
	return s.query(ctx, "SELECT "+s.columns+` FROM line WHERE cloud AND kind = 'estimate' AND admitted >= ?
		AND NOT EXISTS (SELECT 1 FROM line AS back WHERE back.invocation = line.invocation AND back.attempt = line.attempt AND back.kind = 'reversal')
		ORDER BY admitted, invocation, attempt`, nanos(from))
}

func (s *Store) query(ctx context.Context, query string, args ...any) iter.Seq2[billing.Entry, error] {
	return func(yield func(billing.Entry, error) bool) {
		rows, err := s.reading.QueryContext(ctx, query, args...)
		if err != nil {
			yield(billing.Entry{}, fmt.Errorf("reading the ledger %s: %w", s.path, err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var r row
			err := rows.Scan(r.values()...)
			var e billing.Entry
			if err == nil {
				e, err = r.entry()
			}
			if err != nil {
				yield(billing.Entry{}, fmt.Errorf("reading the ledger %s: %w", s.path, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(billing.Entry{}, fmt.Errorf("reading the ledger %s: %w", s.path, err))
		}
	}
}

// Closed reports whether an attempt has a charge, an estimate or a void.
func (s *Store) Closed(ctx context.Context, invocation string, attempt int) (bool, error) {
	var n int
	err := s.reading.QueryRowContext(ctx, `SELECT count(*) FROM line
		WHERE invocation = ? AND attempt = ? AND kind IN ('charge', 'estimate', 'void')`, invocation, attempt).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("reading the ledger %s: %w", s.path, err)
	}
	return n > 0, nil
}

// Decision returns the explanation of an invocation, or nil if there is none.
func (s *Store) Decision(ctx context.Context, invocation string) (json.RawMessage, error) {
	var text []byte
	err := s.reading.QueryRowContext(ctx, "SELECT json FROM decision WHERE invocation = ?", invocation).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the explanation of %s: %w", invocation, err)
	}
	return text, nil
}

// Spent returns what the functions settled for calls admitted in [from, to). A key
// without a name means the whole namespace.
func (s *Store) Spent(ctx context.Context, who []spillway.FunctionKey, from, to time.Time) (spillway.Nano, error) {
	var total spillway.Nano
	for _, key := range who {
		var n sql.NullInt64
		err := s.reading.QueryRowContext(ctx, `SELECT sum(settled_nano) FROM line
			WHERE settled_nano <> 0 AND namespace = ?1 AND (?2 = '' OR function = ?2) AND admitted >= ?3 AND admitted < ?4`,
			key.Namespace, key.Name, nanos(from), nanos(to)).Scan(&n)
		if err == nil {
			total, err = spillway.AddNano(total, spillway.Nano(n.Int64))
		}
		if err != nil {
			return 0, fmt.Errorf("summing what %s spent from %s to %s: %w", key, from.Format(time.RFC3339), to.Format(time.RFC3339), err)
		}
	}
	return total, nil
}

// Counts are totals over the whole ledger.
type Counts struct {
	Lines     int64
	Open      int64 // intents
	Conflicts int64
	Decisions int64
}

// Count returns the totals.
func (s *Store) Count(ctx context.Context) (Counts, error) {
	var c Counts
	err := s.reading.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM line), (SELECT count(*) FROM open_intent),
		(SELECT count(*) FROM conflict), (SELECT count(*) FROM decision)`).Scan(&c.Lines, &c.Open, &c.Conflicts, &c.Decisions)
	if err != nil {
		return c, fmt.Errorf("counting the lines of %s: %w", s.path, err)
	}
	return c, nil
}
