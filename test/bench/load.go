package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// shot makes one request and reports whether the answer was what it should be.
type shot func(client *http.Client) error

// result is one round of load.
type result struct {
	requests int
	failed   int
	p50, p99 time.Duration
	took     time.Duration
}

// fire runs a closed loop of workers for a while.
func fire(ctx context.Context, workers int, length time.Duration, shoot shot) result {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers, MaxConnsPerHost: workers, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var all []time.Duration
	var r result
	started := time.Now()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var own []time.Duration
			failed := 0
			for time.Since(started) < length && ctx.Err() == nil {
				at := time.Now()
				if shoot(client) != nil {
					failed++
				}
				own = append(own, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, own...)
			r.failed += failed
		})
	}
	wg.Wait()
	r.took, r.requests = time.Since(started), len(all)
	slices.Sort(all)
	if len(all) > 0 {
		r.p50, r.p99 = all[len(all)/2], all[len(all)*99/100]
	}
	return r
}

// post is a shot with a JSON body.
func post(url, token string, body []byte) shot {
	return func(client *http.Client) error {
		req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return answered(client, req)
	}
}

func answered(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n == 0) {
		err = fmt.Errorf("status %d, %d bytes", resp.StatusCode, n)
	}
	return err
}

// signed is post with Signature Version 4.
func signed(url string, body []byte) shot {
	signer := v4.NewSigner()
	credentials := aws.Credentials{AccessKeyID: benchKey, SecretAccessKey: benchToken}
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	return func(client *http.Client) error {
		req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
		if err != nil {
			return err
		}
		if err := signer.SignHTTP(req.Context(), credentials, req, digest, "lambda", "us-east-1", time.Now()); err != nil {
			return err
		}
		return answered(client, req)
	}
}
