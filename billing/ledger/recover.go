package ledger

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/journal"
	"github.com/spillway-dev/spillway/billing/sqlite"
)

// Recovery says what Open found of a previous process.
type Recovery struct {
	Journal   journal.Report
	Lines     int       // read from the journal; most were in the database already
	Estimated int       // attempts that were begun and never ended
	LastSign  time.Time // when the previous process was last known alive
}

// Recovery returns what Open found.
func (l *Ledger) Recovery() Recovery { return l.found }

// replay collects the journal of a previous process.
type replay struct {
	ctx   context.Context
	store *sqlite.Store
	found *Recovery

	begun map[attemptKey]billing.Entry
	lines []billing.Entry
}

func (l *Ledger) recover(ctx context.Context, dir string) error {
	r := &replay{ctx: ctx, store: l.store, found: &l.found, begun: map[attemptKey]billing.Entry{}}
	var err error
	if l.journal, l.found.Journal, err = journal.Open(dir, l.options.Journal, r.record); err != nil {
		return err
	}
	if err := r.write(); err != nil {
		return err
	}
	if err := r.estimate(l.options.Now()); err != nil {
		return err
	}
	return l.journal.Clear()
}

func (r *replay) record(p []byte) error {
	switch p[0] {
	case recordAlive:
		if len(p) != 9 {
			return fmt.Errorf("a sign of life of %d bytes", len(p))
		}
		r.alive(time.Unix(0, int64(binary.LittleEndian.Uint64(p[1:]))))
		return nil
	case recordBegin, recordLine:
	default:
		return fmt.Errorf("unknown record type %q: use the program that wrote it", p[0])
	}
	e, err := billing.DecodeEntry(p[1:])
	if err != nil {
		return err
	}
	r.alive(e.Posted)
	key := attemptKey{e.Invocation, e.Attempt}
	if p[0] == recordBegin {
		r.begun[key] = e
		return nil
	}
	delete(r.begun, key)
	r.found.Lines++
	r.lines = append(r.lines, e)
	if len(r.lines) >= maxFlush {
		return r.write()
	}
	return nil
}

func (r *replay) alive(at time.Time) {
	if at.After(r.found.LastSign) {
		r.found.LastSign = at.UTC()
	}
}

func (r *replay) write() error {
	if len(r.lines) == 0 {
		return nil
	}
	err := r.store.Write(r.ctx, sqlite.Batch{Lines: r.lines})
	r.lines = r.lines[:0]
	return err
}

// estimate posts a line for every attempt whose end is in neither journal nor
// database: from its begin until the last sign of life or its deadline, at least 1 ms.
func (r *replay) estimate(now time.Time) error {
	for key, e := range r.begun {
		closed, err := r.store.Closed(r.ctx, key.invocation, key.attempt)
		if err != nil {
			return err
		}
		if closed {
			continue
		}
		lasted := r.found.LastSign.Sub(e.Posted)
		if !e.Deadline.IsZero() { // the server lived on after a line that it could not write
			lasted = min(lasted, e.Deadline.Sub(e.Posted))
		}
		lasted = max(lasted, time.Millisecond)
		e.Kind, e.Outcome, e.Posted = billing.KindEstimate, spillway.Unknown, now.UTC()
		e.Usage = spillway.Usage{DurationMicros: lasted.Microseconds(), Estimated: true}
		if err := e.Charge(billing.Meter(e.Usage, e.Rate, spillway.PoolProcess)); err != nil {
			return err
		}
		r.found.Estimated++
		if r.lines = append(r.lines, e); len(r.lines) >= maxFlush {
			if err := r.write(); err != nil {
				return err
			}
		}
	}
	return r.write()
}
