// Package sqlite keeps the ledger in one SQLite file: append-only, keyed by
// (invocation, attempt, kind), every commit synced (WAL, synchronous=FULL).
//
// One goroutine writes. It takes all writes that wait into one transaction, so
// that many callers share one fsync.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

var (
	// ErrFull reports that the disk, or the size allowed for the file, is full.
	// Nothing of the write was kept; it may be tried again.
	ErrFull = errors.New("the ledger database is full")
	// ErrFailed reports a sync that failed. What is on disk is unknown, so nothing
	// is written until the store is opened anew.
	ErrFailed = errors.New("the ledger database has failed")
	// ErrClosed reports use after Close.
	ErrClosed = errors.New("the ledger database is closed")
)

// Store is safe for concurrent use.
type Store struct {
	path    string
	reading *sql.DB
	columns string // of table line, as this database has them

	writing  *sql.DB // one connection, of the writer; nil when read-only
	writer   string
	sequence int64 // touched by the writer only

	requests  chan *request
	closing   chan struct{}
	closeOnce sync.Once
	writerEnd chan struct{}
	failed    atomic.Pointer[error]
	conflicts atomic.Int64
}

// Open opens the ledger in the file at path, making it if there is none. It
// checks the integrity of the whole file and that the writer's sequence has no
// gap, so it takes a time that grows with the file.
func Open(ctx context.Context, path string) (*Store, error) { return openWith(ctx, path, "") }

// openWith adds pragmas to those of the writer, as a URL query.
func openWith(ctx context.Context, path, pragmas string) (*Store, error) {
	s := &Store{
		path: path, columns: columns, requests: make(chan *request, 1024),
		closing: make(chan struct{}), writerEnd: make(chan struct{}),
	}
	if err := s.open(ctx, pragmas); err != nil {
		return nil, fmt.Errorf("opening the ledger %s: %w", path, errors.Join(err, s.closeDatabases()))
	}
	return s, nil
}

// OpenReadOnly opens an existing ledger for reading, beside a process that writes,
// which may be of an older version.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	s := &Store{path: path, closing: make(chan struct{}), writerEnd: make(chan struct{})}
	close(s.writerEnd)
	var err error
	if s.reading, err = database(path, "mode=ro", 4); err == nil {
		var version int
		err = s.reading.QueryRowContext(ctx, "SELECT writer, user_version FROM meta, pragma_user_version").Scan(&s.writer, &version)
		s.columns = columnsOf(version)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the ledger %s for reading: %w", path, errors.Join(err, s.closeDatabases()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, pragmas string) error {
	var err error
	if s.writing, err = database(s.path, "mode=rwc"+pragmas, 1); err != nil {
		return err
	}
	c, err := s.writing.Conn(ctx)
	if err != nil {
		return err
	}
	if err := s.prepare(ctx, c); err != nil {
		return errors.Join(classify(err), c.Close())
	}
	statements, err := prepareAll(ctx, c)
	if err == nil {
		s.reading, err = database(s.path, "mode=ro", 4)
	}
	if err != nil {
		return errors.Join(err, c.Close()) // closes the statements too
	}
	go s.write(statements)
	return nil
}

// prepare checks the file and brings it up to date.
func (s *Store) prepare(ctx context.Context, c *sql.Conn) error {
	var verdict string
	if err := c.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("the file is damaged (%s): restore it from a backup", verdict)
	}
	if err := migrate(ctx, c); err != nil {
		return err
	}
	// Killed processes leave their write-ahead log behind, and every open reads it
	// whole. On a full disk it has to stay.
	if _, err := c.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil && !errors.Is(classify(err), ErrFull) {
		return err
	}
	if err := c.QueryRowContext(ctx, "SELECT writer, sequence FROM meta").Scan(&s.writer, &s.sequence); err != nil {
		return err
	}
	var lines, last int64
	if err := c.QueryRowContext(ctx, "SELECT count(*), ifnull(max(sequence), 0) FROM line WHERE writer = ?", s.writer).Scan(&lines, &last); err != nil {
		return err
	}
	if lines != s.sequence || last != s.sequence {
		return fmt.Errorf("the file holds %d lines up to sequence %d where %d were written: lines are missing, restore it from a backup", lines, last, s.sequence)
	}
	var conflicts int64
	err := c.QueryRowContext(ctx, "SELECT count(*) FROM conflict").Scan(&conflicts)
	s.conflicts.Store(conflicts)
	return err
}

func database(path, mode string, connections int) (*sql.DB, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	query := mode + "&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)"
	if mode != "mode=ro" {
		query += "&_pragma=journal_mode(WAL)&_pragma=journal_size_limit(67108864)"
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: absolute, RawQuery: query}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// Writer names this ledger; it stays the same for the life of the file.
func (s *Store) Writer() string { return s.writer }

// Conflicts is how many lines were quarantined because their key was taken by a
// different line.
func (s *Store) Conflicts() int64 { return s.conflicts.Load() }

// Close waits for writes under way and closes the file. A second call does nothing.
func (s *Store) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.closing)
		<-s.writerEnd
		err = s.closeDatabases()
	})
	return err
}

func (s *Store) closeDatabases() error {
	var errs []error
	for _, db := range []*sql.DB{s.reading, s.writing} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// classify marks errors that callers must tell apart.
func classify(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch code := e.Code(); {
	case code == codes.SQLITE_IOERR_FSYNC, code == codes.SQLITE_IOERR_DIR_FSYNC:
		return fmt.Errorf("%w: %w; check the disk, then restart", ErrFailed, err)
	case code&0xff == codes.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
