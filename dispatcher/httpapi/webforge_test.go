package httpapi

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

// forged is what a function must not say, whatever it comes in.
func forged() http.Header {
	return http.Header{"X-Spillway-Pool": {"forged"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}, "Upgrade": {"h2c"}, "X-Own": {"1"}}
}

// checkForged checks what came of it.
func checkForged(t *testing.T, where string, h http.Header) {
	t.Helper()
	for _, name := range []string{"X-Hop", "Upgrade", "Connection"} {
		if h[name] != nil {
			t.Errorf("%s has %s: %q", where, name, h[name])
		}
	}
	if pool := h.Get(headerPool); pool == "forged" || h.Get("X-Own") != "1" {
		t.Errorf("%s: %v", where, h)
	}
}

// TestWebForged has a function forge fields of ours in interim answers, heads and
// trailers, and contradict itself about its length, in both ways of answering.
func TestWebForged(t *testing.T) {
	for _, streams := range []bool{false, true} {
		c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
			w.Stream.Inform(http.StatusEarlyHints, forged())
			head := forged()
			head["Content-Length"] = []string{"3", "4"}
			if !streams {
				return &pools.WebAnswer{Status: http.StatusOK, Header: head, Body: []byte("done"), Trailer: forged()}
			}
			w.Stream.Begin(http.StatusOK, head, time.Now().Add(time.Minute))
			_, _ = w.Stream.Write([]byte("done"))
			return &pools.WebAnswer{Streamed: true, Trailer: forged()}
		}}
		conn := dial(t, open(t, c).addr)
		_, _ = io.WriteString(conn, rawWeb.text("GET {P} HTTP/1.1|{H}{A}|"))
		br := bufio.NewReader(conn)
		hints, err := http.ReadResponse(br, nil)
		if err != nil || hints.StatusCode != http.StatusEarlyHints {
			t.Fatalf("streams %v: %v, %v", streams, hints, err)
		}
		checkForged(t, "the interim answer", hints.Header)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		checkForged(t, "the head", resp.Header)
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "done" || resp.ContentLength != -1 {
			t.Errorf("streams %v: %q of %d bytes, %v", streams, body, resp.ContentLength, err)
		}
		checkForged(t, "the trailer", resp.Trailer)
	}
}
