package kube

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

const (
	maxReviews = 64 // of a kind, under way at once
	// reviewTimeout bounds a review with its wait for a slot.
	reviewTimeout = 3 * time.Second
	// After a review failed, its question is not asked again for askAgain, and what is
	// remembered is served without waiting for another one for away.
	askAgain = time.Second
	away     = 10 * time.Second
	// settling is how long after a failed review a no to what was allowed is not believed:
	// an API server that has just started refuses all before it has read its roles.
	settling = 15 * time.Second
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
	slots   chan struct{}
	failing atomic.Bool // the latest review
	metrics kindMetrics
	log     *slog.Logger
}

// entry is a good answer.
type entry[V any] struct {
	answer answer[V]
	asked  time.Time
	until  time.Time                 // it may be served by, if nobody can be asked
	failed atomic.Pointer[time.Time] // when a later review did
	asking atomic.Bool               // a review is under way that nobody waits for
}

// failedWithin reports that a review failed not longer than that ago.
func (e *entry[V]) failedWithin(d time.Duration, now time.Time) bool {
	at := e.failed.Load()
	return at != nil && now.Sub(*at) < d
}

func newMemory[V any](l limits, m *metrics, log *slog.Logger) *memory[V] {
	good, err := lru.New[key, *entry[V]](l.yes)
	if err != nil { // for sizes below 1 only
		panic(err)
	}
	bad, err := lru.New[key, time.Time](l.no)
	if err != nil {
		panic(err)
	}
	return &memory[V]{limits: l, good: good, bad: bad, slots: make(chan struct{}, maxReviews), metrics: m.of(l.kind), log: log}
}

// look returns what is remembered of k, or what ask says. An error means that nobody
// knows now.
func (m *memory[V]) look(ctx context.Context, k key, ask func(context.Context) (answer[V], error)) (answer[V], error) {
	now := time.Now()
	e, known := m.good.Get(k)
	switch {
	case known && now.Sub(e.asked) < m.fresh:
		if now.Sub(e.asked) >= m.fresh*3/4 {
			m.askBeside(k, e, now, ask)
		}
		m.metrics.hit.Inc()
		return e.answer, nil
	case known && e.failedWithin(away, now) && now.Before(e.until):
		m.askBeside(k, e, now, ask)
		return m.served(e), nil
	case !known:
		if until, bad := m.bad.Get(k); bad && now.Before(until) {
			m.metrics.refused.Inc()
			return answer[V]{}, nil
		}
	}
	m.metrics.miss.Inc()
	var failed error
	select {
	case r := <-m.begin(k, ask):
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
func (m *memory[V]) askBeside(k key, e *entry[V], now time.Time, ask func(context.Context) (answer[V], error)) {
	if !e.failedWithin(askAgain, now) && e.asking.CompareAndSwap(false, true) {
		m.begin(k, ask)
	}
}

// begin starts a review, or joins the one of k that is under way. Nobody need wait
// for its end.
func (m *memory[V]) begin(k key, ask func(context.Context) (answer[V], error)) <-chan singleflight.Result {
	return m.flight.DoChan(string(k[:]), func() (any, error) {
		// It is not the review of one request alone, and does not end with that.
		ctx, cancel := context.WithTimeout(context.Background(), reviewTimeout)
		defer cancel()
		asked := time.Now()
		a, err := m.review(ctx, ask)
		m.told(err)
		unsettled := m.unsettled(k)
		switch {
		case err != nil:
			if e, known := m.good.Peek(k); known {
				now := time.Now()
				e.failed.Store(&now)
				e.asking.Store(false)
			}
			return nil, err
		case a.good:
			m.metrics.yes.Inc()
			m.good.Add(k, m.keep(a, asked))
			m.bad.Remove(k)
		case unsettled != nil:
			unsettled.asking.Store(false)
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
func (m *memory[V]) review(ctx context.Context, ask func(context.Context) (answer[V], error)) (answer[V], error) {
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
		return ask(ctx)
	case <-ctx.Done():
		return answer[V]{}, fmt.Errorf("waiting for %d other reviews: %w", maxReviews, ctx.Err())
	}
}

func (m *memory[V]) keep(a answer[V], asked time.Time) *entry[V] {
	e := &entry[V]{answer: a, asked: asked, until: asked.Add(m.outage)}
	if !a.ends.IsZero() && a.ends.Before(e.until) {
		e.until = a.ends
	}
	return e
}

// told logs when reviews begin to fail, and when they no longer do.
func (m *memory[V]) told(err error) {
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
