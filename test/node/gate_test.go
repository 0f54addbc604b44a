package node

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authentication "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/provider/gate"
)

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

func insecure(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	return &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}} //nolint:gosec // whose certificate it is, is not the question
}

// openGate is a dispatcher that admits everybody, unless it is told otherwise, and
// remembers.
type openGate struct {
	address string

	mu     sync.Mutex
	answer func(gate.Request) gate.Answer // nil: admitted
	open   map[string]gate.Request
	ends   map[string][]gate.End // by UID
}

func newGate(t *testing.T, c *kubetest.Cluster) *openGate {
	t.Helper()
	l, err := c.Listen(t.Context(), "tcp", kubetest.NodeAddress+":0")
	must(t, err)
	return newGateAt(t, l)
}

func newGateAt(t *testing.T, l net.Listener) *openGate {
	t.Helper()
	g := &openGate{address: "http://" + l.Addr().String(), open: map[string]gate.Request{}, ends: map[string][]gate.End{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/offline/admissions", g.list)
	mux.HandleFunc("POST /v1/offline/admissions", g.admit)
	mux.HandleFunc("POST /v1/offline/admissions/{uid}/end", g.end)
	mux.HandleFunc("PUT /v1/offline/capacity/{node}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := &http.Server{Handler: mux} //nolint:gosec // a test's
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return g
}

func (g *openGate) list(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	type open struct {
		UID  string `json:"uid"`
		Node string `json:"node"`
		gate.Answer
	}
	all := struct {
		Admissions []open `json:"admissions"`
	}{[]open{}}
	for uid, r := range g.open {
		all.Admissions = append(all.Admissions, open{uid, r.Node, admitted(r)})
	}
	_ = json.NewEncoder(w).Encode(all)
}

func admitted(r gate.Request) gate.Answer {
	return gate.Answer{State: gate.Admitted, Attempt: r.Attempt, Pool: "offline", Text: "has a place in pool offline"}
}

func (g *openGate) admit(w http.ResponseWriter, r *http.Request) {
	var asked gate.Request
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a := admitted(asked)
	if g.answer != nil {
		a = g.answer(asked)
	}
	if a.State == gate.Admitted {
		g.open[asked.UID] = asked
	}
	_ = json.NewEncoder(w).Encode(a)
}

func (g *openGate) end(w http.ResponseWriter, r *http.Request) {
	var e gate.End
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, r.PathValue("uid"))
	g.ends[r.PathValue("uid")] = append(g.ends[r.PathValue("uid")], e)
	w.WriteHeader(http.StatusNoContent)
}

// told returns how the attempts of a pod ended, as words.
func (g *openGate) told(uid string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var words []string
	for _, e := range g.ends[uid] {
		words = append(words, e.Class+" "+e.Reason)
	}
	return strings.Join(words, ", ")
}

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// tokenFile is a token of an account of spillway-system for an audience.
func (w *world) tokenFile(account, audience string) string {
	w.t.Helper()
	r, err := w.client.CoreV1().ServiceAccounts("spillway-system").CreateToken(w.t.Context(), account, &authentication.TokenRequest{
		Spec: authentication.TokenRequestSpec{Audiences: []string{audience}},
	}, metav1.CreateOptions{})
	must(w.t, err)
	file := filepath.Join(w.dir, account+".token")
	must(w.t, os.WriteFile(file, []byte(r.Status.Token), 0o600))
	return file
}
