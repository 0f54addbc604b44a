package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/simulator/cloud"
	"github.com/spillway-dev/spillway/test/internal/badday"
)

// standIn is a cloud with its own process.
type standIn struct {
	provider string
	admin    string
	process  *process
}

// weather is one way for both clouds to behave, and what was seen of it.
type weather struct {
	name   string
	short  string // of a profile
	faults func(provider string) []cloud.Fault
	rounds []tally
}

// tally is what clients and clouds saw in a round.
type tally struct {
	local, first     []time.Duration // of the function that stays, and of first choices of the other
	offered          int
	sends            int
	unknown, refused int
	wrong            int // answers that should not be
	cpu              time.Duration
}

// storm is one server with its clouds and clients.
type storm struct {
	b      *bench
	clouds []*standIn
	up     *process
	admin  string
	client *http.Client
}

// chaosSection offers the same load, more than there are places on-prem, in turns
// with clouds that work and clouds that do not. One function stays on-prem, the
// other overflows; calls begin when they are due and not when another has ended.
func chaosSection(ctx context.Context, b *bench) error {
	s := &storm{b: b, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}}}
	defer s.client.CloseIdleConnections()
	defer s.stop()
	if err := s.start(ctx); err != nil {
		return err
	}
	all := []*weather{
		{name: "no faults", short: "calm", faults: func(string) []cloud.Fault { return nil }},
		{name: "30 % throttled, 5 % stalled, 6 % otherwise broken", short: "badday", faults: badday.Faults},
		{name: "the same without throttles", short: "unthrottled", faults: func(string) []cloud.Fault { return badday.Unthrottled() }},
	}
	for n := range b.rounds {
		for i := range all {
			w := all[(n+i)%len(all)] // each follows each
			if err := s.round(ctx, w, 3*b.round); err != nil {
				return err
			}
		}
	}
	heading("Misbehaving clouds: 200 calls/s that stay on-prem, 250 calls/s of 20 ms that overflow from 4 places", "clouds",
		"stays: p50 ms", "p99 ms", "p50 × without faults", "p99 ×", "overflows, on-prem part: p50 ms", "p99 ms", "p50 ×", "p99 ×", "CPU µs/call",
		"calls", "without a place here", "sends", "per call", "per call without a place", "unknown", "refused", "wrong")
	for _, w := range all {
		w.print(all[0])
	}
	return nil
}

// print writes medians of the rounds, and sums of what was counted. Times are
// compared within a turn, with the least and the most of the turns beside the median.
func (w *weather) print(calm *weather) {
	cells := []any{w.name}
	for _, of := range []func(*tally) []time.Duration{func(t *tally) []time.Duration { return t.local }, func(t *tally) []time.Duration { return t.first }} {
		var ratios []any
		for _, percent := range []int{50, 99} {
			var values, times []float64
			for i := range w.rounds {
				value := rank(of(&w.rounds[i]), percent)
				values, times = append(values, value), append(times, value/rank(of(&calm.rounds[i]), percent))
			}
			cells = append(cells, fmt.Sprintf("%.2f", median(values)))
			ratios = append(ratios, fmt.Sprintf("%.2f (%.2f–%.2f)", median(times), slices.Min(times), slices.Max(times)))
		}
		cells = append(cells, ratios...)
	}
	var sum tally
	away := 0
	for _, t := range w.rounds {
		sum.offered, sum.sends, sum.cpu = sum.offered+t.offered, sum.sends+t.sends, sum.cpu+t.cpu
		sum.unknown, sum.refused, sum.wrong = sum.unknown+t.unknown, sum.refused+t.refused, sum.wrong+t.wrong
		away += t.offered - len(t.local) - len(t.first)
	}
	row(append(cells, sum.cpu.Microseconds()/int64(max(1, sum.offered)), sum.offered, away, sum.sends, per(sum.sends, sum.offered), per(sum.sends, away),
		sum.unknown, sum.refused, sum.wrong)...)
}

// rank is a percentile in milliseconds.
func rank(all []time.Duration, percent int) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return float64(sorted[len(sorted)*percent/100].Microseconds()) / 1e3
}

func per(n, of int) string { return fmt.Sprintf("%.3f", float64(n)/float64(max(1, of))) }

// round makes one round of load and waits until nothing is left of it.
func (s *storm) round(ctx context.Context, w *weather, length time.Duration) error {
	before, err := s.ran(ctx)
	if err != nil {
		return err
	}
	for _, c := range s.clouds {
		for _, f := range w.faults(c.provider) {
			if err := s.inject(ctx, c, f); err != nil {
				return err
			}
		}
	}
	profiled := s.b.profile(ctx, strings.TrimPrefix(s.admin, "http://"), "chaos-"+w.short, int(length.Seconds()))
	var t tally
	cpu := s.up.cpu()
	s.load(ctx, length, &t)
	t.cpu = s.up.cpu() - cpu
	profiled()
	after, err := s.ran(ctx)
	if err != nil {
		return err
	}
	t.sends = after - before
	w.rounds = append(w.rounds, t)
	for _, c := range s.clouds {
		if err := s.send(ctx, http.MethodDelete, c.admin+"/faults", nil, http.StatusNoContent, nil); err != nil {
			return err
		}
	}
	return s.settle(ctx)
}

// settle offers load until no breaker is open and no outcome unknown.
func (s *storm) settle(ctx context.Context) error {
	for limit := time.Now().Add(time.Minute); ; {
		s.load(ctx, time.Second, new(tally))
		var v dispatcher.View
		if err := s.send(ctx, http.MethodGet, s.admin+"/v1/quota", nil, http.StatusOK, &v); err != nil {
			return err
		}
		quiet := v.Unknown == 0 && !slices.ContainsFunc(v.Pools, func(p dispatcher.PoolView) bool { return p.Breaker })
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case quiet:
			return nil
		case time.Now().After(limit):
			return fmt.Errorf("a minute after the faults %d outcomes are unknown, pools %+v", v.Unknown, v.Pools)
		}
	}
}

// ran counts the calls that reached either cloud, by its own books: what it
// executed, what its limits refused, and what its faults kept from running.
func (s *storm) ran(ctx context.Context) (sends int, err error) {
	for _, c := range s.clouds {
		var bill cloud.Bill
		var state cloud.State
		if err := s.send(ctx, http.MethodGet, c.admin+"/bill", nil, http.StatusOK, &bill); err != nil {
			return 0, err
		}
		if err := s.send(ctx, http.MethodGet, c.admin+"/state", nil, http.StatusOK, &state); err != nil {
			return 0, err
		}
		sends += bill.Executions + state.InFlight + state.Throttles
		for _, f := range state.Faults {
			switch f.Kind {
			case cloud.Throttle, cloud.ResetBefore, cloud.Stall:
				sends += f.Fired
			}
		}
	}
	return sends, nil
}

func (s *storm) inject(ctx context.Context, c *standIn, f cloud.Fault) error {
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return s.send(ctx, http.MethodPost, c.admin+"/faults", body, http.StatusCreated, nil)
}

// send asks an admin port, and decodes what it answers unless into is nil.
func (s *storm) send(ctx context.Context, method, url string, body []byte, want int, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != want:
		return fmt.Errorf("%s %s answered %d: %s", method, url, resp.StatusCode, text)
	case into == nil:
		return nil
	}
	return json.Unmarshal(text, into)
}

// stream is calls of one function at a rate.
type stream struct {
	function string
	body     string
	every    time.Duration
	stays    bool
}

var streams = []stream{
	{"calm/stays", `{}`, time.Second / 200, true},
	{"busy/overflows", `{"millis":20}`, time.Second / 250, false},
}

// load offers both streams for a while and waits for all answers.
func (s *storm) load(ctx context.Context, length time.Duration, into *tally) {
	began := time.Now()
	var mu sync.Mutex
	var calls, all sync.WaitGroup
	for _, st := range streams {
		all.Go(func() {
			for due := began; due.Sub(began) < length && ctx.Err() == nil; due = due.Add(st.every) {
				time.Sleep(time.Until(due))
				calls.Go(func() {
					status, h := s.call(st)
					took := time.Since(due)
					mu.Lock()
					defer mu.Unlock()
					into.add(st, status, h, took)
				})
			}
		})
	}
	all.Wait()
	calls.Wait()
}

func (s *storm) call(st stream) (status int, h http.Header) {
	namespace, name, _ := strings.Cut(st.function, "/")
	r, err := http.NewRequest(http.MethodPost, "http://"+s.up.addr+"/namespaces/"+namespace+"/functions/"+name+"/invoke", strings.NewReader(st.body))
	if err != nil {
		return 0, nil
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+benchToken)
	resp, err := s.client.Do(r)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, nil
	}
	return resp.StatusCode, resp.Header
}

// add counts one answer. Only calls that stay, or found a place on-prem at once, are
// in the times: any other waits for a cloud.
func (t *tally) add(st stream, status int, h http.Header, took time.Duration) {
	t.offered++
	switch here := h.Get("X-Spillway-Pool") == "onprem" && h.Get("X-Spillway-Reason") == "preferred"; {
	case status == http.StatusOK && st.stays:
		t.local = append(t.local, took)
	case status == http.StatusOK && here:
		t.first = append(t.first, took)
	case st.stays || here:
		t.wrong++
	case status == http.StatusOK: // in a cloud, or on-prem after a cloud had not run it
	case status == http.StatusGatewayTimeout:
		t.unknown++
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		t.refused++
	default:
		t.wrong++
	}
}
