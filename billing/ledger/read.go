package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/sqlite"
)

// joinWindow is how long a repeated request is joined to its first attempt.
const joinWindow = 15 * time.Minute

// longestCall is the longest time from a call's admission to its last line: the
// longest deadline, and what a cloud may take to end an attempt.
const longestCall = 2 * time.Hour

// Restored is what a server needs of the past before it is ready.
type Restored struct {
	// Open are the cloud attempts whose outcome is not known, by admission.
	Open []billing.Entry
	// Recent are the lines posted in the last 15 minutes that carry a RequestKey, by
	// admission.
	Recent []billing.Entry
}

// Restore reads what a server needs of the past.
func (l *Ledger) Restore(ctx context.Context) (Restored, error) {
	var r Restored
	if err := l.Flush(ctx); err != nil {
		return r, err
	}
	for e, err := range l.store.OpenIntents(ctx) {
		if err != nil {
			return r, err
		}
		r.Open = append(r.Open, e)
	}
	since := l.options.Now().Add(-joinWindow)
	for e, err := range l.store.Lines(ctx, sqlite.Filter{From: since.Add(-longestCall)}) {
		if err != nil {
			return r, err
		}
		if e.RequestKey != "" && !e.Posted.Before(since) {
			r.Recent = append(r.Recent, e)
		}
	}
	return r, nil
}

// Spent returns what the functions settled, estimates included and reversals taken
// off, for calls admitted in [from, to). A key without a name means the whole
// namespace. Open intents are not in it.
func (l *Ledger) Spent(ctx context.Context, who []spillway.FunctionKey, from, to spillway.Instant) (spillway.Nano, error) {
	if err := l.Flush(ctx); err != nil {
		return 0, err
	}
	return l.store.Spent(ctx, who, from.Time(), to.Time())
}

// Lines yields the lines of f in the order of admission, all that were posted
// before it is ranged over among them.
func (l *Ledger) Lines(ctx context.Context, f sqlite.Filter) iter.Seq2[billing.Entry, error] {
	return func(yield func(billing.Entry, error) bool) {
		if err := l.Flush(ctx); err != nil {
			yield(billing.Entry{}, fmt.Errorf("the report would miss lines: %w", err))
			return
		}
		l.store.Lines(ctx, f)(yield)
	}
}

// Decision returns the explanation of an invocation, or nil if none is kept.
func (l *Ledger) Decision(ctx context.Context, invocation string) (json.RawMessage, error) {
	l.mu.Lock()
	for i := len(l.decisions) - 1; i >= 0; i-- {
		if d := &l.decisions[i]; d.Invocation == invocation {
			l.mu.Unlock()
			return d.JSON, nil
		}
	}
	l.mu.Unlock()
	return l.store.Decision(ctx, invocation)
}

// Lookup returns the lines and the explanation of an invocation; both may be
// empty. Lines on their way to the database are among them, without a Sequence.
func (l *Ledger) Lookup(ctx context.Context, invocation string) ([]billing.Entry, json.RawMessage, error) {
	var lines []billing.Entry
	l.mu.Lock()
	for i := range l.pending {
		if l.pending[i].entry.Invocation == invocation {
			lines = append(lines, l.pending[i].entry)
		}
	}
	l.mu.Unlock()
	waiting := len(lines)
	for e, err := range l.store.Lines(ctx, sqlite.Filter{Invocation: invocation}) {
		if err != nil {
			return nil, nil, err
		}
		lines = append(lines, e)
	}
	decision, err := l.Decision(ctx, invocation)
	return unique(lines, waiting), decision, err
}

// unique drops those of the first n lines that are among the others too: they
// were written in between.
func unique(lines []billing.Entry, n int) []billing.Entry {
	written := map[attemptKey]map[billing.Kind]bool{}
	for _, e := range lines[n:] {
		key := attemptKey{e.Invocation, e.Attempt}
		if written[key] == nil {
			written[key] = map[billing.Kind]bool{}
		}
		written[key][e.Kind] = true
	}
	kept := lines[n:]
	for _, e := range lines[:n] {
		if !written[attemptKey{e.Invocation, e.Attempt}][e.Kind] {
			kept = append(kept, e)
		}
	}
	return kept
}

// Stats are figures for metrics.
type Stats struct {
	Live             int   // attempts begun or intended without a line in the database
	Pending          int   // lines on their way to the database
	DroppedDecisions int64 // since Open
	Conflicts        int64 // ever
}

// Stats returns the current figures.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{len(l.live), len(l.pending), l.dropped, l.store.Conflicts()}
}

// Writer names this ledger on its lines.
func (l *Ledger) Writer() string { return l.store.Writer() }
