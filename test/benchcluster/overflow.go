package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

const (
	waitBudget = 50 * time.Millisecond
	cloudTakes = 20 * time.Millisecond
	places     = 8   // on-prem
	firsts     = 100 // calls that find the pool full, one after another
	atOnce     = 64  // callers under load
	fillFor    = 75 * time.Second
)

// overflowSection fills the on-prem pool and sees what calls then wait for, and then
// lets many more calls come than it can take.
func overflowSection(ctx context.Context, b *bench) (err error) {
	lambda, endpoint, err := b.startCloud(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lambda.close()) }()
	server, err := b.begin(ctx, platform{b.bothPools(endpoint), func(digest map[string]string) []string {
		in := func(name string) string {
			return fmt.Sprintf(", burst: allow, cloud: [{pool: lambda, function: %s, qualifier: live, memory: 128Mi, timeout: 30s}]", name)
		}
		return []string{
			functionOf("shop", "report", packaged(digest["report"]), in("report")),
			functionOf("shop", "away", packaged(digest["report"]), in("report")+", burstPolicy: away"),
			strings.Replace(functionOf("shop", "fill", packaged(digest["report"]), ""), "timeout: 30s", "timeout: 3m", 1),
		}
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	direct, err := b.awayCalls(ctx)
	if err != nil {
		return err
	}
	overflowed, err := b.fullCalls(ctx)
	if err != nil {
		return err
	}
	added := quantile(overflowed, 50) - quantile(direct, 50)
	b.heading(fmt.Sprintf("On-prem full, onPremWaitBudget %s", waitBudget), append(spreadColumns, "added p50 ms", "added p99 ms")...)
	b.spread("answered by the cloud at once (its policy)", direct, "", "")
	b.spread("overflowed after the wait", overflowed, millis(added), millis(quantile(overflowed, 99)-quantile(direct, 99)))
	return b.load(ctx, lambda)
}

func (b *bench) bothPools(endpoint string) string {
	return b.podsAndQuota(stock, "10m", "1m", fmt.Sprintf(", capacity: {slots: %d, cpu: \"100\", memory: 100Gi}", places)) + fmt.Sprintf(`---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: lambda}
spec: {kind: lambda, region: us-east-1, lambda: {endpoint: %q, credentials: {environment: true}}}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: default}
spec: {order: [onprem, lambda], onPremWaitBudget: %s}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: away}
spec: {order: [lambda, onprem]}
`, endpoint, waitBudget)
}

// stand is a stand-in of Lambda in this process.
type stand struct {
	*cloud.Server
	end  context.CancelFunc
	done chan error
}

// startCloud answers as function report does, after a while.
func (b *bench) startCloud(ctx context.Context) (s *stand, endpoint string, err error) {
	server, err := cloud.New(cloud.Config{Region: "us-east-1", Keys: map[string]string{keyID: keySecret}, Concurrency: 1000, Functions: []cloud.Function{{
		Name: "report", Qualifiers: map[string]string{"live": "1"}, MiB: 128, Timeout: 30 * time.Second,
		Handle: func(_ context.Context, call cloud.Event) ([]byte, error) {
			time.Sleep(cloudTakes)
			var millis int
			_, err := fmt.Sscanf(string(call.Payload), `{"millis":%d}`, &millis)
			return []byte(report(millis)), err
		},
	}}})
	if err != nil {
		return nil, "", err
	}
	data, err := b.Listen(ctx, "tcp", kubetest.NodeAddress+":0")
	if err != nil {
		return nil, "", errors.Join(err, server.Close())
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", errors.Join(err, data.Close(), server.Close())
	}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	s = &stand{server, end, make(chan error, 1)}
	go func() { s.done <- server.Run(running, data, admin) }()
	return s, "http://" + data.Addr().String(), nil
}

func (s *stand) close() error {
	s.end()
	return <-s.done
}

// report is what function report answers.
func report(millis int) string { return fmt.Sprintf(`{"rows":%d,"millis":%d}`, 10*millis, millis) }

// reported calls a function that reports after so many milliseconds.
func (b *bench) reported(ctx context.Context, function string, millis int) (answer, error) {
	a, err := b.call(ctx, "shop", function, fmt.Sprintf(`{"millis":%d}`, millis))
	if err == nil && (a.status != http.StatusOK || a.body != report(millis)) {
		err = fmt.Errorf("a report of %d ms: got %+v", millis, a)
	}
	return a, err
}

// awayCalls are answered by the cloud without a wait.
func (b *bench) awayCalls(ctx context.Context) (all []time.Duration, err error) {
	for i := range firsts {
		a, err := b.reported(ctx, "away", i+1)
		if err == nil && a.pool != "lambda" {
			err = fmt.Errorf("it was answered by %s", a.pool)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, a.took)
	}
	return all[10:], nil // without the first, which connect
}

// fullCalls fill the pool with calls that take long and cannot leave it, and are made then.
func (b *bench) fullCalls(ctx context.Context) (all []time.Duration, err error) {
	filled := make([]error, places)
	var fillers sync.WaitGroup
	var ended atomic.Int64
	for i := range places {
		fillers.Go(func() {
			_, filled[i] = b.reported(ctx, "fill", int(fillFor.Milliseconds()))
			ended.Add(1)
		})
	}
	defer func() { fillers.Wait(); err = errors.Join(append(filled, err)...) }()
	err = until(ctx, time.Minute, "the pool is full", func() error {
		n, err := b.metric(ctx, health, `spillway_pool_cold_start_step_duration_seconds_count{pool="onprem",step="init"}`)
		if err == nil && n < places {
			err = fmt.Errorf("%.0f instances have started", n)
		}
		return err
	})
	if err == nil {
		err = pause(ctx, time.Second)
	}
	for i := 0; i < firsts && err == nil; i++ {
		var a answer
		a, err = b.reported(ctx, "report", i+1)
		switch {
		case err == nil && ended.Load() > 0:
			err = fmt.Errorf("the pool was full for %s only: %d of %d calls were made", fillFor, i, firsts)
		case err == nil && a.pool != "lambda":
			err = fmt.Errorf("a call was answered by %s: %s", a.pool, a.reason)
		}
		all = append(all, a.took)
	}
	return all, err
}

// load has many callers, each with the next call as soon as its last is answered.
func (b *bench) load(ctx context.Context, lambda *stand) error {
	before := lambda.Bill().Executions
	var next, lost atomic.Int64
	var mu sync.Mutex
	var all []time.Duration
	by := map[string]int{}
	var first error
	began := time.Now()
	var callers sync.WaitGroup
	for range atOnce {
		callers.Go(func() {
			for n := next.Add(1); n <= int64(b.calls) && ctx.Err() == nil; n = next.Add(1) {
				a, err := b.reported(ctx, "report", 1+int(n%40))
				mu.Lock()
				if err != nil {
					lost.Add(1)
					if first == nil {
						first = err
					}
				}
				by[a.pool+" "+a.reason]++
				all = append(all, a.took)
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	took := time.Since(began)
	in := 0
	for what, n := range by {
		if strings.HasPrefix(what, "lambda ") {
			in += n
		}
	}
	b.heading(fmt.Sprintf("%d calls by %d callers, %d places on-prem", b.calls, atOnce, places), append(spreadColumns, "calls/s", "not answered", "answered by the cloud", "billed by it")...)
	b.spread("report of 1 to 40 ms", all, int(float64(len(all))/took.Seconds()), lost.Load(), in, lambda.Bill().Executions-before)
	fmt.Fprintf(b.out, "\nAnswers by pool and reason: %v.\n", by)
	if first != nil {
		return fmt.Errorf("%d calls were not answered: %w", lost.Load(), first)
	}
	return nil
}
