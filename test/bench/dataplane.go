package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// peer is one thing under load.
type peer struct {
	name  string
	proc  *process // whose CPU counts
	url   string
	token string // bearer token, or "sigv4"
}

// dataPlaneSection loads each peer in turn, round after round.
func dataPlaneSection(ctx context.Context, b *bench) error {
	backend, err := b.role(ctx, "backend", "")
	if err != nil {
		return err
	}
	defer backend.stop()
	proxy, err := b.role(ctx, "proxy", backend.addr)
	if err != nil {
		return err
	}
	defer proxy.stop()
	peers := []peer{{"backend, direct", backend, "http://" + backend.addr + "/", ""}, {"httputil.ReverseProxy, tuned", proxy, "http://" + proxy.addr + "/", ""}}
	apart, stop, err := b.proxyApart(ctx, 64)
	if err != nil {
		return err
	}
	defer stop()
	peers = append(peers, apart)
	if nginx, err := b.nginx(ctx, backend.addr); err != nil {
		return err
	} else if nginx != nil {
		defer nginx.stop()
		peers = append(peers, peer{"nginx", nginx, "http://" + nginx.addr + "/", ""})
	}
	config, err := b.platform("plane", 1, 1, 256) // room for all functions at 64 at once
	if err != nil {
		return err
	}
	up, admin, _, err := b.up(ctx, config)
	if err != nil {
		return err
	}
	defer up.stop()
	web := peer{"spillway, web function, bearer token", up, webURL(up.addr, "page"), benchToken}
	all := append(slices.Clone(peers), web, peer{"spillway, web function, a process per request", up, webURL(up.addr, "apart"), benchToken}, peer{"spillway, Lambda contract, bearer token", up, invokeURL(up.addr, 0, 1), benchToken},
		peer{"spillway, Lambda contract, SigV4", up, invokeURL(up.addr, 0, 1), "sigv4"})

	heading("Data plane, POST of 128 B, closed loop (the proxies forward to an HTTP backend, Spillway to the same backend as a web function or to a Lambda function process; CPU is the named process's own)",
		planeColumns...)
	body := []byte(`{"text":"` + strings.Repeat("x", 117) + `"}`)
	for _, workers := range []int{1, 16, 64} {
		b.compare(ctx, all, workers, body)
	}
	b.lostSection(ctx, append(peers, web))
	for name, url := range map[string]string{"dataplane": invokeURL(up.addr, 0, 1), "web": webURL(up.addr, "page")} {
		finish := b.profile(ctx, admin, name, 5)
		if b.profiles != "" {
			fire(ctx, 16, 6*time.Second, post(url, benchToken, body))
		}
		finish()
	}
	return ctx.Err()
}

var planeColumns = []string{"peer", "c", "CPU µs/request", "least to most", "× tuned ReverseProxy", "of it ledger writer", "× without it",
	"p50 µs", "added p50 µs", "p99 µs", "requests/s", "failed"}

// buildsSection loads two builds of the command in turn; with only one it does nothing.
func buildsSection(ctx context.Context, b *bench) error {
	if b.against == "" {
		return nil
	}
	backend, err := b.role(ctx, "backend", "")
	if err != nil {
		return err
	}
	defer backend.stop()
	proxy, err := b.role(ctx, "proxy", backend.addr)
	if err != nil {
		return err
	}
	defer proxy.stop()
	all := []peer{{"backend, direct", backend, "http://" + backend.addr + "/", ""}, {"httputil.ReverseProxy, tuned", proxy, "http://" + proxy.addr + "/", ""}}
	for name, bin := range map[string]string{"this build": b.bin, "the other": b.against} {
		config, err := b.platform("plane-"+filepath.Base(bin), 1, 1, 256)
		if err != nil {
			return err
		}
		up, _, _, err := b.upOf(ctx, bin, config)
		if err != nil {
			return err
		}
		defer up.stop()
		all = append(all, peer{name + ", web function", up, webURL(up.addr, "page"), benchToken}, peer{name + ", Lambda contract", up, invokeURL(up.addr, 0, 1), benchToken})
	}
	slices.SortFunc(all[2:], func(a, b peer) int { return strings.Compare(a.name, b.name) })
	heading("Two builds in turn, POST of 128 B", planeColumns...)
	body := []byte(`{"text":"` + strings.Repeat("x", 117) + `"}`)
	for _, workers := range []int{1, 16, 64} {
		b.compare(ctx, all, workers, body)
	}
	return ctx.Err()
}

// spread is the least and the most of the rounds.
func spread(values []float64) string {
	if len(values) == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f–%.0f", slices.Min(values), slices.Max(values))
}

// lostSection counts connections that a peer ends under a client that would keep
// them: a body of 16 KiB is what loses some behind many proxies.
func (b *bench) lostSection(ctx context.Context, peers []peer) {
	heading("POST of 16 KiB, closed loop on raw connections: lost means closed or reset by the peer, announced or not",
		"peer", "c", "CPU µs/request", "requests", "lost", "lost %")
	body := []byte(`"` + strings.Repeat("x", 16<<10-2) + `"`)
	for _, workers := range []int{1, 4, 16, 64} {
		for _, p := range peers {
			before := p.proc.cpu()
			r := fireRaw(ctx, workers, b.round, p, body)
			cpu := float64((p.proc.cpu() - before).Microseconds())
			row(p.name, workers, fmt.Sprintf("%.0f", cpu/float64(max(1, r.requests))), r.requests, r.lost,
				fmt.Sprintf("%.3f", 100*float64(r.lost)/float64(max(1, r.requests))))
		}
	}
}

// proxyApart is the tuned ReverseProxy before n backend processes that serve one
// request at a time: what isolating calls in processes costs any proxy.
func (b *bench) proxyApart(ctx context.Context, n int) (p peer, stop func(), err error) {
	var all []*process
	stop = func() {
		for _, backend := range all {
			backend.stop()
		}
	}
	var targets []string
	for range n {
		backend, err := b.role(ctx, "backend", "")
		if err != nil {
			stop()
			return peer{}, nil, err
		}
		all, targets = append(all, backend), append(targets, backend.addr)
	}
	proxy, err := b.role(ctx, "proxy", strings.Join(targets, ","))
	if err != nil {
		stop()
		return peer{}, nil, err
	}
	all = append(all, proxy)
	return peer{"httputil.ReverseProxy, tuned, a process per request", proxy, "http://" + proxy.addr + "/", ""}, stop, nil
}

type samples struct {
	cpu, ledger, p50, p99, rate []float64
	failed                      int
}

// compare alternates between the peers and prints the medians of the rounds.
func (b *bench) compare(ctx context.Context, peers []peer, workers int, body []byte) {
	all := make([]samples, len(peers))
	for round := range b.rounds + 1 {
		for i, p := range peers {
			before, ledger := p.proc.cpu(), p.proc.threadCPU("ledger-writer")
			length := b.round
			if round == 0 {
				length = 500*time.Millisecond + time.Duration(workers)*50*time.Millisecond // warm up, cold starts too; not counted
			}
			shoot := post(p.url, p.token, body)
			if p.token == "sigv4" {
				shoot = signed(p.url, body)
			}
			r := fire(ctx, workers, length, shoot)
			if round == 0 || r.requests == 0 {
				continue
			}
			s := &all[i]
			s.cpu = append(s.cpu, float64((p.proc.cpu()-before).Microseconds())/float64(r.requests))
			s.ledger = append(s.ledger, float64((p.proc.threadCPU("ledger-writer")-ledger).Nanoseconds())/1e3/float64(r.requests))
			s.p50 = append(s.p50, float64(r.p50.Microseconds()))
			s.p99 = append(s.p99, float64(r.p99.Microseconds()))
			s.rate = append(s.rate, float64(r.requests)/r.took.Seconds())
			s.failed += r.failed
		}
	}
	direct, base := median(all[0].p50), median(all[1].cpu)
	for i, p := range peers {
		s := &all[i]
		row(p.name, workers, fmt.Sprintf("%.0f", median(s.cpu)), spread(s.cpu), fmt.Sprintf("%.2f", median(s.cpu)/base),
			fmt.Sprintf("%.0f", median(s.ledger)), fmt.Sprintf("%.2f", (median(s.cpu)-median(s.ledger))/base),
			fmt.Sprintf("%.0f", median(s.p50)), fmt.Sprintf("%.0f", median(s.p50)-direct), fmt.Sprintf("%.0f", median(s.p99)),
			fmt.Sprintf("%.0f", median(s.rate)), s.failed)
	}
}
