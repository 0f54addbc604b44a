package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	benchKey   = "BENCHKEY000000000001"
	benchToken = "bench-token-0123456789abcdef" // also the secret of benchKey
)

// platform writes a configuration directory with n echo functions over the given
// number of namespaces and one web function, and returns it.
func (b *bench) platform(name string, functions, namespaces, slots int) (string, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, `apiVersion: spillway.dev/v1alpha1
kind: Server
metadata: {name: server}
spec:
  dataDir: %s
  auth:
    anonymous: false
    tokens: [{tokenFrom: {file: token}, identity: bench, invoke: ["*"]}]
    keys: [{accessKeyID: BENCHKEY000000000001, secretFrom: {file: token}, identity: bench, invoke: ["*"]}]
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec: {kind: process, capacity: {slots: %d, cpu: "1000", memory: 100Gi}}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: default}
spec: {mode: OnPremOnly, order: [onprem]}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: page, namespace: ns0}
spec:
  contract: http
  concurrency: 64
  revisions: [{name: v1, package: {path: %s}}]
  resources: {cpu: 10m, memory: 128Mi}
  timeout: 10s
  deadline: 30s
  maxWait: 20s
  burstPolicy: default
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: apart, namespace: ns0}
spec:
  contract: http
  revisions: [{name: v1, package: {path: %s}}]
  resources: {cpu: 10m, memory: 128Mi}
  timeout: 10s
  deadline: 30s
  maxWait: 20s
  burstPolicy: default
`, filepath.Join(b.dir, name+"-data"), slots, b.web, b.web)
	for i := range functions {
		if i%1000 == 999 { // a file has at most 1 MiB
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("part%d.yaml", i)), text.Bytes(), 0o644); err != nil {
				return "", err
			}
			text.Reset()
		}
		fmt.Fprintf(&text, `---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: f%d, namespace: ns%d}
spec:
  revisions: [{name: v1, package: {path: %s}}]
  resources: {cpu: 10m, memory: 128Mi}
  timeout: 10s
  deadline: 30s
  maxWait: 20s
  burstPolicy: default
`, i, i%namespaces, b.echo)
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(benchToken+"\n"), 0o600); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "platform.yaml"), text.Bytes(), 0o644)
}

// up starts `spillway up` and waits until it is ready.
func (b *bench) up(ctx context.Context, config string) (p *process, admin string, ready time.Duration, err error) {
	return b.upOf(ctx, b.bin, config)
}

func (b *bench) upOf(ctx context.Context, bin, config string) (p *process, admin string, ready time.Duration, err error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, "", 0, err
	}
	if admin, err = freeAddr(); err != nil {
		return nil, "", 0, err
	}
	started := time.Now()
	p, err = b.spawn(ctx, filepath.Base(config), addr, bin, "up", "--config", config, "--listen", addr, "--admin", admin)
	if err != nil {
		return nil, "", 0, err
	}
	for {
		if resp, err := http.Get("http://" + admin + "/readyz"); err == nil { //nolint:noctx // bounded by the caller's run
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p, admin, time.Since(started), nil
			}
		}
		if ctx.Err() != nil || time.Since(started) > time.Minute {
			p.stop()
			return nil, "", 0, fmt.Errorf("spillway did not become ready; its log is in %s", p.log.Name())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func invokeURL(addr string, i, namespaces int) string {
	return fmt.Sprintf("http://%s/namespaces/ns%d/functions/f%d/invoke", addr, i%namespaces, i)
}

// webURL is of a web function that takes up to 64 requests at once, and of the same
// one request at a time: page and apart.
func webURL(addr, function string) string {
	return "http://" + addr + "/namespaces/ns0/functions/" + function + "/"
}

// profile saves a CPU profile of a running server while work runs.
func (b *bench) profile(ctx context.Context, admin, name string, seconds int) func() {
	if b.profiles == "" {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, seconds), nil)
		if err != nil {
			return
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		if f, err := os.Create(filepath.Join(b.profiles, name+".pprof")); err == nil {
			_, _ = f.ReadFrom(resp.Body)
			f.Close()
		}
	}()
	return func() { <-done }
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d.Microseconds())/1e3) }

func median(values []float64) float64 {
	s := append([]float64(nil), values...)
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
	if len(s) == 0 {
		return 0
	}
	return s[len(s)/2]
}
