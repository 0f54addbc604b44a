package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// stream is calls of one function that come at random times, whether or not earlier
// ones were answered.
type stream struct {
	namespace, function string
	perSecond           float64
	event               func(*rand.Rand) string
}

// load is one recording: its streams for a time, with rates that are multiplied by
// peak in every third part of five seconds.
type load struct {
	name    string
	lasts   time.Duration
	peak    float64
	streams []stream
}

// loads are slow enough for two busy cores: what is recorded is to be the work of the
// scheduler, not of the machine.
var loads = []load{
	{"calm", 20 * time.Second, 1, []stream{
		{"shop", "thumbnail", 10, thumbnail}, {"media", "report", 8, report}, {"media", "echo", 15, echo},
		{"finance", "payroll", 8, payroll}, {"finance", "report", 6, report},
	}},
	{"burst", 25 * time.Second, 2.5, []stream{
		{"shop", "thumbnail", 12, thumbnail}, {"media", "report", 26, report}, {"media", "echo", 15, echo},
		{"finance", "payroll", 6, payroll}, {"finance", "report", 22, report},
	}},
	{"budget", 30 * time.Second, 1, []stream{
		{"shop", "thumbnail", 8, thumbnail}, {"media", "report", 20, report}, {"finance", "payroll", 6, payroll}, {"finance", "report", 60, report},
	}},
}

func thumbnail(r *rand.Rand) string { return fmt.Sprintf(`{"size":%d}`, 64+64*r.IntN(3)) }

func report(r *rand.Rand) string { return fmt.Sprintf(`{"millis":%d}`, 40+r.IntN(100)) }

func echo(r *rand.Rand) string { return fmt.Sprintf(`{"order":%d}`, r.IntN(1_000_000)) }

func payroll(r *rand.Rand) string {
	return fmt.Sprintf(`{"salaries":[%d,%d]}`, 300_000+r.IntN(400_000), 300_000+r.IntN(400_000))
}

// arrival is a call to be made.
type arrival struct {
	at    time.Duration
	s     *stream
	event string
}

// schedule draws all arrivals, so that a load can be played again.
func (l *load) schedule() []arrival {
	var all []arrival
	for i := range l.streams {
		s := &l.streams[i]
		random := rand.New(rand.NewPCG(uint64(i), 0x10ad))
		for at := time.Duration(0); ; {
			rate := s.perSecond
			if at/(5*time.Second)%3 == 1 {
				rate *= l.peak
			}
			at += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
			if at >= l.lasts {
				break
			}
			all = append(all, arrival{at, s, s.event(random)})
		}
	}
	slices.SortStableFunc(all, func(a, b arrival) int { return int(a.at - b.at) })
	return all
}

// answer is what the client was told of one call.
type answer struct {
	namespace, function, id string
	took                    time.Duration
	err                     error
}

// drive plays the load and waits for all answers.
func (l *load) drive(ctx context.Context, front, token string) []answer {
	plan := l.schedule()
	got := make([]answer, len(plan))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}, Timeout: time.Minute}
	var all sync.WaitGroup
	began := time.Now()
	for i, a := range plan {
		timer := time.NewTimer(time.Until(began.Add(a.at)))
		select {
		case <-ctx.Done():
			timer.Stop()
			got[i].err = context.Cause(ctx)
			continue
		case <-timer.C:
		}
		all.Go(func() { got[i] = a.call(ctx, client, front, token) })
	}
	all.Wait()
	return got
}

func (a *arrival) call(ctx context.Context, client *http.Client, front, token string) answer {
	out := answer{namespace: a.s.namespace, function: a.s.function}
	url := front + "/namespaces/" + a.s.namespace + "/functions/" + a.s.function + "/invoke"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte(a.event)))
	if err != nil {
		out.err = err
		return out
	}
	req.Header.Set("Authorization", "Bearer "+token)
	began := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		out.err = err
		return out
	}
	defer resp.Body.Close()
	_, out.err = io.Copy(io.Discard, resp.Body)
	out.took = time.Since(began)
	out.id = resp.Header.Get("X-Spillway-Invocation")
	if out.err == nil && out.id == "" {
		out.err = fmt.Errorf("call of %s/%s: %s without the name of its invocation", a.s.namespace, a.s.function, resp.Status)
	}
	return out
}
