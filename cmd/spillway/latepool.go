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
// depend on a cloud's credentials. It says "not executed" until it is open; calls
// do not wait for that.
type latePool struct {
	open func(context.Context) (cloudPool, error)
	log  *slog.Logger

	firstErr error // of opening it at once; not written later

	mu      sync.Mutex
	pool    cloudPool // nil until open
	opening bool
	closed  bool
	retryAt time.Time
	tries   sync.WaitGroup
}

// tryOpen opens the pool, or says why it cannot be opened.
func (p *latePool) tryOpen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	pool, err := p.open(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opening = false
	if err != nil {
		p.retryAt = time.Now().Add(reopenAfter)
		return err
	}
	p.pool = pool
	return nil
}

// opened returns the pool, or nil after it has seen to it that it is tried again.
func (p *latePool) opened() cloudPool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pool == nil && !p.opening && !p.closed && !time.Now().Before(p.retryAt) {
		p.opening = true
		p.tries.Go(func() {
			if err := p.tryOpen(context.Background()); err != nil {
				p.log.Error("a cloud pool cannot be used", "error", err)
			}
		})
	}
	return p.pool
}

// Invoke implements pools.Pool.
func (p *latePool) Invoke(ctx context.Context, r pools.Request) pools.Result {
	pool := p.opened()
	if pool == nil {
		return pools.Result{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseConnect,
			Detail: "the cloud pool is not usable yet; the server's log says why"}}
	}
	return pool.Invoke(ctx, r)
}

// Close closes the pool if it was opened.
func (p *latePool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.tries.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pool != nil {
		p.pool.Close()
		p.pool = nil
	}
}
