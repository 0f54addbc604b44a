package httpapi

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

// TestWebStreamLate streams an answer after the server's own time for writing has
// passed, and ends it after the call's.
func TestWebStreamLate(t *testing.T) {
	c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
		w.Stream.Begin(http.StatusOK, http.Header{}, time.Now().Add(time.Minute))
		_, _ = w.Stream.Write([]byte("all"))
		setDeadline(w.Stream.(*webStream).x.w, deadliner.SetWriteDeadline, time.Unix(1, 0))
		return nil
	}}
	conn := dial(t, openWith(t, c, func(*Config) {}, lateWriter).addr)
	_, _ = io.WriteString(conn, rawWeb.text("GET {P} HTTP/1.1|{H}{A}|"))
	if statuses, body := answersOf(t, bufio.NewReader(conn)); len(statuses) != 1 || body != "all" {
		t.Errorf("%v %q", statuses, body)
	}
}

// TestWebBodyLate sends a streamed body when the server's own time for reading has
// passed.
func TestWebBodyLate(t *testing.T) {
	const readTime = 250 * time.Millisecond
	began := make(chan struct{})
	c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
		close(began)
		body, err := io.ReadAll(w.Body)
		if err != nil {
			return whole(err.Error())
		}
		return whole(string(body[:3]))
	}}
	conn := dial(t, openWith(t, c, func(*Config) {}, func(h *http.Server) { h.ReadTimeout = readTime }).addr)
	_, _ = io.WriteString(conn, rawWeb.text("POST {P} HTTP/1.1|{H}{A}Content-Length: 40000||"))
	<-began
	time.Sleep(readTime) // what is tested is that this passes
	_, _ = io.WriteString(conn, strings.Repeat("a", 40000))
	if statuses, body := answersOf(t, bufio.NewReader(conn)); len(statuses) != 1 || body != "aaa" {
		t.Errorf("%v %q", statuses, body)
	}
}

// TestWebCutOld breaks off an answer to an HTTP/1.0 client, which takes the end of
// the connection for the end of the answer unless it is reset.
func TestWebCutOld(t *testing.T) {
	s := openSite(t, page)
	_, br := s.raw(t, "GET {P}/broken HTTP/1.0|{H}|")
	if text, err := io.ReadAll(br); err == nil {
		t.Errorf("read as if it were whole: %q", text)
	}
}
