package main

import (
	"context"
	"sync"
	"time"
)

// pacer spaces out requests evenly, for all who share it.
type pacer struct {
	every time.Duration

	mu   sync.Mutex
	next time.Time // when the next request may go
}

// slot takes the next place at or after now.
func (p *pacer) slot(now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := now
	if p.next.After(now) {
		at = p.next
	}
	p.next = at.Add(p.every)
	return at
}

// wait returns when the caller may send, or with ctx's error.
func (p *pacer) wait(ctx context.Context) error {
	timer := time.NewTimer(time.Until(p.slot(time.Now())))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
