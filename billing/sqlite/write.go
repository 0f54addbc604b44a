package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/billing"
)

// maxGroup bounds the lines of one transaction, and so how long a write waits.
const maxGroup = 1024

// Decision is the explanation of one invocation.
type Decision struct {
	Invocation string
	At         time.Time
	JSON       []byte
}

// Batch is what one Write stores, all of it or nothing. An empty one is written
// too: it probes whether the disk takes writes.
type Batch struct {
	Lines     []billing.Entry
	Decisions []Decision
	// PruneBefore deletes the explanations from before it; zero deletes none.
	PruneBefore time.Time
}

type request struct {
	batch Batch
	done  chan error
}

var insertLine = "INSERT INTO line (" + columns + ") VALUES (?" + strings.Repeat(", ?", columnCount-1) + ") ON CONFLICT DO NOTHING"

// Write stores a batch and returns once it is durable. Lines that are there
// already are skipped if equal; if different they go to the conflict table and
// are counted. The store sets Writer and Sequence. ctx counts only until the write
// begins. Errors: ErrFull, ErrFailed, ErrClosed, or what SQLite said.
func (s *Store) Write(ctx context.Context, b Batch) error {
	if s.writing == nil {
		return fmt.Errorf("writing the ledger %s: it is open for reading only", s.path)
	}
	for i := range b.Lines {
		if err := b.Lines[i].Validate(); err != nil {
			return err
		}
	}
	r := &request{batch: b, done: make(chan error, 1)}
	select {
	case s.requests <- r:
	case <-s.closing:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("writing to the ledger: %w", context.Cause(ctx))
	}
	select {
	case err := <-r.done:
		return err
	case <-s.writerEnd:
	}
	select { // answered before the end
	case err := <-r.done:
		return err
	default:
		return ErrClosed
	}
}

// statements are what the writer needs of its connection.
type statements struct {
	*sql.Conn
	known, decision, sequence *sql.Stmt

	line  driver.StmtExecContext // used within Conn.Raw only
	bound binding
}

func prepareAll(ctx context.Context, c *sql.Conn) (*statements, error) {
	t := &statements{Conn: c}
	// Entries are validated before they get here. SQLite would build a table of the
	// permitted kinds for every line.
	if _, err := c.ExecContext(ctx, "PRAGMA ignore_check_constraints = ON"); err != nil {
		return nil, err
	}
	for query, to := range map[string]**sql.Stmt{
		"SELECT " + columns + " FROM line WHERE invocation = ? AND attempt = ? AND kind = ?":                     &t.known,
		"INSERT INTO decision VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, json = excluded.json": &t.decision,
		"UPDATE meta SET sequence = ?, probes = probes + 1":                                                      &t.sequence,
	} {
		var err error
		if *to, err = c.PrepareContext(ctx, query); err != nil { //nolint:sqlclosecheck // kept for the life of the store; close ends it
			return nil, err
		}
	}
	return t, t.Raw(func(c any) error {
		line, err := c.(driver.ConnPrepareContext).PrepareContext(ctx, insertLine)
		if err == nil {
			t.line = line.(driver.StmtExecContext)
		}
		return err
	})
}

func (t *statements) close() {
	_ = t.Raw(func(any) error { return t.line.(driver.Stmt).Close() })
	t.known.Close()
	t.decision.Close()
	t.sequence.Close()
	t.Conn.Close()
}

var writerName = []byte("ledger-writer\x00")

// write is the writer.
func (s *Store) write(t *statements) {
	// A thread of its own, which ends with it: tools show by name what it costs.
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&writerName[0])), 0, 0, 0)
	defer close(s.writerEnd)
	defer t.close()
	for {
		select {
		case <-s.closing:
			return
		case r := <-s.requests:
			group := s.gather(r)
			err := s.commit(t, group)
			for _, r := range group {
				r.done <- err
			}
		}
	}
}

// gather takes what else waits into the group of first.
func (s *Store) gather(first *request) []*request {
	group, lines := []*request{first}, len(first.batch.Lines)
	for lines < maxGroup {
		select {
		case r := <-s.requests:
			group, lines = append(group, r), lines+len(r.batch.Lines)
		default:
			return group
		}
	}
	return group
}

func (s *Store) commit(t *statements, group []*request) error {
	if failed := s.failed.Load(); failed != nil {
		return *failed
	}
	ctx := context.Background() // a commit once begun is not given up
	sequence, conflicts := s.sequence, s.conflicts.Load()
	err := inTransaction(ctx, t.Conn, func() error {
		for _, r := range group {
			if err := s.store(ctx, t, &r.batch); err != nil {
				return err
			}
		}
		_, err := t.sequence.ExecContext(ctx, s.sequence)
		return err
	})
	if err == nil {
		return nil
	}
	s.sequence = sequence
	s.conflicts.Store(conflicts)
	err = fmt.Errorf("writing the ledger %s: %w", s.path, classify(err))
	if errors.Is(err, ErrFailed) {
		s.failed.Store(&err)
	}
	return err
}

func (s *Store) store(ctx context.Context, t *statements, b *Batch) error {
	for left := b.Lines; len(left) > 0; {
		n, err := t.insert(ctx, left, s.writer, s.sequence)
		s.sequence += int64(n)
		if err != nil {
			return err
		}
		if left = left[n:]; len(left) > 0 {
			if err := s.compare(ctx, t, &left[0]); err != nil {
				return err
			}
			left = left[1:]
		}
	}
	for _, d := range b.Decisions {
		if _, err := t.decision.ExecContext(ctx, d.Invocation, nanos(d.At), d.JSON); err != nil {
			return err
		}
	}
	if b.PruneBefore.IsZero() {
		return nil
	}
	_, err := t.ExecContext(ctx, "DELETE FROM decision WHERE at < ?", nanos(b.PruneBefore))
	return err
}

// insert stores lines up to the first whose key is taken, numbered from after
// sequence, and returns how many. It speaks to the driver: package sql would cost as
// much as a third of the insertion.
func (t *statements) insert(ctx context.Context, lines []billing.Entry, writer string, sequence int64) (n int, err error) {
	err = t.Raw(func(any) error {
		for n < len(lines) {
			result, err := t.line.ExecContext(ctx, t.bound.of(&lines[n], writer, sequence+int64(n)+1))
			if err != nil {
				return err
			}
			if stored, err := result.RowsAffected(); err != nil || stored == 0 {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// compare quarantines e if the line with its key is a different one.
func (s *Store) compare(ctx context.Context, t *statements, e *billing.Entry) error {
	var there row
	err := t.known.QueryRowContext(ctx, e.Invocation, e.Attempt, string(e.Kind)).Scan(there.values()...)
	if err != nil {
		return err
	}
	old, err := there.entry()
	if err != nil {
		return err
	}
	before, err := canonical(old)
	if err != nil {
		return err
	}
	now, err := canonical(*e)
	if err != nil || bytes.Equal(before, now) {
		return err
	}
	result, err := t.ExecContext(ctx, "INSERT INTO conflict (invocation, attempt, kind, entry) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
		e.Invocation, e.Attempt, string(e.Kind), now)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	s.conflicts.Add(n)
	return err
}

// canonical encodes e without what the store itself sets.
func canonical(e billing.Entry) ([]byte, error) {
	e.Writer, e.Sequence = "", 0
	return billing.AppendEntry(nil, &e)
}
