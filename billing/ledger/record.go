package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/journal"
	"github.com/spillway-dev/spillway/billing/sqlite"
)

// A journal record is its type and an encoded entry, or a time.
const (
	recordBegin = 'B' // an on-prem attempt begins
	recordLine  = 'L' // a ledger line
	recordAlive = 'A' // the process was alive at this time
)

// callRecords is the room that a call reserves: a begin and a line.
const callRecords = 2

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// Reserve takes room for one call's records, or returns ErrFull. Each success
// needs one Release, when the call is answered.
func (l *Ledger) Reserve() error {
	l.mu.Lock()
	waiting, storeErr := len(l.pending), l.storeErr
	l.mu.Unlock()
	if waiting > maxPending {
		return fmt.Errorf("%w: %d lines wait for the database: %w", ErrFull, waiting, orSlow(storeErr))
	}
	return asFull(l.journal.Reserve(callRecords))
}

// Release gives back what Reserve took.
func (l *Ledger) Release() { l.journal.Release(callRecords) }

var errSlow = errors.New("it is slower than they come")

func orSlow(err error) error {
	if err == nil {
		return errSlow
	}
	return err
}

func asFull(err error) error {
	if errors.Is(err, journal.ErrFull) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// Begin records that an on-prem attempt is about to start: e is its line as far as
// it is known (Posted, Rate and Resources price it if its end is never heard of).
// It survives a kill once Begin returns. A line of the same attempt must follow.
func (l *Ledger) Begin(e *billing.Entry) error {
	begun := *e
	begun.Kind = billing.KindIntent // any: a begin is not a line
	record, err := encode([]byte{recordBegin}, &begun)
	if err != nil {
		return fmt.Errorf("journalling a begin: %w", err)
	}
	reserved := l.journal.Reserve(1) == nil
	write := l.journal.Append
	if !reserved && e.Attempt > 1 { // the call's own room is for its first attempt
		write = l.journal.AppendUnreserved
	}
	l.mu.Lock()
	position, err := write(record)
	if err == nil {
		l.register(e, &attempt{begin: record, position: position, reserved: reserved})
		reserved = false
	}
	l.mu.Unlock()
	if reserved {
		l.journal.Release(1)
	}
	if err != nil {
		return fmt.Errorf("journalling the begin of attempt %d of %s: %w", e.Attempt, e.Invocation, asFull(err))
	}
	return nil
}

// register makes an attempt live; the caller holds mu.
func (l *Ledger) register(e *billing.Entry, a *attempt) {
	key := attemptKey{e.Invocation, e.Attempt}
	if before := l.live[key]; before != nil && before.reserved {
		l.journal.Release(1)
	}
	l.live[key] = a
}

// encode also leaves room for what the line of an attempt adds to its begin: the
// provider's id and the function error.
func encode(dst []byte, e *billing.Entry) ([]byte, error) {
	record, err := billing.AppendEntry(dst, e)
	if err == nil && len(record) > billing.MaxEncoded-lineGrowth {
		err = fmt.Errorf("entry of %.40q: %w: %d bytes leave no room for its charge", e.Invocation, billing.ErrTooLong, len(record))
	}
	return record, err
}

const lineGrowth = 256

// Intent makes a cloud attempt's intent durable: once it returns nil the intent
// survives a power cut. After an error nothing may be sent. ctx counts until the
// write begins. A line of the same attempt must follow.
func (l *Ledger) Intent(ctx context.Context, e *billing.Entry) error {
	intent := *e
	intent.Kind = billing.KindIntent
	if _, err := encode(nil, &intent); err != nil {
		return fmt.Errorf("recording an intent: %w", err)
	}
	a := &attempt{reserved: l.journal.Reserve(1) == nil}
	l.mu.Lock()
	l.register(e, a)
	l.mu.Unlock()
	err := l.store.Write(ctx, sqlite.Batch{Lines: []billing.Entry{intent}})
	if err == nil || ctx.Err() == nil {
		l.noteStore(err)
	}
	if err == nil {
		return nil
	}
	l.forget(attemptKey{e.Invocation, e.Attempt})
	if errors.Is(err, sqlite.ErrFull) {
		err = fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("intent of attempt %d of %s: %w", e.Attempt, e.Invocation, err)
}

// Post records a charge, estimate, reversal or void. Once it returns it survives a
// kill; it reaches the database in a batch soon after. It does not fail for lack
// of room while its call or its attempt holds a reservation.
func (l *Ledger) Post(e *billing.Entry) error {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	record, err := billing.AppendEntry(append((*buffer)[:0], recordLine), e)
	*buffer = record
	if err != nil {
		return fmt.Errorf("journalling a line: %w", err)
	}
	// Journal and queue change together, so that no record is dropped unqueued.
	l.mu.Lock()
	position, err := l.journal.AppendUnreserved(record)
	if errors.Is(err, journal.ErrFull) && l.live[attemptKey{e.Invocation, e.Attempt}] != nil {
		position, err = l.journal.Append(record)
	}
	if err == nil {
		l.pending = append(l.pending, pendingLine{*e, position})
	}
	first := len(l.pending) == 1
	l.mu.Unlock()
	if err != nil {
		return l.postDirectly(e, err)
	}
	if first {
		kick(l.wake)
	}
	return nil
}

// postDirectly is for a journal that takes nothing: the database may.
func (l *Ledger) postDirectly(e *billing.Entry, cause error) error {
	err := l.store.Write(context.Background(), sqlite.Batch{Lines: []billing.Entry{*e}})
	l.noteStore(err)
	if err != nil {
		return fmt.Errorf("the %s of attempt %d of %s is in neither journal nor database: %w", e.Kind, e.Attempt, e.Invocation, errors.Join(asFull(cause), err))
	}
	l.forget(attemptKey{e.Invocation, e.Attempt})
	return nil
}

// forget ends an attempt and gives back its room.
func (l *Ledger) forget(keys ...attemptKey) {
	rooms := 0
	l.mu.Lock()
	for _, key := range keys {
		if a := l.live[key]; a != nil {
			if a.reserved {
				rooms++
			}
			delete(l.live, key)
		}
	}
	l.mu.Unlock()
	l.journal.Release(rooms)
}

// Explain keeps an explanation for the time that Options say. It never blocks;
// when too many wait, or the text is empty or over 64 KiB, it is dropped and
// counted in Stats. The text must not be changed afterwards.
func (l *Ledger) Explain(invocation string, at time.Time, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.decisions) >= maxDecisions || len(text) == 0 || len(text) > maxDecisionBytes {
		l.dropped++
		return
	}
	l.decisions = append(l.decisions, sqlite.Decision{Invocation: invocation, At: at, JSON: text})
	if len(l.decisions) == 1 {
		kick(l.wake)
	}
}

// noteStore remembers how the last write to the database went.
func (l *Ledger) noteStore(err error) {
	l.mu.Lock()
	before := l.storeErr
	l.storeErr = err
	l.mu.Unlock()
	if err != nil && before == nil {
		kick(l.wake) // the flusher probes from now on
	}
}
