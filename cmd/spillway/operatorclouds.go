package main

import (
	"context"
	"sync"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config/operator"
	"github.com/spillway-dev/spillway/pools/lambda"
	"github.com/spillway-dev/spillway/pools/scf"
)

// reserveEvery spaces the operator's requests about reserved concurrency to one
// account, beside those of checks: together they are below what clouds take.
const reserveEvery = time.Second / 3

// reserver connects to the clouds of pools with the credentials that those name.
type reserver struct {
	mu     sync.Mutex
	pacers map[string]*pacer // pools of one region may be one account
}

func (r *reserver) pace(pool *spillway.Pool) func(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	place := pool.Kind.String() + " " + pool.Region
	if r.pacers[place] == nil {
		r.pacers[place] = &pacer{every: reserveEvery}
	}
	return r.pacers[place].wait
}

// open reads the pool's credentials, and connects later. What it returns besides ends it.
func (r *reserver) open(ctx context.Context, pool *spillway.Pool) (operator.Reserver, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if pool.Kind == spillway.PoolSCF {
		p, err := scf.New(ctx, pool)
		if err != nil {
			return nil, nil, err
		}
		return p.Reserver(r.pace(pool)), p.Close, nil
	}
	p, err := lambda.New(ctx, pool)
	if err != nil {
		return nil, nil, err
	}
	return p.Reserver(r.pace(pool)), p.Close, nil
}
