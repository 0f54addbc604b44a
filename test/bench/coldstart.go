package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// coldStartSection calls functions that have no instance, some at once. Every
// call is to another function, so every call starts a process.
func coldStartSection(ctx context.Context, b *bench) error {
	heading("Cold start of a Go function, request to answer", "at once", "samples", "p50 ms", "p99 ms")
	const functions = 240
	for _, atOnce := range []int{1, 10, 100} {
		config, err := b.platform(fmt.Sprintf("cold%d", atOnce), functions, 1, functions)
		if err != nil {
			return err
		}
		up, _, _, err := b.up(ctx, config)
		if err != nil {
			return err
		}
		times, err := coldCalls(ctx, up.addr, functions, atOnce)
		up.stop()
		if err != nil {
			return err
		}
		row(atOnce, len(times), millis(times[len(times)/2]), millis(times[len(times)*99/100]))
	}
	heading("Floor of the same machine, no HTTP in front: a bare fork and Runtime API without checks, the agent, the process pool (`go test -bench`)",
		"benchmark", "µs/op", "B/op", "allocs/op")
	return goBench(ctx, "Cold|Warm|Call|Start", 1000, "./agent", "./pools/process")
}

// coldCalls calls every function once, in groups of atOnce.
func coldCalls(ctx context.Context, addr string, functions, atOnce int) ([]time.Duration, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}
	defer client.CloseIdleConnections()
	count := functions
	if atOnce == 1 {
		count = 40
	}
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	for first := 0; first+atOnce <= count && ctx.Err() == nil; first += atOnce {
		var wg sync.WaitGroup
		for i := range atOnce {
			wg.Go(func() {
				at := time.Now()
				err := post(invokeURL(addr, first+i, 1), benchToken, []byte(`{}`))(client)
				took := time.Since(at)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed = err
				}
				all = append(all, took)
			})
		}
		wg.Wait()
	}
	slices.Sort(all)
	if failed != nil || len(all) == 0 {
		return nil, fmt.Errorf("a cold call failed: %w", failed)
	}
	return all, nil
}
