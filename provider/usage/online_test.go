package usage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// measured is what a kubelet says: 900m and 3 GiB of a node, of which a guest has 400m
// and 1 GiB, and another pod 300m.
const measured = `{"node":{"nodeName":"n","cpu":{"time":"2026-11-21T11:59:50Z","usageNanoCores":900000001},"memory":{"workingSetBytes":3221225472}},
"pods":[{"podRef":{"name":"g","namespace":"night"},"cpu":{"usageNanoCores":400000000},"memory":{"workingSetBytes":1073741824}},
{"podRef":{"name":"shop","namespace":"day"},"cpu":{"usageNanoCores":300000000},"memory":{"workingSetBytes":1073741824}}]}`

type kubelets struct {
	u    *Usage
	said strings.Builder
	pool *x509.CertPool
}

func newKubelets() *kubelets {
	k := &kubelets{pool: x509.NewCertPool()}
	k.u = New(Config{TLS: &tls.Config{RootCAs: k.pool, MinVersion: tls.VersionTLS13}, Log: slog.New(slog.NewTextHandler(&k.said, nil)), Now: func() time.Time { return noon }})
	k.u.client.Timeout = time.Minute // a busy machine answers late, too
	return k
}

func (k *kubelets) add(t *testing.T, handle http.HandlerFunc) (address string) {
	t.Helper()
	s := httptest.NewTLSServer(handle)
	t.Cleanup(s.Close)
	k.pool.AddCert(s.Certificate())
	return s.Listener.Addr().String()
}

func (k *kubelets) ask(ctx context.Context, hosts ...Host) map[string]Online {
	var mu sync.Mutex
	told := map[string]Online{}
	k.u.Online(ctx, hosts, func(o Online) {
		mu.Lock()
		defer mu.Unlock()
		told[o.Node] = o
	})
	k.u.client.CloseIdleConnections()
	return told
}

// TestOnline: the node without its guests counts; who does not answer, and who does not
// say, keeps nobody waiting and is told of once.
func TestOnline(t *testing.T) {
	k := newKubelets()
	good := k.add(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/stats/summary?only_cpu_and_memory=true" {
			t.Errorf("asked for %s", r.URL.RequestURI())
		}
		fmt.Fprint(w, measured)
	})
	mute := k.add(t, func(_ http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	empty := k.add(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"node":{"nodeName":"n"}}`) })
	hosts := []Host{{"mute", mute, nil}, {"good", good, map[string]bool{"night/g": true}}, {"empty", empty, nil}}
	for range 2 {
		told := k.ask(t.Context(), hosts...)
		got := told["good"]
		got.At = got.At.UTC()
		if want := (Online{"good", noon.Add(-10 * time.Second), 501, 2048}); got != want || len(told) != 1 {
			t.Errorf("told %+v, want only %+v", told, want)
		}
	}
	if n := strings.Count(k.said.String(), "is not known"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &k.said)
	}
	if first := k.u.answering(hosts)[0].Name; first != "good" {
		t.Errorf("%s is asked first, although it did not answer", first)
	}
}

// TestOnlineEnds: a kubelet that never answers does not keep a round from ending.
func TestOnlineEnds(t *testing.T) {
	k := newKubelets()
	asked := make(chan struct{})
	hangs := k.add(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if told := k.ask(ctx, Host{"hangs", hangs, nil}); len(told) > 0 {
		t.Errorf("told %+v", told)
	}
}

// shown are tokens of which each is good until it is refused.
type shown struct {
	mu      sync.Mutex
	refused []string
}

func (s *shown) Current(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint("token-", len(s.refused)), nil
}

func (s *shown) Refused(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = append(s.refused, token)
}

// TestTokenRefused: a token that a kubelet does not know is not shown again; one that may
// not ask is.
func TestTokenRefused(t *testing.T) {
	k, tokens := newKubelets(), &shown{}
	k.u.Tokens = tokens
	strict := k.add(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "Bearer token-0":
			w.WriteHeader(http.StatusUnauthorized)
		case "Bearer token-1":
			w.WriteHeader(http.StatusForbidden)
		}
	})
	for range 3 {
		k.ask(t.Context(), Host{"strict", strict, nil})
	}
	if got := strings.Join(tokens.refused, " "); got != "token-0" {
		t.Errorf("refused: %s", got)
	}
}
