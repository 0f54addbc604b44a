package node

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// against makes a presence whose API server is handle.
func against(t *testing.T, handle http.HandlerFunc) *presence {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	mustBe(t, err)
	t.Cleanup(client.CoreV1().RESTClient().(*rest.RESTClient).Client.CloseIdleConnections)
	p := newPresence(Options{Identity: Identity{Name: "n", Address: "127.0.0.1"}, Client: client, Log: slog.New(slog.DiscardHandler)})
	p.healthy = p.heard
	return p
}

func cores(n string, reclaiming bool) Room {
	l := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(n)}
	return Room{Capacity: l, Allocatable: l, Reclaiming: reclaiming}
}

// TestPromiseWaitsForNobody: neither for an API server that hangs nor for a node
// controller that takes nothing.
func TestPromiseWaitsForNobody(t *testing.T) {
	asked := make(chan struct{}, 1)
	hang := make(chan struct{})
	p := against(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default: // it was asked before
		}
		select {
		case <-r.Context().Done():
		case <-hang:
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.run(ctx) }()
	<-asked
	for _, n := range []string{"4", "3", "2"} {
		p.promise(cores(n, true))
	}
	if got := p.wanted.Allocatable.Cpu().String(); got != "2" {
		t.Errorf("promises %s", got)
	}
	if err := p.Ping(ctx); err == nil || !strings.Contains(err.Error(), "not been read") {
		t.Errorf("it is well: %v", err)
	}
	cancel()
	mustBe(t, <-ended)
	close(hang)
}

func TestHeard(t *testing.T) {
	p := newPresence(Options{Client: kubernetes.New(nil)})
	for _, test := range []struct {
		ago  time.Duration
		well bool
	}{{time.Second, true}, {silence + time.Second, false}} {
		p.answered = time.Now().Add(-test.ago)
		if err := p.heard(); (err == nil) != test.well {
			t.Errorf("answered %s ago: %v", test.ago, err)
		}
	}
}

// TestTaintComesFirst: while the taint cannot be written nothing less is said, and it
// goes when the node's object says what is promised.
func TestTaintComesFirst(t *testing.T) {
	var mu sync.Mutex
	object := `{"kind":"Node","apiVersion":"v1","metadata":{"name":"n","resourceVersion":"1"},"status":{"allocatable":{"cpu":"4"},"capacity":{"cpu":"4"}}}`
	refuse, patches := true, 0
	p := against(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPatch {
			patches++
			if refuse {
				http.Error(w, "no", http.StatusConflict)
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(object))
	})
	p.promise(cores("2", true))
	if _, err := p.publish(t.Context()); err == nil || len(p.mail) > 0 {
		t.Errorf("%v, and %d are posted without a taint", err, len(p.mail))
	}
	refuse = false
	if _, err := p.publish(t.Context()); err != nil || len(p.mail) != 1 || patches != 2 {
		t.Errorf("%v, %d posted, %d patches", err, len(p.mail), patches)
	}
	object = strings.Replace(object, `"status"`, `"spec":{"taints":[{"key":"spillway.dev/reclaiming","value":"true","effect":"NoSchedule"}]},"status"`, 1)
	p.promise(cores("3", false))
	for range 2 { // the object says 4
		if _, err := p.publish(t.Context()); err != nil || patches != 2 {
			t.Errorf("%v, %d patches: the taint goes before the number has come", err, patches)
		}
	}
	object = strings.ReplaceAll(object, `"cpu":"4"`, `"cpu":"3"`)
	if _, err := p.publish(t.Context()); err != nil || patches != 3 {
		t.Errorf("%v, %d patches: the taint stays", err, patches)
	}
}
