package pooltest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/pools/pooltest/probe"
)

// patience bounds every wait of the suite; reaching it is a failure.
const patience = 2 * time.Minute

// oracle is told by the probe what really runs.
type oracle struct {
	url string

	mu   sync.Mutex
	runs map[attempt]int
	hold map[attempt]*hold
}

type attempt struct{ invocation, attempt string }

// hold is one connection that a probe keeps open for as long as it lives.
type hold struct {
	arrived chan struct{} // closed when the probe has connected
	release chan struct{} // close to answer it
	gone    chan struct{} // closed when the connection has ended
}

func newOracle(t *testing.T, listen func() (net.Listener, error)) *oracle {
	t.Helper()
	o := &oracle{runs: map[attempt]int{}, hold: map[attempt]*hold{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ran", o.serveRan)
	mux.HandleFunc("POST /hold", o.serveHold)
	server := httptest.NewUnstartedServer(mux)
	if listen != nil {
		l, err := listen()
		if err != nil {
			t.Fatal(err)
		}
		_ = server.Listener.Close()
		server.Listener = l
	}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	o.url = server.URL
	return o
}

func attemptOf(r *http.Request) attempt {
	q := r.URL.Query()
	return attempt{q.Get(probe.CustomInvocation), q.Get(probe.CustomAttempt)}
}

func (o *oracle) serveRan(_ http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runs[attemptOf(r)]++
}

func (o *oracle) serveHold(_ http.ResponseWriter, r *http.Request) {
	h := o.holdOf(attemptOf(r))
	close(h.arrived)
	defer close(h.gone)
	select {
	case <-h.release:
	case <-r.Context().Done():
	}
}

// holdOf returns the connection that a will keep, before or after it came.
func (o *oracle) holdOf(a attempt) *hold {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hold[a] == nil {
		o.hold[a] = &hold{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	}
	return o.hold[a]
}

func (o *oracle) ran(a attempt) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.runs[a]
}

// await fails the test unless c closes.
func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-c:
	case <-ctx.Done():
		t.Fatalf("%s: not within %v", what, patience)
	}
}
