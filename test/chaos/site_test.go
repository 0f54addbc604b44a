package chaos

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/agent/scf/envelope"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

const (
	keyID     = "AKIAEXAMPLECHAOS0001"
	keySecret = "chaos-secret-0123456789abcdefghijklmno"
)

// attempt names one execution.
type attempt struct {
	invocation string
	n          int // from 1
}

// site is one stand-in of a cloud, with what it was sent and what its functions saw.
type site struct {
	pool     string
	provider string
	endpoint string
	cloud    *cloud.Server
	fails    int // each so many executions end in an error of the function; 0: none

	mu   sync.Mutex
	sent map[attempt]int
	ran  map[attempt]int
	runs int
	gate *gate
}

// newSite runs a stand-in with one function until the test ends.
func newSite(t testing.TB, pool, provider string, seed uint64) *site {
	t.Helper()
	s := &site{pool: pool, provider: provider, sent: map[attempt]int{}, ran: map[attempt]int{}}
	config := cloud.Config{Provider: provider, Keys: map[string]string{keyID: keySecret}, FaultSeed: seed,
		Functions: []cloud.Function{{Name: "work", Qualifiers: map[string]string{"live": "1"}, MiB: 128, Timeout: time.Second, Handle: s.work}}}
	var err error
	s.cloud, err = cloud.New(config)
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		serving.Wait()
		if err := s.cloud.Close(); err != nil {
			t.Error(err)
		}
	})
	s.endpoint = "http://" + l.Addr().String()
	return s
}

// ServeHTTP counts a request and hands it to the cloud.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the body broke off", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.sent[s.named(r.Header, body)]++
	wait := s.gate
	s.mu.Unlock()
	if wait != nil {
		wait.pass(r.Context())
	}
	s.cloud.ServeHTTP(w, r)
}

// named reads which attempt a request is of.
func (s *site) named(h http.Header, body []byte) attempt {
	if s.provider == cloud.SCF {
		var in struct{ Event string }
		_ = json.Unmarshal(body, &in) // no JSON: no attempt
		return attemptIn(in.Event)
	}
	text, _ := base64.StdEncoding.DecodeString(h.Get("X-Amz-Client-Context"))
	return attemptOf(string(text))
}

// attemptIn reads the client context in an event for SCF.
func attemptIn(event string) attempt {
	_, text := envelope.Unwrap([]byte(event))
	return attemptOf(text)
}

func attemptOf(clientContext string) attempt {
	var c struct {
		Custom map[string]string `json:"custom"`
	}
	_ = json.Unmarshal([]byte(clientContext), &c) // no JSON: no attempt
	n, _ := strconv.Atoi(c.Custom["spillway-attempt"])
	return attempt{c.Custom["spillway-invocation"], n}
}

// work is the function in the cloud: it counts and answers.
func (s *site) work(_ context.Context, e cloud.Event) ([]byte, error) {
	name := attemptOf(e.ClientContext)
	if s.provider == cloud.SCF {
		name = attemptIn(string(e.Payload))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran[name]++
	s.runs++
	if s.fails > 0 && s.runs%s.fails == 0 {
		return nil, errors.New("the function failed on purpose")
	}
	return []byte(`{"cloud":true}`), nil
}

// seen are copies of what was sent here and what ran here.
func (s *site) seen() (sent, ran map[attempt]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.sent), maps.Clone(s.ran)
}

// fired is how often each kind of fault has spoilt a call.
func (s *site) fired() map[cloud.Kind]int {
	found := map[cloud.Kind]int{}
	for _, f := range s.cloud.State().Faults {
		found[f.Kind] += f.Fired
	}
	return found
}

// together holds all requests from now on until n are here, so that none has an
// answer before the last was sent.
func (s *site) together(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = &gate{missing: n, open: make(chan struct{})}
}

// gate opens for good when enough have come.
type gate struct {
	mu      sync.Mutex
	missing int
	open    chan struct{}
}

func (g *gate) pass(ctx context.Context) {
	g.mu.Lock()
	if g.missing--; g.missing == 0 {
		close(g.open)
	}
	g.mu.Unlock()
	select {
	case <-g.open:
	case <-ctx.Done(): // the client has given up
	}
}
