package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/policy"
)

// Records tell what the ledger has of an invocation; *ledger.Ledger has them.
type Records interface {
	Lookup(ctx context.Context, invocation string) ([]billing.Entry, json.RawMessage, error)
}

// JobAsk asks for room for a job. Its Burst, Before and Since are found by the server.
type JobAsk struct {
	dispatcher.Job
	BurstFunction string // its name, in the job's namespace; empty: none
}

// JobReply is what a job is told.
type JobReply struct {
	State   dispatcher.JobState
	Attempt int
	Pool    string
	Reason  spillway.Reason
	Text    string // what it waits for, or why it was moved or refused
	// RetryAfter is when to ask again; zero: it need not be.
	RetryAfter time.Duration
	// CloudAt is when it goes to a cloud; zero: it does not. Cloud is where, and Cost at
	// most what it is expected to cost there.
	CloudAt  time.Time
	Cloud    string
	Cost     spillway.Nano
	Currency string
	// Explanation is nil if there was no decision.
	Explanation *dispatcher.Explanation
}

const (
	askAgain       = 2 * time.Second      // for a job that waits, if few do
	askEach        = 4 * time.Millisecond // for each that waits: 250 questions a second for up to 7,500
	askAgainLater  = 30 * time.Second     // for one that is refused
	maxMeasuredAge = time.Minute          // of an offline pool's capacity
)

// errUnrecorded says that no intent could be written.
var errUnrecorded = errors.New("the ledger cannot take a record now")

// openJob is what the server keeps of an attempt of a job. It owns a Decision.
type openJob struct {
	entry   billing.Entry // its intent; without an Invocation until it is written
	written bool
}

// jobTable is the half of jobs that is no decision.
type jobTable struct {
	locks   [64]sync.Mutex // by id: an intent is written before an attempt may end
	seed    maphash.Seed
	records Records
	// What follows is guarded by Server.mu.
	lapses map[int]*lapse // by pool, when its capacity is too old
	// strays were open in a namespace or pool that is not there any more, by id.
	strays map[string]*billing.Entry
	// owed are lines that are not written yet. Who writes one holds the lock of its id.
	owed map[openKey]*billing.Entry
}

// lapse is when a pool's capacity was measured, and what looks whether that is too old.
type lapse struct {
	at    time.Time
	timer *time.Timer
}

func newJobTable(r Records) jobTable {
	return jobTable{seed: maphash.MakeSeed(), records: r, lapses: map[int]*lapse{}, strays: map[string]*billing.Entry{}, owed: map[openKey]*billing.Entry{}}
}

func (t *jobTable) lock(uid string) *sync.Mutex {
	return &t.locks[maphash.String(t.seed, uid)%uint64(len(t.locks))]
}

// AdmitJob asks for room for a job, or again what became of it. One that is admitted
// holds what it needs until EndJob; its intent is durable before this returns.
func (s *Server) AdmitJob(ctx context.Context, ask JobAsk) (*JobReply, error) {
	lock := s.jobs.lock(ask.UID)
	lock.Lock()
	defer lock.Unlock()
	verdict, refused := s.judgeJob(ctx, &ask)
	if refused != nil {
		return refused, nil
	}
	if err := s.recall(ctx, &ask.Job); err != nil {
		return nil, err
	}
	reply, owner, err := s.admitJob(ask.Job, verdict)
	if err != nil || reply.State != dispatcher.JobAdmitted || owner.written {
		return reply, err
	}
	return reply, s.intend(ctx, ask.UID, owner)
}

// PreviewJob says what AdmitJob would answer now; nothing is held and nothing kept.
func (s *Server) PreviewJob(ctx context.Context, ask JobAsk) (*JobReply, error) {
	verdict, refused := s.judgeJob(ctx, &ask)
	if refused != nil {
		return refused, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return nil, ErrDraining
	}
	a := s.engine.PreviewJob(s.clock.now(), ask.Job, verdict, &dispatcher.Decision{Owner: new(openJob)})
	return s.replyOf(&a), nil
}

// judgeJob finds the job's burst function and what policy says of the job; refused is
// not nil if it cannot be at all.
func (s *Server) judgeJob(ctx context.Context, ask *JobAsk) (verdict *policy.Verdict, refused *JobReply) {
	p := s.Platform()
	if ask.BurstFunction != "" {
		key := spillway.FunctionKey{Namespace: ask.Namespace, Name: ask.BurstFunction}
		if ask.Burst = p.Function(key); ask.Burst == nil {
			return nil, refusedJob("there is no Function " + key.String() + " to run it in a cloud; name one of its namespace, or none")
		}
	}
	f, err := ask.FunctionOf(p)
	if err != nil {
		return nil, refusedJob(err.Error())
	}
	now := spillway.InstantOf(time.Now())
	in := policy.InputOf(p, f, ask.Caller, 0, now, strings.Join(f.Residency, ","))
	return s.policy.Evaluate(context.WithoutCancel(ctx), now, in), nil
}

func refusedJob(why string) *JobReply {
	return &JobReply{State: dispatcher.JobRefused, Reason: spillway.ReasonDenied, Text: why, RetryAfter: askAgainLater}
}

// recall finds what attempts of a job are on record, if the Engine does not know.
func (s *Server) recall(ctx context.Context, j *dispatcher.Job) error {
	s.mu.Lock()
	known := s.engine.KnowsJob(j.UID)
	s.mu.Unlock()
	if known || s.jobs.records == nil {
		return nil
	}
	lines, _, err := s.jobs.records.Lookup(ctx, j.UID)
	if err != nil {
		return fmt.Errorf("look up earlier attempts of %s: %w", j.UID, err)
	}
	for i := range lines {
		j.Before = max(j.Before, lines[i].Attempt)
		if at := spillway.InstantOf(lines[i].Admitted); j.Since == 0 || at < j.Since {
			j.Since = at
		}
	}
	return nil
}

func (s *Server) admitJob(j dispatcher.Job, verdict *policy.Verdict) (*JobReply, *openJob, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return nil, nil, ErrDraining
	}
	now := s.clock.now()
	a, effects := s.engine.AdmitJob(now, j, verdict, &dispatcher.Decision{Owner: new(openJob)})
	s.route(effects)
	r := s.replyOf(&a)
	if a.Decision == nil {
		return r, nil, nil
	}
	owner := a.Decision.Owner.(*openJob)
	if a.State == dispatcher.JobAdmitted && !owner.written {
		owner.entry = s.entry(a.Decision, 1)
		owner.entry.Kind, owner.entry.Posted = billing.KindIntent, time.Now().UTC()
		if j.Timeout > 0 {
			owner.entry.Deadline = owner.entry.Posted.Add(j.Timeout)
		}
	}
	if a.State == dispatcher.JobRefused || a.State == dispatcher.JobCloud {
		s.keepJob(a.Decision)
	}
	return r, owner, nil
}

// replyOf puts an answer in words. The lock is held.
func (s *Server) replyOf(a *dispatcher.JobAnswer) *JobReply {
	r := &JobReply{State: a.State, Attempt: a.Attempt, Cost: a.Cost, Currency: s.engine.Platform().Currency}
	if a.CloudAt != spillway.Never {
		r.CloudAt = a.CloudAt.Time()
	}
	if a.Cloud >= 0 {
		r.Cloud = s.engine.Platform().Pools[a.Cloud].Name
	}
	switch a.State {
	case dispatcher.JobWaiting:
		r.RetryAfter = askAgainIn(a.Waiting)
	case dispatcher.JobRefused:
		r.RetryAfter, r.Reason = askAgainLater, spillway.ReasonDenied
	}
	if a.Problem != nil {
		r.Text = a.Problem.Error()
	}
	if a.Decision != nil {
		r.Explanation = dispatcher.Explain(a.Decision)
		r.Pool, r.Reason = r.Explanation.Pool, r.Explanation.Reason
		if r.Explanation.Limit != nil {
			r.Text = r.Explanation.Limit.Reads
		}
	}
	return r
}

// askAgainIn is when a job asks again if so many wait: it may miss three times before its
// place is lost, and room that it was given meanwhile lies idle for no longer.
func askAgainIn(waiting int) time.Duration {
	return min(dispatcher.AskWithin/4, max(askAgain, time.Duration(waiting)*askEach))
}

// intend makes the intent of an admitted attempt durable. If it cannot be, the attempt
// is taken back: nothing runs that would be forgotten.
func (s *Server) intend(ctx context.Context, uid string, owner *openJob) error {
	err := s.ledger.Intent(context.WithoutCancel(ctx), &owner.entry)
	if err == nil {
		owner.written = true
		return nil
	}
	s.log.Error("no durable intent of a job, so it is not admitted", "uid", uid, "error", err)
	s.ledgerFailed(err)
	s.apply(func(e *dispatcher.Engine, now spillway.Instant) []dispatcher.Effect { return e.RevokeJob(now, uid) })
	return fmt.Errorf("%w: %w", errUnrecorded, err)
}

// keepJob remembers a decision in memory and in the archive.
func (s *Server) keepJob(d *dispatcher.Decision) {
	s.recent.add(d)
	if text, err := json.Marshal(dispatcher.Explain(d)); err == nil {
		s.ledger.Explain(d.Call.ID, d.Admitted.Time(), text)
	}
}

// explainJob explains an open job.
func (s *Server) explainJob(uid string) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.engine.JobDecision(uid)
	if d == nil {
		return nil
	}
	text, err := json.Marshal(dispatcher.Explain(d))
	if err != nil {
		return nil
	}
	return text
}

// ErrUnknownNode says that no offline pool runs the pods of a node.
var ErrUnknownNode = errors.New("no offline pool runs the pods of this node")

// MeasureOffline takes what a virtual node has now for all that runs there. It counts
// as nothing when it is not told again within a minute; what runs is not ended by that.
func (s *Server) MeasureOffline(node string, found spillway.Resources) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.engine.Platform().Pools {
		if p.Kind != spillway.PoolOffline || p.Node != node || p.Retired {
			continue
		}
		if b, ok := s.pool(i).(besides); ok {
			found = found.Sub(b.Beside())
		}
		s.measure(i, found)
		l := s.jobs.lapses[i]
		if l == nil {
			l = &lapse{timer: time.AfterFunc(maxMeasuredAge, func() { s.lapse(i) })}
			s.jobs.lapses[i] = l
		}
		l.at = time.Now()
		l.timer.Reset(maxMeasuredAge)
		return nil
	}
	return fmt.Errorf("%s: %w", node, ErrUnknownNode)
}

// besides is a pool whose instances hold more than what their functions ask for.
type besides interface{ Beside() spillway.Resources }

func (s *Server) measure(pool int, found spillway.Resources) {
	if s.life.Err() == nil {
		s.route(s.engine.Observe(s.clock.now(), dispatcher.Observation{Kind: dispatcher.PoolCapacity, Pool: pool, Capacity: found}))
	}
}

func (s *Server) lapse(pool int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.jobs.lapses[pool].at) < maxMeasuredAge {
		return // it was measured just now
	}
	s.log.Warn("the virtual node has not said for a while what it has, so nothing new starts there", "pool", s.engine.Platform().Pools[pool].Name)
	s.measure(pool, spillway.Resources{})
}
