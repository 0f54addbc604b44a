package server

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

// keptDecisions is how many of the latest decisions are explained from memory.
const keptDecisions = 100_000

// recentDecisions is a ring of the latest decisions.
type recentDecisions struct {
	mu   sync.Mutex
	ring []*dispatcher.Decision
	next int
	size int
	byID map[string]*dispatcher.Decision
}

func newRecentDecisions(size int) *recentDecisions {
	return &recentDecisions{size: size, byID: map[string]*dispatcher.Decision{}}
}

func (r *recentDecisions) add(d *dispatcher.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[d.Call.ID] = d
	if len(r.ring) < r.size {
		r.ring = append(r.ring, d)
		return
	}
	delete(r.byID, r.ring[r.next].Call.ID)
	r.ring[r.next] = d
	r.next = (r.next + 1) % r.size
}

func (r *recentDecisions) find(id string) *dispatcher.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byID[id]
}

// keep remembers a decision: all in memory, and those that need explaining for
// longer in the archive.
func (s *Server) keep(d *dispatcher.Decision, a *Answer) {
	s.recent.add(d)
	if d.Refusal == spillway.ReasonNone && !d.Reason.Overflow() && !a.Unknown() {
		return
	}
	if text, err := json.Marshal(a.Explanation); err == nil {
		s.ledger.Explain(d.Call.ID, d.Admitted.Time(), text)
	}
}

// keepOpen keeps the decision of a call that overflows before it is sent: a server
// that is killed meanwhile can still say why it went there.
func (s *Server) keepOpen(d *dispatcher.Decision) {
	if !d.Reason.Overflow() {
		return
	}
	if text, err := json.Marshal(dispatcher.Explain(d)); err == nil {
		s.ledger.Explain(d.Call.ID, d.Admitted.Time(), text)
	}
}

// Explain returns the explanation of an invocation as JSON: from memory, else from
// the archive, else what its ledger lines still tell. ErrUnknownInvocation means
// that none of them knows it.
func (s *Server) Explain(ctx context.Context, invocation string) (json.RawMessage, error) {
	if d := s.recent.find(invocation); d != nil {
		return json.Marshal(dispatcher.Explain(d))
	}
	return s.ledger.Decision(ctx, invocation)
}
