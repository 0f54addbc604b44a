package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config/cluster"
)

// TestPlace: the next dispatcher of a data directory is known by it, one of a copy is not.
func TestPlace(t *testing.T) {
	data := t.TempDir()
	name, done, err := openPlace(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := openPlace(data); err == nil {
		t.Error("two have one data directory")
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	for dir, same := range map[string]bool{data: true, copied: false} {
		got, done, err := openPlace(dir)
		if err != nil || (got == name) != same {
			t.Errorf("%s is %q, the first was %q: %v", filepath.Base(dir), got, name, err)
		}
		if err == nil {
			_ = done()
		}
	}
}

// TestPoolsOfPodsNeedTheSeat: one that has lost its seat while it started, or drains,
// opens no pool, which would delete the pods of the other.
func TestPoolsOfPodsNeedTheSeat(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it asks for %s", r.URL) }))
	defer api.Close()
	a := wired(t, budgeted, t.TempDir())
	a.link = newKubeLink(t.TempDir(), func() (*rest.Config, error) { return &rest.Config{Host: api.URL}, nil })
	a.link.hold = func(context.Context) error { return &cluster.TakenError{Holder: "other"} }
	var taken *cluster.TakenError
	if _, err := a.openPool(t.Context(), &spillway.Pool{Name: "pods", Kind: spillway.PoolKubernetes}); !errors.As(err, &taken) {
		t.Errorf("got %v", err)
	}
}

// TestLostWhileItDrains: what runs beside the calls ends, though a call goes on.
func TestLostWhileItDrains(t *testing.T) {
	a := wired(t, budgeted, t.TempDir())
	lost, beside, entered, leave := make(chan error, 1), make(chan struct{}), make(chan struct{}), make(chan struct{})
	a.lost = lost
	a.besides = append(a.besides, func(ctx context.Context) { <-ctx.Done(); close(beside) })
	a.front.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(entered); <-leave })
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended, answered := make(chan error, 1), make(chan struct{})
	go func() { ended <- a.run(ctx, front, admin, a.log) }()
	go func() {
		defer close(answered)
		if resp, err := http.Get("http://" + front.Addr().String()); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}()
	<-entered
	cancel()
	lost <- &cluster.TakenError{Holder: "other"}
	<-beside
	select {
	case err := <-ended:
		t.Fatalf("it did not wait for the call: %v", err)
	default:
	}
	close(leave)
	var taken *cluster.TakenError
	if err := <-ended; !errors.As(err, &taken) {
		t.Errorf("it ended with %v", err)
	}
	<-answered
}

// TestChangesEndWithTheServer: one that was asked for goes on without who asked, and not
// past the drain.
func TestChangesEndWithTheServer(t *testing.T) {
	a := wired(t, budgeted, t.TempDir())
	asked, leave := context.WithCancel(t.Context())
	ctx, done := a.untilStop(context.WithoutCancel(asked))
	defer done()
	if leave(); ctx.Err() != nil {
		t.Error("it ends with its request")
	}
	a.stop()
	<-ctx.Done()
}
