package main

import (
	"context"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools/lambda"
	"github.com/spillway-dev/spillway/pools/scf"
)

// readLogsEvery spaces the requests to one cloud's logs: CloudWatch takes 5 a
// second in its smaller regions, and others read too.
const readLogsEvery = time.Second / 4

// executionLog is what a cloud keeps of what functions ran.
type executionLog interface {
	Executions(ctx context.Context, name string, from, to time.Time) ([]spillway.Usage, error)
}

// openLogs are the logs of pools, opened when they are needed.
type openLogs struct {
	open func(context.Context, *spillway.Pool) (executionLog, func(), error)
	logs map[*spillway.Pool]openLog
}

type openLog struct {
	log   executionLog
	close func()
	err   error
}

func (l *openLogs) of(ctx context.Context, p *spillway.Pool) (executionLog, error) {
	o, opened := l.logs[p]
	if !opened {
		o.log, o.close, o.err = l.open(ctx, p)
		l.logs[p] = o
	}
	return o.log, o.err
}

func (l *openLogs) close() {
	for _, o := range l.logs {
		if o.err == nil {
			o.close()
		}
	}
}

// openExecutionLog reads the pool's credentials, and connects later. What it
// returns besides ends it.
func openExecutionLog(ctx context.Context, pool *spillway.Pool) (executionLog, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	pace := (&pacer{every: readLogsEvery}).wait
	if pool.Kind == spillway.PoolSCF {
		p, err := scf.New(ctx, pool)
		if err != nil {
			return nil, nil, err
		}
		return p.Log(pool, pace), p.Close, nil
	}
	p, err := lambda.New(ctx, pool)
	if err != nil {
		return nil, nil, err
	}
	return p.Log(pool, pace), p.Close, nil
}
