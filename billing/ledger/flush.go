package ledger

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/sqlite"
)

const (
	// maxFlush is how many lines go to the database at once.
	maxFlush = 1000
	// retryEvery is how often a database that failed is tried again.
	retryEvery = 250 * time.Millisecond
	// aliveEvery is how exactly the end of a killed process is known, and how often
	// the journal is tidied.
	aliveEvery = time.Second
	// pruneEvery is how often old explanations are deleted.
	pruneEvery = time.Hour
)

// run is the flusher: it moves lines to the database in batches, probes a
// database that failed, and keeps the journal short.
func (l *Ledger) run() {
	defer close(l.done)
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	armed := true
	var pruned time.Time
	tidied := l.journal.End()
	for {
		select {
		case <-l.closing:
			for l.flush(false) {
			}
			l.tidy(false)
			return
		case <-alive.C:
			l.tidy(true)
			continue
		case <-l.wake:
			if !armed {
				timer.Reset(l.options.FlushEvery)
				armed = true
			}
			continue
		case <-l.urgent:
		case <-timer.C:
			armed = false
		}
		now := l.options.Now()
		prune := now.Sub(pruned) >= pruneEvery
		more := l.flush(prune)
		if l.journal.End()-tidied > tidyAfter {
			tidied = l.tidy(false)
		}
		switch {
		case l.storeFailed() != nil:
			timer.Reset(retryEvery)
			armed = true
			continue
		case more:
			timer.Reset(0)
			armed = true
		}
		if prune {
			pruned = now
		}
	}
}

func (l *Ledger) storeFailed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.storeErr
}

// flush writes one batch, which is a probe if it is empty and the last write
// failed. It reports whether it made progress and more is left.
func (l *Ledger) flush(prune bool) (more bool) {
	l.mu.Lock()
	n, d := min(len(l.pending), maxFlush), min(len(l.decisions), maxFlush)
	lines, decisions := l.pending[:n:n], l.decisions[:d:d]
	idle := n+d == 0 && l.storeErr == nil && !prune
	l.mu.Unlock()
	if idle {
		return false
	}
	batch := sqlite.Batch{Lines: make([]billing.Entry, n), Decisions: decisions}
	for i := range lines {
		batch.Lines[i] = lines[i].entry
	}
	if prune {
		batch.PruneBefore = l.options.Now().Add(-l.options.KeepDecisions)
	}
	err := l.store.Write(context.Background(), batch)
	l.noteStore(err)
	if err != nil {
		return false
	}
	done := make([]attemptKey, n)
	for i := range lines {
		done[i] = attemptKey{lines[i].entry.Invocation, lines[i].entry.Attempt}
	}
	l.forget(done...)
	return l.advance(n, d)
}

// advance takes what was written off the queues and tells those who wait.
func (l *Ledger) advance(lines, decisions int) (more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending, l.decisions = l.pending[lines:], l.decisions[decisions:]
	l.written[0] += int64(lines)
	l.written[1] += int64(decisions)
	if len(l.pending) == 0 {
		l.pending = nil
	}
	if len(l.decisions) == 0 {
		l.decisions = nil
	}
	close(l.flushed)
	l.flushed = make(chan struct{})
	return len(l.pending)+len(l.decisions) > 0
}

// tidyAfter is how many bytes of journal are worth tidying before it is time to.
const tidyAfter = 1 << 20

// tidy drops what the journal no longer needs, and returns its end. Begins that
// would hold back many later records are written anew. With alive it writes a sign
// of life if attempts run.
func (l *Ledger) tidy(alive bool) (end int64) {
	l.mu.Lock()
	needed, running := l.needed()
	l.mu.Unlock()
	if running && alive {
		now := binary.LittleEndian.AppendUint64([]byte{recordAlive}, uint64(l.options.Now().UnixNano()))
		// Without room for it an estimate after a kill is only less exact.
		_, _ = l.journal.AppendUnreserved(now)
	}
	if l.journal.End()-needed > carryAfter {
		l.carry()
		l.mu.Lock()
		needed, _ = l.needed()
		l.mu.Unlock()
	}
	// A file that could not be deleted is found and deleted after the next start.
	_ = l.journal.Drop(needed)
	return l.journal.End()
}

// carryAfter is how far, in bytes, the journal may run on behind an attempt that
// does not end.
const carryAfter = 32 << 20

// needed returns the position of the first record that is still needed, and
// whether on-prem attempts run. The caller holds mu.
func (l *Ledger) needed() (position int64, running bool) {
	position = l.journal.End()
	if len(l.pending) > 0 {
		position = min(position, l.oldestPending())
	}
	for _, a := range l.live {
		if a.begin != nil {
			position, running = min(position, a.position), true
		}
	}
	return position, running
}

func (l *Ledger) oldestPending() int64 {
	oldest := l.pending[0].position
	for i := range l.pending[1:] {
		oldest = min(oldest, l.pending[i+1].position)
	}
	return oldest
}

// carry writes the begins of running attempts again, at the end of the journal.
func (l *Ledger) carry() {
	l.mu.Lock()
	old := map[attemptKey]*attempt{}
	for key, a := range l.live {
		if a.begin != nil {
			old[key] = a
		}
	}
	l.mu.Unlock()
	for key, a := range old {
		position, err := l.journal.AppendUnreserved(a.begin)
		if err != nil {
			return // no room; the old records stay
		}
		l.mu.Lock()
		if l.live[key] == a {
			a.position = position
		}
		l.mu.Unlock()
	}
}
