package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// witnesses know which calls ran, how often and where.
type witnesses struct {
	url string

	mu     sync.Mutex
	seen   map[string]*seen
	inPods int // now
	most   int // of them
	cloud  int
	mostIn int // in the cloud
}

// seen is one call, by the id in its payload.
type seen struct {
	began, ended, cloud int
	pod                 string
}

// witness listens where pods reach it.
func (w *world) witness() *witnesses {
	w.t.Helper()
	l, err := w.Listen(w.t.Context(), "tcp", kubetest.NodeAddress+":0")
	must(w.t, err)
	n := &witnesses{url: "http://" + l.Addr().String(), seen: map[string]*seen{}}
	s := &http.Server{Handler: n}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	w.t.Cleanup(func() { s.Close(); <-done })
	return n
}

// of returns the record of a call; mu is held.
func (n *witnesses) of(id string) *seen {
	if n.seen[id] == nil {
		n.seen[id] = &seen{}
	}
	return n.seen[id]
}

// ServeHTTP implements http.Handler.
func (n *witnesses) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := n.of(r.FormValue("id"))
	one.pod = r.FormValue("pod")
	if strings.HasSuffix(r.URL.Path, "/began") {
		one.began++
		n.inPods++
		n.most = max(n.most, n.inPods)
	} else {
		one.ended++
		n.inPods--
	}
}

// Handle is the function in the cloud.
func (n *witnesses) Handle(ctx context.Context, call cloud.Event) ([]byte, error) {
	var e struct {
		ID     string `json:"id"`
		Millis int    `json:"millis"`
	}
	if err := json.Unmarshal(call.Payload, &e); err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.of(e.ID).cloud++
	n.cloud++
	n.mostIn = max(n.mostIn, n.cloud)
	n.mu.Unlock()
	defer func() { n.mu.Lock(); n.cloud--; n.mu.Unlock() }()
	select {
	case <-time.After(time.Duration(e.Millis) * time.Millisecond):
		return json.Marshal(map[string]string{"id": e.ID, "version": call.Version})
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *witnesses) look(id string) seen {
	n.mu.Lock()
	defer n.mu.Unlock()
	return *n.of(id)
}

// gone notes that a call that began will not say that it has ended.
func (n *witnesses) gone() {
	n.mu.Lock()
	n.inPods--
	n.mu.Unlock()
}

// twice returns the calls that were run more than once, anywhere.
func (n *witnesses) twice() (ids []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, s := range n.seen {
		if s.began+s.cloud > 1 && id != "" {
			ids = append(ids, fmt.Sprintf("%s %+v", id, *s))
		}
	}
	return ids
}

func (n *witnesses) payload(id string, millis int) string {
	return fmt.Sprintf(`{"id":%q,"tell":%q,"millis":%d}`, id, n.url, millis)
}

// prober calls again and again, as many workers at once, each with an id of its own.
type prober struct {
	w       *world
	stop    chan struct{}
	workers sync.WaitGroup

	mu      sync.Mutex
	answers []probed
}

type probed struct {
	answer
	id      string
	err     error
	refused time.Duration // how long connections were
	took    time.Duration
}

func (p probed) good() bool { return p.err == nil && p.status == http.StatusOK && p.errors == "" }

// String is for messages of tests.
func (p probed) String() string {
	return fmt.Sprintf("{%s after %s, refused for %s: %d %s %s %q %s, error %v}", p.id, p.took, p.refused, p.status, p.pool, p.reason, p.errors, p.body, p.err)
}

// patience is how long a client tries whose connections are refused: longer than a server
// takes to start on a busy machine.
const patience = time.Minute

func (w *world) probe(n *witnesses, name, function string, workers, millis int) *prober {
	p := &prober{w: w, stop: make(chan struct{})}
	for k := range workers {
		p.workers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-p.stop:
					return
				default:
				}
				one := w.callPatiently(fmt.Sprintf("%s-%d-%d", name, k, i), function, n, millis)
				p.mu.Lock()
				p.answers = append(p.answers, one)
				p.mu.Unlock()
			}
		})
	}
	return p
}

// callPatiently tries again while connections are refused, for patience at most.
func (w *world) callPatiently(id, function string, n *witnesses, millis int) (one probed) {
	began := time.Now()
	for {
		one = probed{id: id, took: time.Since(began)}
		tried := time.Now()
		one.answer, one.err = w.call(w.web(), w.token, function, n.payload(id, millis))
		one.refused, one.took = tried.Sub(began).Truncate(time.Millisecond), time.Since(began)
		// Without a connection nothing was sent: it is as safe to try again as when refused.
		if dial, never := errors.AsType[*net.OpError](one.err); !never || dial.Op != "dial" || one.refused > patience {
			return one
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// end stops the workers and returns all answers, and those that are not good.
func (p *prober) end() (all, bad []probed) {
	close(p.stop)
	p.workers.Wait()
	for _, a := range p.answers {
		if !a.good() {
			bad = append(bad, a)
		}
	}
	return p.answers, bad
}

func (p *prober) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.answers)
}

// pools counts answers by pool.
func pools(all []probed) map[string]int {
	by := map[string]int{}
	for _, a := range all {
		by[a.pool]++
	}
	return by
}
