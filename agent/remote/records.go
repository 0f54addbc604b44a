package remote

import (
	"context"
	"sync"
)

const (
	// keptEndings is how many calls that have ended are remembered, and keptBytes how
	// much of their answers, the newest first.
	keptEndings = 1000
	keptBytes   = 4 << 20
	// keptClients bounds for how many clients it is remembered what was forgotten.
	keptClients = 64
)

// records remember calls, so that none runs twice, and that it can be said how each has
// ended when its answer was lost.
type records struct {
	mu        sync.Mutex
	known     map[ticket]*record
	ended     []*record // the oldest first
	bytes     int
	forgotten map[string]uint64 // the highest number of each client
	lost      bool              // forgotten is not complete
}

// record is one call. The fields below done are written before it is closed; payload is
// guarded by records.mu after that.
type record struct {
	ticket ticket
	ctx    context.Context // of the attempt
	cancel context.CancelFunc
	caller context.Context // of who asked
	leave  context.CancelFunc

	done    chan struct{}
	refused bool // it never came, and will not be run
	ending  ending
	payload []byte
}

// standing is what is known of a ticket.
type standing int

const (
	present standing = iota
	absent           // and it will not be run any more
	beyond           // it may have been, long ago
)

// begin makes a record of a call that is to run now; nil if it must not.
func (k *records) begin(t ticket) *record {
	k.mu.Lock()
	defer k.mu.Unlock()
	if number, some := k.forgotten[t.client]; k.known[t] != nil || some && t.number <= number {
		return nil // it has run, or somebody was told that it will not
	}
	r := &record{ticket: t, done: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.caller, r.leave = context.WithCancel(context.Background())
	k.add(r)
	return r
}

func (k *records) add(r *record) {
	if k.known == nil {
		k.known = map[ticket]*record{}
	}
	k.known[r.ticket] = r
}

// forgot reports that t may have been known.
func (k *records) forgot(t ticket) bool {
	number, some := k.forgotten[t.client]
	return some && t.number <= number || !some && k.lost
}

// end closes the record of a call.
func (k *records) end(r *record, e ending, payload []byte) {
	r.leave()
	r.cancel()
	k.mu.Lock()
	defer k.mu.Unlock()
	r.ending, r.payload = e, payload
	close(r.done)
	k.settle(r)
}

// settle puts an ended record in line, and forgets what has become too much.
func (k *records) settle(r *record) {
	k.ended = append(k.ended, r)
	k.bytes += len(r.payload)
	for at := 0; k.bytes > keptBytes; at++ {
		old := k.ended[at]
		if len(old.payload) > smallPayload {
			k.bytes -= len(old.payload)
			old.payload, old.ending.PayloadLost = nil, true
		}
	}
	for len(k.ended) > keptEndings {
		k.forget(k.ended[0])
		k.ended[0] = nil
		k.ended = k.ended[1:]
	}
}

// smallPayload is kept as long as its ending: all of them are within keptBytes.
const smallPayload = 2 << 10

func (k *records) forget(r *record) {
	delete(k.known, r.ticket)
	k.bytes -= len(r.payload)
	if k.forgotten == nil {
		k.forgotten = map[string]uint64{}
	}
	if _, some := k.forgotten[r.ticket.client]; !some && len(k.forgotten) == keptClients {
		clear(k.forgotten)
		k.lost = true
	}
	k.forgotten[r.ticket.client] = max(k.forgotten[r.ticket.client], r.ticket.number)
}

// find returns the record of a ticket. One that has not come will never be run.
func (k *records) find(t ticket) (*record, standing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.known[t]
	switch {
	case r == nil && k.forgot(t):
		return nil, beyond
	case r == nil:
		r = &record{ticket: t, done: make(chan struct{}), refused: true}
		close(r.done)
		k.add(r)
		k.settle(r)
		return nil, absent
	case r.refused:
		return nil, absent
	}
	return r, present
}

// answer returns how a call has ended; its record's done must be closed.
func (k *records) answer(r *record) (ending, []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return r.ending, r.payload
}
