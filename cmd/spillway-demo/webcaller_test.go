package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestWebCaller calls a server that answers as a test wants.
func TestWebCaller(t *testing.T) {
	var mu sync.Mutex // a connection's goroutine may end after its caller has moved on
	var answer func(w http.ResponseWriter, body []byte)
	var lengths []int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/namespaces/shop/functions/web/echo" || r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("X-Request-Id") == "" {
			t.Errorf("asked for %s with %v (%v)", r.URL, r.Header, err)
		}
		mu.Lock()
		lengths = append(lengths, r.ContentLength)
		reply := answer
		mu.Unlock()
		w.Header().Set("X-Spillway-Invocation", "id")
		w.Header().Set("X-Spillway-Pool", "onprem")
		reply(w, body)
	}))
	defer server.Close()
	c := newWebCaller(server.URL, "shop", "secret", 1)
	defer c.client.CloseIdleConnections()

	equal := func(w http.ResponseWriter, body []byte) { _, _ = w.Write(body) }
	status := func(code int, header string) func(http.ResponseWriter, []byte) {
		return func(w http.ResponseWriter, _ []byte) {
			if header != "" {
				w.Header().Set(header, "Unhandled")
			}
			w.WriteHeader(code)
		}
	}
	for _, step := range []struct {
		name     string
		body     string
		answer   func(http.ResponseWriter, []byte)
		kind     kind
		returned int
	}{
		{"an echo", "hello", equal, succeeded, 5},
		{"a long body whose size is not said", strings.Repeat("x", sizeUnsaid), equal, succeeded, sizeUnsaid},
		{"another byte", "hello", func(w http.ResponseWriter, _ []byte) { _, _ = io.WriteString(w, "helLo") }, succeeded, 3},
		{"a byte too many", "hello", func(w http.ResponseWriter, _ []byte) { _, _ = io.WriteString(w, "hello!") }, succeeded, -1},
		{"a refusal", "hello", status(http.StatusTooManyRequests, ""), refused, 0},
		{"a lost outcome", "hello", status(http.StatusGatewayTimeout, ""), unknown, 0},
		{"a failure", "hello", status(http.StatusBadGateway, "X-Spillway-Function-Error"), failed, 0},
		{"a connection that ends", "hello", func(http.ResponseWriter, []byte) { panic(http.ErrAbortHandler) }, broken, 0},
		{"an answer that breaks off", "hello", func(w http.ResponseWriter, _ []byte) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "hello")
			panic(http.ErrAbortHandler)
		}, broken, 0},
	} {
		mu.Lock()
		answer = step.answer
		mu.Unlock()
		a := c.call(t.Context(), "web", step.body)
		if a.Kind != step.kind || a.web.returned != step.returned || a.web.sent != len(step.body) || (a.Kind == broken) != (a.Detail != "") {
			t.Errorf("%s: %s with %d bytes back (%s), want %s with %d", step.name, a.Kind, a.web.returned, a.Detail, step.kind, step.returned)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if lengths[0] != 5 || lengths[1] != -1 {
		t.Errorf("said sizes %v, want 5 and none", lengths[:2])
	}
	if opened := c.opened.Load(); opened != 2 {
		t.Errorf("%d connections, want the first and one after the lost one", opened)
	}
	if len(lengths) != 9 {
		t.Errorf("%d requests for 9 calls", len(lengths))
	}
}
