package httpapi

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestLeave: clients that call without pause on connections that they keep are answered
// or refused a connection, and nothing in between. Shutdown alone loses a request
// whenever it closes a connection that the next one is on its way over.
func TestLeave(t *testing.T) {
	for range 4 {
		leave(t)
	}
}

func leave(t *testing.T) {
	d := open(t, fixed{executed("{}")})
	var calls, answered, lost atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			client := http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for {
				r, err := http.NewRequest(http.MethodPost, "http://"+d.addr+"/namespaces/web/functions/resize/invoke", io.NopCloser(strings.NewReader("{}")))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", "Bearer "+testToken)
				calls.Add(1)
				answer, err := client.Do(r)
				if dial, never := errors.AsType[*net.OpError](err); never && dial.Op == "dial" { // no connection, so nothing was sent
					return
				}
				if err != nil {
					lost.Add(1)
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				answered.Add(1)
			}
		})
	}
	for answered.Load() < 50 && lost.Load() == 0 {
		if _, body := d.post(t, "/namespaces/web/functions/resize/invoke", "{}"); body == "" {
			t.Fatal("no answer")
		}
	}
	if err := d.front.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	clients.Wait()
	if lost.Load() > 0 {
		t.Fatalf("%d of %d calls were lost", lost.Load(), calls.Load())
	}
}
