package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

const (
	// openWithin bounds one try to open a cloud pool, reopenAfter is how long none
	// follows one that failed.
	openWithin  = 5 * time.Second
	reopenAfter = 30 * time.Second
)

// cloudPool is a pool that was opened.
type cloudPool interface {
	pools.Pool
	Close()
}

// latePool is a cloud pool that may not be open yet: what runs on-prem must not
// depend on a cloud's credentials. It says "not executed" until it is open.
type latePool struct {
	open func(context.Context) (cloudPool, error)
	log  *slog.Logger

	mu      sync.Mutex
	pool    cloudPool // nil until open
	opening bool
	retryAt time.Time
}

// tryOpen opens the pool unless it is open, was tried a moment ago, or is being
// opened by another call.
func (p *latePool) tryOpen(ctx context.Context) (cloudPool, error) {
	p.mu.Lock()
	if p.pool != nil || p.opening || time.Now().Before(p.retryAt) {
		defer p.mu.Unlock()
		return p.pool, nil
	}
	p.opening = true
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	pool, err := p.open(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opening = false
	if err != nil {
		p.retryAt = time.Now().Add(reopenAfter)
		return nil, err
	}
	p.pool = pool
	return pool, nil
}

// Invoke implements pools.Pool.
func (p *latePool) Invoke(ctx context.Context, r pools.Request) pools.Result {
	pool, err := p.tryOpen(ctx)
	if err != nil {
		p.log.Error("a cloud pool cannot be used", "error", err)
	}
	if pool == nil {
		return pools.Result{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseConnect,
			Detail: "the cloud pool is not usable yet; the server's log says why"}}
	}
	return pool.Invoke(ctx, r)
}

// Close closes the pool if it was opened. No call may be running.
func (p *latePool) Close() {
	if p.pool != nil {
		p.pool.Close()
	}
}
