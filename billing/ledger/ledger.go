// Package ledger is what a running server writes its bill to: a local journal
// that survives a kill at any moment, and behind it a SQLite file that is the
// record.
//
// On-prem calls cost a record in memory that the kernel keeps at their begin and one
// at their end; the lines reach SQLite in batches. A cloud send waits until its intent is synced in
// SQLite. A kill loses nothing. A power cut loses at most the journal records of
// the last 100 ms, and no intent.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/journal"
	"github.com/spillway-dev/spillway/billing/sqlite"
)

const (
	databaseName = "ledger.db"
	journalName  = "journal"

	// maxPending bounds the lines that wait for the database; beyond it new calls
	// are refused, those under way still post.
	maxPending = 50_000
	// maxDecisions bounds the explanations that wait; more are dropped and counted.
	maxDecisions = 10_000
	// maxDecisionBytes bounds one explanation; a longer one is dropped and counted.
	maxDecisionBytes = 64 << 10
)

// ErrFull reports that the ledger has no room for another call.
var ErrFull = errors.New("the ledger is full")

// Options tune a ledger. A zero field has its default.
type Options struct {
	Journal journal.Options
	// FlushEvery is how long lines wait for others before they go to the database
	// together; 250 ms.
	FlushEvery time.Duration
	// KeepDecisions is how long explanations are kept; 7 days.
	KeepDecisions time.Duration
	Now           func() time.Time // time.Now
}

func (o Options) withDefaults() Options {
	if o.FlushEvery <= 0 {
		o.FlushEvery = 250 * time.Millisecond
	}
	if o.KeepDecisions <= 0 {
		o.KeepDecisions = 7 * 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Ledger is safe for concurrent use.
type Ledger struct {
	options Options
	lock    *os.File
	store   *sqlite.Store
	journal *journal.Journal
	found   Recovery

	mu        sync.Mutex
	live      map[attemptKey]*attempt // begun or intended, without a line in the database
	pending   []pendingLine
	decisions []sqlite.Decision
	written   [2]int64 // lines and decisions taken off these queues
	dropped   int64
	storeErr  error // of the last write; nil after one that succeeded
	flushed   chan struct{}

	wake    chan struct{} // something to flush soon
	urgent  chan struct{} // somebody waits for the flush
	closing chan struct{}
	once    sync.Once
	done    chan struct{}
}

type attemptKey struct {
	invocation string
	attempt    int
}

// attempt is one that runs, or whose line is on its way to the database.
type attempt struct {
	begin    []byte // journal record of an on-prem attempt, else nil
	position int64  // of begin in the journal, if there is one
	reserved bool   // it holds journal room for its line
}

type pendingLine struct {
	entry    billing.Entry
	position int64 // in the journal
}

// Open opens the ledger in dir, made if missing, which no other process may have
// open. Lines that a previous process left in the journal go to the database, and
// attempts that it began and never ended become estimates; Recovery tells.
func Open(dir string, o Options) (*Ledger, error) {
	l := &Ledger{
		options: o.withDefaults(), live: map[attemptKey]*attempt{}, flushed: make(chan struct{}),
		wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	if err := l.open(context.Background(), dir); err != nil {
		return nil, errors.Join(err, l.closeFiles())
	}
	go l.run()
	return l, nil
}

func (l *Ledger) open(ctx context.Context, dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, journalName), 0o700); err != nil {
		return fmt.Errorf("making the ledger directory: %w", err)
	}
	var err error
	if l.lock, err = lockDir(dir); err != nil {
		return err
	}
	if l.store, err = sqlite.Open(ctx, filepath.Join(dir, databaseName)); err != nil {
		return err
	}
	return l.recover(ctx, filepath.Join(dir, journalName))
}

// OpenReadOnly opens the database of a ledger in dir for reports, also while a
// server has the ledger open. Lines that are still in the journal are not in it.
func OpenReadOnly(ctx context.Context, dir string) (*sqlite.Store, error) {
	return sqlite.OpenReadOnly(ctx, filepath.Join(dir, databaseName))
}

func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger's lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another process has the ledger in %s open (%w): stop it, or use another data directory", dir, err), f.Close())
	}
	return f, nil
}

// Health returns why the ledger cannot take everything now, or nil. It recovers
// by itself when a full disk has room again; after a failed sync it does not.
func (l *Ledger) Health() error {
	l.mu.Lock()
	err := l.storeErr
	l.mu.Unlock()
	return errors.Join(l.journal.Health(), err)
}

// Flush returns once every line and explanation given so far is in the database,
// or with the error that keeps them out when ctx ends.
func (l *Ledger) Flush(ctx context.Context) error {
	l.mu.Lock()
	lines, decisions := l.written[0]+int64(len(l.pending)), l.written[1]+int64(len(l.decisions))
	l.mu.Unlock()
	for {
		l.mu.Lock()
		done, flushed, err := l.written[0] >= lines && l.written[1] >= decisions, l.flushed, l.storeErr
		l.mu.Unlock()
		if done {
			return nil
		}
		kick(l.urgent)
		select {
		case <-flushed:
		case <-l.done:
			return errors.Join(errors.New("flushing the ledger: it is closed"), err)
		case <-ctx.Done():
			return fmt.Errorf("flushing the ledger: %w", errors.Join(context.Cause(ctx), err))
		}
	}
}

func kick(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close writes what waits to the database, if it takes it, and closes everything.
// What it does not take stays in the journal for the next Open.
func (l *Ledger) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closing)
		<-l.done
		err = l.closeFiles()
	})
	return err
}

func (l *Ledger) closeFiles() error {
	var errs []error
	if l.journal != nil {
		errs = append(errs, l.journal.Close())
	}
	if l.store != nil {
		errs = append(errs, l.store.Close())
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}
