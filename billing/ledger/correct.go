package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/sqlite"
)

// Unsettled is what the outcome of cloud attempts is not known of.
type Unsettled struct {
	// Open are the intents without an outcome, by admission.
	Open []billing.Entry
	// Estimates are those that no reversal has taken back, by admission.
	Estimates []billing.Entry
}

// Unsettled returns the open intents, and the estimates of calls admitted from a
// time on. Lines that are read afterwards hold the outcome of every other attempt
// that was sent before.
func (l *Ledger) Unsettled(ctx context.Context, from time.Time) (Unsettled, error) {
	var u Unsettled
	if err := l.Flush(ctx); err != nil {
		return u, err
	}
	for e, err := range l.store.OpenIntents(ctx) {
		if err != nil {
			return u, err
		}
		if e.Cloud { // a job's is closed by its end
			u.Open = append(u.Open, e)
		}
	}
	for e, err := range l.store.Unreversed(ctx, from) {
		if err != nil {
			return u, err
		}
		u.Estimates = append(u.Estimates, e)
	}
	return u, nil
}

// Correct posts lines to the database, all of them or none, and returns once they
// survive a power cut. ctx counts until the write begins.
func (l *Ledger) Correct(ctx context.Context, lines []billing.Entry) error {
	err := l.store.Write(ctx, sqlite.Batch{Lines: lines})
	if err == nil || ctx.Err() == nil {
		l.noteStore(err)
	}
	if err != nil {
		return fmt.Errorf("posting %d corrections: %w", len(lines), err)
	}
	return nil
}
