package server

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// Correct books into budgets what corrections of the ledger settle. Lines of one
// attempt stand together.
func (s *Server) Correct(lines []billing.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return
	}
	now, by := s.clock.now(), spillway.Nano(0)
	for i := range lines {
		e := &lines[i]
		by += e.Settled
		if next := i + 1; next < len(lines) && lines[next].Invocation == e.Invocation && lines[next].Attempt == e.Attempt {
			continue
		}
		s.route(s.engine.Correct(now, spillway.FunctionKey{Namespace: e.Namespace, Name: e.Function}, spillway.InstantOf(e.Admitted), by))
		by = 0
	}
}
