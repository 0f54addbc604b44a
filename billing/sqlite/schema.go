package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
)

// migrations bring a database from the version that is their position to the
// next. One that was released is never changed.
var migrations = []string{`
CREATE TABLE line (
	invocation TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	kind TEXT NOT NULL CHECK (kind IN ('intent', 'charge', 'estimate', 'reversal', 'void')),
	writer TEXT NOT NULL,
	sequence INTEGER NOT NULL,
	namespace TEXT NOT NULL,
	namespace_uid TEXT NOT NULL,
	department TEXT NOT NULL,
	caller TEXT NOT NULL,
	function TEXT NOT NULL,
	revision TEXT NOT NULL,
	pool TEXT NOT NULL,
	region TEXT NOT NULL,
	cloud INTEGER NOT NULL,
	reason TEXT NOT NULL,
	admitted INTEGER NOT NULL, -- times are nanoseconds since the Unix epoch, 0 is none
	posted INTEGER NOT NULL,
	deadline INTEGER NOT NULL,
	slots INTEGER NOT NULL,
	milli_cpu INTEGER NOT NULL,
	mib INTEGER NOT NULL,
	started INTEGER NOT NULL,
	duration_us INTEGER NOT NULL,
	provider_billed_ms INTEGER NOT NULL,
	init_us INTEGER NOT NULL,
	memory_mib INTEGER NOT NULL,
	max_memory_mib INTEGER NOT NULL,
	cpu_us INTEGER NOT NULL,
	provider_id TEXT NOT NULL,
	estimated INTEGER NOT NULL,
	outcome INTEGER NOT NULL,
	error TEXT NOT NULL,
	currency TEXT NOT NULL,
	price_version TEXT NOT NULL,
	per_request_femto INTEGER NOT NULL,
	per_gib_second_femto INTEGER NOT NULL,
	per_vcpu_second_femto INTEGER NOT NULL,
	increment_ms INTEGER NOT NULL,
	minimum_ms INTEGER NOT NULL,
	billed_ms INTEGER NOT NULL,
	amount TEXT NOT NULL, -- exact decimal(38,18)
	reserved_nano INTEGER NOT NULL,
	settled_nano INTEGER NOT NULL,
	request_key TEXT NOT NULL,
	PRIMARY KEY (invocation, attempt, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX line_by_admission ON line (admitted);
CREATE INDEX line_settled ON line (namespace, admitted, settled_nano) WHERE settled_nano <> 0;

CREATE TRIGGER line_is_never_updated BEFORE UPDATE ON line
	BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER line_is_never_deleted BEFORE DELETE ON line
	BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TABLE open_intent ( -- intents without a charge, estimate or void
	invocation TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	PRIMARY KEY (invocation, attempt)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER intent_opens AFTER INSERT ON line
	WHEN NEW.kind = 'intent' AND NOT EXISTS (SELECT 1 FROM line
		WHERE invocation = NEW.invocation AND attempt = NEW.attempt AND kind IN ('charge', 'estimate', 'void'))
	BEGIN INSERT INTO open_intent VALUES (NEW.invocation, NEW.attempt); END;
CREATE TRIGGER line_closes_intent AFTER INSERT ON line
	WHEN NEW.cloud AND NEW.kind IN ('charge', 'estimate', 'void')
	BEGIN DELETE FROM open_intent WHERE invocation = NEW.invocation AND attempt = NEW.attempt; END;

CREATE TABLE conflict ( -- lines whose key was taken by a different line
	id INTEGER PRIMARY KEY,
	invocation TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	kind TEXT NOT NULL,
	entry BLOB NOT NULL, -- as billing.AppendEntry writes it
	UNIQUE (invocation, attempt, kind, entry)
) STRICT;
CREATE TRIGGER conflict_is_never_updated BEFORE UPDATE ON conflict
	BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER conflict_is_never_deleted BEFORE DELETE ON conflict
	BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

CREATE TABLE decision ( -- explanations, kept for days
	invocation TEXT PRIMARY KEY,
	at INTEGER NOT NULL,
	json BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX decision_by_time ON decision (at);

CREATE TABLE meta (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	writer TEXT NOT NULL,
	sequence INTEGER NOT NULL, -- of the writer's last line
	probes INTEGER NOT NULL
) STRICT;
`, `
ALTER TABLE line ADD COLUMN cloud_function TEXT NOT NULL DEFAULT ''; -- as bound
`, `
DROP TRIGGER line_closes_intent; -- jobs have intents and run on the premises
CREATE TRIGGER line_closes_intent AFTER INSERT ON line
	WHEN NEW.kind IN ('charge', 'estimate', 'void')
	BEGIN DELETE FROM open_intent WHERE invocation = NEW.invocation AND attempt = NEW.attempt; END;
`}

// migrate creates or upgrades the schema, in one transaction.
func migrate(ctx context.Context, c *sql.Conn) error {
	var version int
	if err := c.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("the database has schema version %d and this program knows up to %d: use the newer program", version, len(migrations))
	}
	if version == len(migrations) {
		return nil
	}
	return inTransaction(ctx, c, func() error {
		for _, statements := range migrations[version:] {
			if _, err := c.ExecContext(ctx, statements); err != nil {
				return err
			}
		}
		if version == 0 {
			if _, err := c.ExecContext(ctx, "INSERT INTO meta VALUES (1, ?, 0, 0)", newWriter()); err != nil {
				return err
			}
		}
		_, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations)))
		return err
	})
}

// newWriter names a new ledger.
func newWriter() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// inTransaction runs do between BEGIN IMMEDIATE and COMMIT, or rolls back.
func inTransaction(ctx context.Context, c *sql.Conn, do func() error) error {
	if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		_, err = c.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// SQLite may have rolled back by itself; then this says so and changes nothing.
		_, _ = c.ExecContext(ctx, "ROLLBACK")
	}
	return err
}
