// Package server is the live driver of the Engine: real time, real pools, real
// ledger, one lock.
//
// Every call runs on its caller's goroutine. An event is applied under the lock
// and its effects are handed to the calls they belong to; nothing blocks while
// the lock is held. A call goes on to its end when its client has gone: its
// result may be joined, and what ran must be billed.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/policy"
	"github.com/spillway-dev/spillway/pools"
)

// Policy gives the verdict for one input. It answers always: a policy that fails
// permits nothing.
type Policy interface {
	Evaluate(ctx context.Context, now spillway.Instant, in policy.Input) *policy.Verdict
}

// Config is what a Server drives.
type Config struct {
	Engine *dispatcher.Engine
	Pools  map[int]pools.Pool // by pool index; a pool of instances is a pools.Starter
	Policy Policy
	Ledger Ledger
	Keys   []string // request keys answered before a restart
	// Open are the intents that Engine.Restore was given, for their estimates.
	Open []*billing.Entry
	// Jobs are the intents of jobs that are open, and Records what the ledger has of
	// earlier ones; Records may be nil where none are.
	Jobs    []*billing.Entry
	Records Records
	Logger  *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics
}

// Server is safe for concurrent use.
type Server struct {
	policy  Policy
	ledger  Ledger
	log     *slog.Logger
	metrics *Metrics

	scene    atomic.Pointer[scene]
	restored map[openKey]*billing.Entry
	joins    *joinTable
	recent   *recentDecisions
	jobs     jobTable

	mu       sync.Mutex
	engine   *dispatcher.Engine
	clock    clock
	timer    *time.Timer
	timerAt  spillway.Instant
	draining bool
	sick     bool // the ledger failed

	calls      sync.WaitGroup // admitted calls
	ended      sync.Pool      // of *call
	background sync.WaitGroup // instances, timer, watchers
	stop       context.CancelFunc
	life       context.Context
}

// New starts driving. Close ends it.
func New(c Config) *Server {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		policy: c.Policy, ledger: c.Ledger, log: c.Logger, metrics: c.Metrics, engine: c.Engine,
		joins: newJoinTable(c.Keys), recent: newRecentDecisions(keptDecisions),
		clock: newClock(),
		jobs:  newJobTable(c.Records),
	}
	s.life, s.stop = context.WithCancel(context.Background())
	s.scene.Store(newScene(c.Engine.Platform(), c.Pools, nil))
	s.restored = make(map[openKey]*billing.Entry, len(c.Open))
	for _, e := range c.Open {
		s.restored[openKey{e.Invocation, e.Attempt}] = e
	}
	s.timer, s.timerAt = time.AfterFunc(time.Hour, s.tick), spillway.Never
	s.timer.Stop()
	s.restoreJobs(c.Jobs)
	for i, p := range c.Pools {
		for _, o := range s.watch(i, p) {
			s.observe(o)
		}
	}
	s.tick()
	return s
}

// Invoke runs one call to its end, or joins the call that the same request began
// before. Errors are the ones of this package; every other ending is an Answer.
// The call goes on when ctx ends; only joining stops then.
func (s *Server) Invoke(ctx context.Context, ask Ask) (*Answer, error) {
	f, err := s.lookup(&ask)
	if err != nil {
		return nil, err
	}
	if ask.RequestKey == "" {
		return s.run(ctx, f, &ask)
	}
	ask.RequestKey = ask.scopedKey()
	j, first, err := s.joins.join(ask.RequestKey, ask.Payload)
	if err != nil {
		return nil, err
	}
	if first {
		var answer *Answer
		err := errEnded // also what those who joined are told if run panics
		defer func() { s.joins.finish(ask.RequestKey, j, answer, err) }()
		if ask.ready != nil {
			if unready := ask.ready(ctx); unready != nil {
				err = fmt.Errorf("%w: %w", errNotBegun, unready)
				return nil, err
			}
		}
		answer, err = s.run(ctx, f, &ask)
		return answer, err
	}
	select {
	case <-j.done:
		return j.answer, j.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the first attempt of this request: %w", context.Cause(ctx))
	}
}

// Preview says what Invoke would decide now; nothing runs and nothing is held.
func (s *Server) Preview(ctx context.Context, ask Ask) (*Answer, error) {
	f, err := s.lookup(&ask)
	if err != nil {
		return nil, err
	}
	verdict, call := s.prepare(ctx, f, &ask)
	d := new(dispatcher.Decision)
	s.mu.Lock()
	s.engine.Preview(s.clock.now(), call, verdict, d)
	s.mu.Unlock()
	return &Answer{Decision: d, Explanation: dispatcher.Explain(d), ExecutedVersion: f.Revision}, nil
}

// lookup finds the function that an Ask names.
func (s *Server) lookup(ask *Ask) (*spillway.Function, error) {
	p := s.scene.Load().platform
	f := p.Function(ask.Function)
	if f == nil {
		return nil, &UnknownFunctionError{Function: ask.Function}
	}
	if ask.pinned() {
		if f = p.RevisionOf(ask.Function, ask.Qualifier); f == nil {
			return nil, &UnknownFunctionError{Function: ask.Function, Qualifier: ask.Qualifier}
		}
	}
	return f, nil
}

// split picks the revision that serves a call that names none.
func (s *Server) split(f *spillway.Function, ask *Ask) *spillway.Function {
	if len(f.Revisions) == 0 || ask.pinned() {
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.Pick(f)
}

// prepare evaluates the policy for a call.
func (s *Server) prepare(ctx context.Context, f *spillway.Function, ask *Ask) (*policy.Verdict, spillway.Call) {
	call := spillway.Call{
		ID: uuid.Must(uuid.NewV7()).String(), Function: f, Caller: ask.Caller, PayloadBytes: ask.bytes(), Pinned: ask.pinned(), OnPremOnly: ask.Web != nil && ask.Web.Body != nil,
		Stale: ask.Stale, Pools: ask.pools,
	}
	if ask.id != "" {
		call.ID = ask.id
	}
	if !ask.Deadline.IsZero() {
		call.Deadline = spillway.InstantOf(ask.Deadline)
	}
	now := spillway.InstantOf(time.Now())
	in := policy.InputOf(f.Platform, f, ask.Caller, call.PayloadBytes, now, s.scene.Load().residency(f))
	return s.policy.Evaluate(context.WithoutCancel(ctx), now, in), call
}

// run takes a call from admission to its answer.
func (s *Server) run(ctx context.Context, f *spillway.Function, ask *Ask) (*Answer, error) {
	f = s.split(f, ask)
	verdict, call := s.prepare(ctx, f, ask)
	c := newCall(s, ask)
	if err := s.ledger.Reserve(); err != nil {
		return c.refuseUnrecorded(call, verdict), nil
	}
	defer s.ledger.Release()
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		return nil, ErrDraining
	}
	s.calls.Add(1)
	defer s.calls.Done()
	now := s.clock.now()
	h, effects := s.engine.Admit(now, call, verdict, c.decision)
	c.handle = h
	s.route(effects)
	s.mu.Unlock()
	answer := c.follow()
	c.release()
	return answer, nil
}

// apply feeds one event to the Engine and routes its effects.
func (s *Server) apply(event func(e *dispatcher.Engine, now spillway.Instant) []dispatcher.Effect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.route(event(s.engine, s.clock.now()))
}

// route hands effects to whom they belong. The lock is held.
func (s *Server) route(effects []dispatcher.Effect) {
	for _, f := range effects {
		switch {
		case s.life.Err() != nil && (f.Kind == dispatcher.StartInstance || f.Kind == dispatcher.StopInstance || f.Line == billing.KindEstimate):
			// Closed: pools end their instances, and an open intent is found again.
		case f.Kind == dispatcher.StartInstance:
			s.background.Go(func() { s.startInstance(f) })
		case f.Kind == dispatcher.StopInstance:
			s.background.Go(func() { s.stopInstance(f) })
		case f.Kind == dispatcher.Post && f.Line == billing.KindEstimate:
			s.background.Go(func() { s.postLate(f) })
		default:
			f.Decision.Owner.(*call).steps <- f
		}
	}
	s.arm()
}

// arm sets the timer to the Engine's next instant. The lock is held.
func (s *Server) arm() {
	next := s.engine.Next()
	if next == s.timerAt || s.life.Err() != nil {
		return
	}
	s.timerAt = next
	if next == spillway.Never {
		s.timer.Stop()
		return
	}
	s.timer.Reset(max(0, next.Sub(s.clock.now())))
}

func (s *Server) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return
	}
	s.timerAt = spillway.Never
	s.route(s.engine.Tick(s.clock.now()))
}

// Refuse refuses new calls from now on, with ErrDraining.
func (s *Server) Refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
}

// Drain refuses new calls and waits for the admitted ones, or for ctx.
func (s *Server) Drain(ctx context.Context) error {
	s.Refuse()
	done := make(chan struct{})
	go func() { s.calls.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		calls, _ := s.InFlight()
		return fmt.Errorf("%d calls still running: %w", calls, context.Cause(ctx))
	}
}

// Abandon refuses calls that have not started, ends those that run, and new ones are
// refused. Each has its answer soon after; Drain waits for that.
func (s *Server) Abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	s.route(s.engine.Abandon(s.clock.now()))
	s.stop()
	s.timer.Stop()
	for _, l := range s.jobs.lapses {
		l.timer.Stop()
	}
}

// Close stops driving. Calls must have been drained, or their pools closed.
func (s *Server) Close() {
	s.Abandon()
	s.background.Wait()
}

// InFlight returns admitted calls, and attempts that may still run in a cloud.
func (s *Server) InFlight() (calls, unknown int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.InFlight()
}

// Ready reports why the server should not be sent calls, or nil.
func (s *Server) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		return ErrDraining
	case s.sick:
		return errors.New("the ledger cannot take records")
	}
	return nil
}
