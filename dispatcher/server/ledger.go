package server

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
)

// Room is the ledger's promise that a call's records will fit.
type Room interface {
	// Reserve takes room for one call's records, or says why there is none.
	Reserve() error
	// Release gives it back when the call is answered.
	Release()
}

// Book takes the records of attempts.
type Book interface {
	// Begin survives a kill of the process once it returns.
	Begin(*billing.Entry) error
	// Intent survives a power cut once it returns.
	Intent(context.Context, *billing.Entry) error
	// Post records a line; it survives a kill of the process once it returns.
	Post(*billing.Entry) error
}

// Archive keeps explanations beyond this process.
type Archive interface {
	Explain(invocation string, at time.Time, explanation []byte)
	Decision(ctx context.Context, invocation string) (json.RawMessage, error)
}

// Ledger is what a Server needs of billing.
type Ledger interface {
	Room
	Book
	Archive
	// Health reports why the ledger cannot take records, or nil.
	Health() error
}

// ledgerRetry is how often a ledger that failed is asked whether it is well.
const ledgerRetry = 500 * time.Millisecond

// post writes the line of an ended attempt. A line that cannot be written stops
// the server from taking more: what is begun and not posted is found after a
// restart, and billed as an estimate.
func (s *Server) post(f dispatcher.Effect) {
	e := s.entry(f.Decision, f.Attempt)
	s.write(f, &e)
}

// postLate writes the estimate of an attempt that was never heard of again.
func (s *Server) postLate(f dispatcher.Effect) {
	if f.Decision != nil && dispatcher.IsJob(f.Decision) {
		lock := s.jobs.lock(f.Decision.Call.ID)
		lock.Lock()
		defer lock.Unlock()
		if err := s.postJob(f); err != nil {
			s.log.Error("ledger line not written", "error", err)
		}
		return
	}
	var e billing.Entry
	if f.Open != nil {
		e = s.openEntry(f.Open)
	} else {
		e = s.entry(f.Decision, f.Attempt)
	}
	s.write(f, &e)
}

func (s *Server) write(f dispatcher.Effect, e *billing.Entry) {
	e.Kind, e.Settled = f.Line, f.Settled
	switch f.Line {
	case billing.KindCharge:
		if err := e.Charge(billing.Meter(e.Usage, e.Rate, kindOf(f))); err != nil {
			s.log.Error("charge out of range; posted as its reservation", "invocation", e.Invocation, "error", err)
			e.Amount = billing.DecimalOf(e.Reserved)
		}
	case billing.KindEstimate:
		e.Amount, e.Usage.Estimated = billing.DecimalOf(f.Settled), true
	}
	if err := s.ledger.Post(e); err != nil {
		s.log.Error("ledger line not written", "invocation", e.Invocation, "attempt", e.Attempt, "kind", e.Kind, "error", err)
		s.ledgerFailed(err)
	}
}

func kindOf(f dispatcher.Effect) spillway.PoolKind {
	return f.Decision.Attempts[f.Attempt-1].Function.Platform.Pools[f.Pool].Kind
}

// entry is the ledger line of one attempt, but for its kind and amounts.
func (s *Server) entry(d *dispatcher.Decision, attempt int) billing.Entry {
	a := &d.Attempts[attempt-1]
	f, p := a.Function, a.Function.Platform
	pool, ns := p.Pools[a.Pool], &p.Namespaces[f.Namespace]
	e := billing.Entry{
		Invocation: d.Call.ID, Attempt: d.Earlier + attempt,
		Namespace: ns.Name, NamespaceUID: ns.UID, Department: ns.Department, Caller: d.Call.Caller,
		Function: f.Name, Revision: f.Revision, Pool: pool.Name, Region: pool.Region, Cloud: pool.Kind.Cloud(),
		Reason: a.Reason, Admitted: d.Admitted.Time(), Posted: time.Now().UTC(), Resources: f.Resources,
		Usage: a.Outcome.Usage, Outcome: a.Outcome.Class, Error: a.Outcome.FunctionError,
		Currency: p.Currency, PriceVersion: pool.PriceVersion, Rate: pool.Rate, Reserved: a.Reserved, RequestKey: d.RequestKey,
	}
	if e.Cloud {
		b := &f.Bindings[a.Pool]
		e.CloudFunction, e.Rate, e.Resources = b.Name, b.Rate, spillway.Resources{Slots: 1, MiB: b.MiB}
		e.Deadline = dispatcher.ProviderDeadline(a).Time()
	}
	return e
}

// openEntry is the line of an attempt that a previous process began. The store
// fills in from the intent what this one does not know.
func (s *Server) openEntry(o *dispatcher.OpenIntent) billing.Entry {
	return billing.EstimateOf(s.restored[openKey{o.Invocation, o.Attempt}], time.Now().UTC())
}

type openKey struct {
	invocation string
	attempt    int
}

// ledgerFailed stops cloud sends, and admission, until the ledger is well again.
func (s *Server) ledgerFailed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sick || s.life.Err() != nil {
		return
	}
	s.sick = true
	s.log.Error("the ledger failed; cloud sends stop until it is well", "error", err)
	s.route(s.engine.Observe(s.clock.now(), dispatcher.Observation{Kind: dispatcher.LedgerDown}))
	s.background.Go(s.awaitLedger)
}

func (s *Server) awaitLedger() {
	ticker := time.NewTicker(ledgerRetry)
	defer ticker.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-ticker.C:
		}
		if s.ledger.Health() == nil {
			break
		}
	}
	s.log.Info("the ledger is well again; cloud sends resume")
	s.mu.Lock()
	s.sick = false
	s.route(s.engine.Observe(s.clock.now(), dispatcher.Observation{Kind: dispatcher.LedgerUp}))
	s.mu.Unlock()
	s.writeOwed()
}
