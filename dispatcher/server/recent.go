package server

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/placement"
	"github.com/spillway-dev/spillway/policy"
)

// keptDecisions is how many of the latest decisions are explained from memory.
const keptDecisions = 100_000

// recentDecisions is a ring of the latest decisions.
type recentDecisions struct {
	mu     sync.Mutex
	pages  [][]account // of accountPage each, made when they are needed
	next   int         // where the next one goes
	size   int
	places map[uuid.UUID]int
}

// accountPage is how many accounts are allocated together.
const accountPage = 1 << 10

// account is what is kept of a decision: all of it, or if the call ran at once where
// it was preferred, what an explanation says of that.
type account struct {
	id    uuid.UUID
	whole *dispatcher.Decision // nil for a call that ran as preferred

	function           *spillway.Function
	verdict            *policy.Verdict
	caller             string
	filtered           [spillway.MaxPools]placement.Filter
	admitted, answered spillway.Instant
	ended              spillway.Instant // its attempt
	waited             time.Duration
	// duration and init are in microseconds, billed in milliseconds.
	duration, init, billed int64
	failed                 spillway.FunctionError
	pool                   uint8
	reason                 spillway.Reason
	cold                   bool
	cause                  spillway.Cause
}

func newRecentDecisions(size int) *recentDecisions {
	return &recentDecisions{size: size, places: map[uuid.UUID]int{}}
}

// accountOf is what is worth keeping of d. An id that is no UUID is zero.
func accountOf(d *dispatcher.Decision) account {
	id, _ := uuid.Parse(d.Call.ID)
	last := d.Last()
	if !plain(d) || d.Tries != 1 || d.Limit.Kind != spillway.LimitNone || d.ShadowPool != 0 || last.Reserved != 0 ||
		last.Outcome.Detail != "" || last.Function != d.Call.Function || last.Pool != d.Pool || last.Reason != d.Reason || last.Function.Index < 0 {
		return account{id: id, whole: d}
	}
	u := &last.Outcome.Usage
	return account{
		id: id, function: d.Call.Function, verdict: d.Verdict, caller: d.Call.Caller, filtered: d.Filtered,
		admitted: d.Admitted, answered: d.Answered, ended: last.Ended, waited: d.Waited,
		duration: u.DurationMicros, init: u.InitMicros, billed: u.BilledMillis, failed: last.Outcome.FunctionError,
		pool: uint8(d.Pool), reason: d.Reason, cold: last.Cold, cause: last.Outcome.Cause,
	}
}

// decision is a Decision that is explained as the one the account was made of.
func (a *account) decision() *dispatcher.Decision {
	if a.whole != nil {
		return a.whole
	}
	d := &dispatcher.Decision{
		Call:    spillway.Call{ID: a.id.String(), Function: a.function, Caller: a.caller},
		Verdict: a.verdict, Admitted: a.admitted, Answered: a.answered, Pool: int(a.pool), Reason: a.reason,
		Waited: a.waited, Filtered: a.filtered, Tries: 1,
	}
	d.Attempts[0] = dispatcher.Attempt{
		Pool: int(a.pool), Function: a.function, Reason: a.reason, Cold: a.cold, Ended: a.ended,
		Outcome: spillway.Outcome{Class: spillway.Executed, Cause: a.cause, FunctionError: a.failed,
			Usage: spillway.Usage{DurationMicros: a.duration, InitMicros: a.init, BilledMillis: a.billed}},
	}
	return d
}

func (r *recentDecisions) add(d *dispatcher.Decision) {
	a := accountOf(d)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next/accountPage == len(r.pages) {
		r.pages = append(r.pages, make([]account, accountPage))
	}
	at := &r.pages[r.next/accountPage][r.next%accountPage]
	if r.places[at.id] == r.next {
		delete(r.places, at.id)
	}
	*at = a
	r.places[a.id] = r.next
	r.next = (r.next + 1) % r.size
}

func (r *recentDecisions) find(id string) *dispatcher.Decision {
	key, err := uuid.Parse(id)
	if err != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.places[key]; ok {
		a := r.pages[at/accountPage][at%accountPage]
		return a.decision()
	}
	return nil
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
	if text := s.explainJob(invocation); text != nil {
		return text, nil
	}
	if d := s.recent.find(invocation); d != nil {
		return json.Marshal(dispatcher.Explain(d))
	}
	return s.ledger.Decision(ctx, invocation)
}
