package kube

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	// maxReviews is how many reviews of a kind are under way at once to renew what is
	// remembered, and as many for what is not. crowded is how long one waits for its turn.
	maxReviews    = 64
	crowded       = time.Second
	reviewTimeout = 3 * time.Second // without that wait
	// After a review failed, its question is not asked again for askAgain. After one
	// failed that was to renew what is remembered, all that is remembered is served
	// without waiting for another for away.
	askAgain = time.Second
	away     = 10 * time.Second
	// settling is how long after a failed review a no to what was allowed is not believed:
	// an API server that has just started refuses all before it has read its roles.
	settling = 15 * time.Second
)

var (
	// errTooMany is for who may not ask about what is not remembered.
	errTooMany = errors.New("too many questions about unknown tokens")
	// errCrowded says nothing of the API server: it was not asked.
	errCrowded = fmt.Errorf("%d other reviews were under way for %s", maxReviews, crowded)
)

// key is a digest of what is asked about.
type key [sha256.Size]byte

// answer is what a review said.
type answer[V any] struct {
	value V    // if good
	good  bool // yes
	stale bool // remembered longer than it is good for, as there is no newer answer
	// ends is when a good answer ends of itself; zero: never.
	ends time.Time
}

// question is how an answer is had that is not remembered.
type question[V any] struct {
	ask func(context.Context) (answer[V], error)
	// mayAsk is asked before ask about what nothing is remembered of; nil: always.
	mayAsk func() bool
}

// silence is the time of the latest review that failed and was to renew what is
// remembered, and that none has succeeded since.
type silence struct{ since atomic.Pointer[time.Time] }

func (s *silence) within(d time.Duration, now time.Time) bool {
	at := s.since.Load()
	return at != nil && now.Sub(*at) < d
}

// limits say what a memory keeps, and for how long.
type limits struct {
	kind    string        // of the reviews, for metrics and the log
	yes, no int           // how many answers
	fresh   time.Duration // a good answer is served without asking
	refusal time.Duration // a bad one is
	outage  time.Duration // a good one is if nobody can be asked
}

// memory remembers the answers of one kind of review. Bad ones are kept apart, so that
// they push out no good one, however many there are.
type memory[V any] struct {
	limits
	good    *lru.Cache[key, *entry[V]]
	bad     *lru.Cache[key, time.Time] // until when
	flight  singleflight.Group
	renew   chan struct{} // places of reviews of what is remembered
	learn   chan struct{} // of others
	failing atomic.Bool   // the latest review
	silent  *silence      // of the API server, so of all memories
	metrics kindMetrics
	log     *slog.Logger
}

// entry is a good answer.
type entry[V any] struct {
	answer answer[V]
	asked  time.Time
	until  time.Time                 // it may be served by, if nobody can be asked
	failed atomic.Pointer[time.Time] // when a later review did
	beside atomic.Int64              // when one was begun that nobody waits for, in ns since 1970
}

// failedWithin reports that a review failed not longer than that ago.
func (e *entry[V]) failedWithin(d time.Duration, now time.Time) bool {
	at := e.failed.Load()
	return at != nil && now.Sub(*at) < d
}

func newMemory[V any](l limits, m *metrics, silent *silence, log *slog.Logger) *memory[V] {
	good, err := lru.New[key, *entry[V]](l.yes)
	if err != nil { // for sizes below 1 only
		panic(err)
	}
	bad, err := lru.New[key, time.Time](l.no)
	if err != nil {
		panic(err)
	}
	return &memory[V]{limits: l, good: good, bad: bad, renew: make(chan struct{}, maxReviews), learn: make(chan struct{}, maxReviews),
		silent: silent, metrics: m.of(l.kind), log: log}
}

// look returns what is remembered of k, or what q says. An error means that nobody
// knows now.
func (m *memory[V]) look(ctx context.Context, k key, q question[V]) (answer[V], error) {
	now := time.Now()
	e, known := m.good.Get(k)
	switch {
	case known && now.Sub(e.asked) < m.fresh:
		if now.Sub(e.asked) >= m.fresh*3/4 {
			m.askBeside(k, e, now, q)
		}
		m.metrics.hit.Inc()
		return e.answer, nil
	case known && (e.failedWithin(away, now) || m.silent.within(away, now)) && now.Before(e.until):
		m.askBeside(k, e, now, q)
		return m.served(e), nil
	case !known:
		if until, bad := m.bad.Get(k); bad && now.Before(until) {
			m.metrics.refused.Inc()
			return answer[V]{}, nil
		}
		if q.mayAsk != nil && !q.mayAsk() {
			m.metrics.limited.Inc()
			return answer[V]{}, errTooMany
		}
	}
	m.metrics.miss.Inc()
	var failed error
	select {
	case r := <-m.begin(k, known, q):
		if r.Err == nil {
			return r.Val.(answer[V]), nil
		}
		failed = r.Err
	case <-ctx.Done():
		return answer[V]{}, context.Cause(ctx)
	}
	if known && time.Now().Before(e.until) {
		return m.served(e), nil
	}
	return answer[V]{}, failed
}

// served is a good answer that could not be had anew.
func (m *memory[V]) served(e *entry[V]) answer[V] {
	m.metrics.stale.Inc()
	a := e.answer
	a.stale = true
	return a
}

// askBeside renews an entry without anybody waiting for that.
func (m *memory[V]) askBeside(k key, e *entry[V], now time.Time, q question[V]) {
	before, at := e.beside.Load(), now.UnixNano()
	if time.Duration(at-before) >= askAgain && !e.failedWithin(askAgain, now) && e.beside.CompareAndSwap(before, at) {
		m.begin(k, true, q)
	}
}

// begin starts a review, or joins the one of k that is under way. known says that k is
// remembered. Nobody need wait for its end.
func (m *memory[V]) begin(k key, known bool, q question[V]) <-chan singleflight.Result {
	return m.flight.DoChan(string(k[:]), func() (any, error) {
		asked := time.Now()
		a, err := m.review(known, q)
		unsettled := m.unsettled(k)
		switch {
		case errors.Is(err, errCrowded):
			return nil, err
		case err != nil:
			if e, known := m.good.Peek(k); known {
				now := time.Now()
				e.failed.Store(&now)
			}
			return nil, err
		case a.good:
			m.metrics.yes.Inc()
			m.good.Add(k, m.keep(a, asked))
			m.bad.Remove(k)
		case unsettled != nil:
			return m.served(unsettled), nil
		default:
			m.metrics.no.Inc()
			m.good.Remove(k)
			m.bad.Add(k, asked.Add(m.refusal))
		}
		return a, nil
	})
}

// unsettled is what was allowed, if a review of it failed a moment ago; else nil.
func (m *memory[V]) unsettled(k key) *entry[V] {
	e, known := m.good.Peek(k)
	if now := time.Now(); known && e.failedWithin(settling, now) && now.Before(e.until) {
		return e
	}
	return nil
}

// review asks, when few enough others do.
func (m *memory[V]) review(known bool, q question[V]) (answer[V], error) {
	slots := m.learn
	if known {
		slots = m.renew
	}
	late := time.NewTimer(crowded)
	defer late.Stop()
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-late.C:
		return answer[V]{}, errCrowded
	}
	// It is not the review of one request alone, and does not end with that.
	ctx, cancel := context.WithTimeout(context.Background(), reviewTimeout)
	defer cancel()
	a, err := q.ask(ctx)
	m.told(known, err)
	return a, err
}

func (m *memory[V]) keep(a answer[V], asked time.Time) *entry[V] {
	e := &entry[V]{answer: a, asked: asked, until: asked.Add(m.outage)}
	if !a.ends.IsZero() && a.ends.Before(e.until) {
		e.until = a.ends
	}
	return e
}

// told notes how a review ended, and logs when they begin to fail, and when they no
// longer do. Strangers' reviews that fail say nothing of those of others.
func (m *memory[V]) told(known bool, err error) {
	switch now := time.Now(); {
	case err == nil:
		m.silent.since.Store(nil)
	case known:
		m.silent.since.Store(&now)
	}
	if err != nil {
		m.metrics.failed.Inc()
	}
	switch {
	case err != nil && m.failing.CompareAndSwap(false, true):
		m.log.Warn("the API server cannot be asked; what is remembered holds for a while, on-prem only", "review", m.kind, "error", err)
	case err == nil && m.failing.CompareAndSwap(true, false):
		m.log.Info("the API server answers again", "review", m.kind)
	}
}
