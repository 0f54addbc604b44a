package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

// coded is an Invoker of web functions written in a test. Its code answers with
// nothing to have answered through the stream.
type coded struct {
	script
	code func(ctx context.Context, w *server.Web) *pools.WebAnswer

	mu   sync.Mutex
	runs int
}

func (c *coded) Invoke(_ context.Context, ask server.Ask) (*server.Answer, error) {
	c.mu.Lock()
	c.runs++
	c.mu.Unlock()
	a := executed("")
	a.Web, a.Explanation = c.code(ask.Web.Caller, ask.Web), nil
	a.Placement = server.Placement{Invocation: testID, Pool: "onprem", Reason: spillway.ReasonPreferred}
	if a.Web == nil {
		a.Web = &pools.WebAnswer{Streamed: true}
	}
	return a, nil
}

func (c *coded) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs
}

// whole is a small answer that is complete at once.
func whole(text string) *pools.WebAnswer {
	return &pools.WebAnswer{Status: http.StatusOK, Header: http.Header{}, Body: []byte(text)}
}

// answersOf reads answers up to the first that is final, and its body.
func answersOf(t *testing.T, br *bufio.Reader) (statuses []int, body string) {
	t.Helper()
	for {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatalf("after %v: %v", statuses, err)
		}
		statuses = append(statuses, resp.StatusCode)
		if resp.StatusCode >= 200 {
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatalf("the body of %v ends after %q: %v", statuses, text, err)
			}
			return statuses, string(text)
		}
	}
}

// lateWriter makes the server's own time for writing pass before a handler begins.
func lateWriter(h *http.Server) { h.WriteTimeout = time.Nanosecond }

// TestWebInterimLate has a function say something after the server's own time for
// writing has passed, as one that started slowly does.
func TestWebInterimLate(t *testing.T) {
	for _, streams := range []bool{false, true} {
		c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
			w.Stream.Inform(http.StatusEarlyHints, http.Header{"Link": {"</a>"}})
			if !streams {
				return whole("done")
			}
			w.Stream.Begin(http.StatusOK, http.Header{}, time.Now().Add(time.Minute))
			_, _ = w.Stream.Write([]byte("done"))
			return nil
		}}
		conn := dial(t, openWith(t, c, func(*Config) {}, lateWriter).addr)
		_, _ = io.WriteString(conn, rawWeb.text("GET {P} HTTP/1.1|{H}{A}|"))
		if statuses, body := answersOf(t, bufio.NewReader(conn)); len(statuses) != 2 || statuses[0] != 103 || statuses[1] != 200 || body != "done" {
			t.Errorf("streams %v: %v %q", streams, statuses, body)
		}
	}
}

// TestWebContinueLate is the same for the 100 Continue that reading a body says.
func TestWebContinueLate(t *testing.T) {
	c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
		body, err := io.ReadAll(w.Body)
		if err != nil {
			return whole(err.Error())
		}
		return whole(string(body))
	}}
	conn := dial(t, openWith(t, c, func(*Config) {}, lateWriter).addr)
	_, _ = io.WriteString(conn, rawWeb.text("POST {P} HTTP/1.1|{H}{A}Expect: 100-continue|Content-Length: 3||abc"))
	if statuses, body := answersOf(t, bufio.NewReader(conn)); len(statuses) != 2 || statuses[0] != 100 || statuses[1] != 200 || body != "abc" {
		t.Errorf("%v %q", statuses, body)
	}
}

// TestWebInterimBeside has a function inform while its request body is asked for,
// begin its answer, and end it, each beside the others: what the client reads must
// be answers, one after the other.
func TestWebInterimBeside(t *testing.T) {
	for range 50 {
		c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
			var upload sync.WaitGroup
			upload.Go(func() { _, _ = io.Copy(io.Discard, w.Body) })
			for range 5 {
				w.Stream.Inform(http.StatusEarlyHints, http.Header{"Link": {"</a>"}})
			}
			w.Stream.Begin(http.StatusOK, http.Header{"X-From": {"page"}}, time.Now().Add(time.Minute))
			_, _ = w.Stream.Write([]byte("done"))
			_ = w.Body.Close()
			upload.Wait()
			return nil
		}}
		d := open(t, c)
		conn := dial(t, d.addr)
		_, _ = io.WriteString(conn, rawWeb.text("POST {P} HTTP/1.1|{H}{A}Expect: 100-continue|Content-Length: 3||"))
		statuses, body := answersOf(t, bufio.NewReader(conn))
		hints := 0
		for _, s := range statuses {
			if s == 103 {
				hints++
			}
		}
		if hints != 5 || len(statuses) > 7 || body != "done" {
			t.Fatalf("%v %q", statuses, body)
		}
	}
}

// TestWebInterimGone has a function go on speaking when its caller has gone.
func TestWebInterimGone(t *testing.T) {
	spoke := make(chan struct{})
	c := &coded{code: func(ctx context.Context, w *server.Web) *pools.WebAnswer {
		<-ctx.Done()
		defer close(spoke)
		for range 100 {
			w.Stream.Inform(http.StatusEarlyHints, http.Header{"Link": {strings.Repeat("a", 4<<10)}})
		}
		return whole("nobody hears")
	}}
	d := openWith(t, c, func(*Config) {}, lateWriter)
	conn := dial(t, d.addr)
	_, _ = io.WriteString(conn, rawWeb.text("GET {P} HTTP/1.1|{H}{A}|"))
	_ = conn.Close()
	<-spoke
	d.settle(t)
	if got := metric(t, d.registry, "spillway_http_panics_total"); got != 0 {
		t.Errorf("%v handlers broke", got)
	}
}

// TestWebReadAfter reads a body that nobody read while its call ran: that must not
// tell the caller to go on when the connection has moved on.
func TestWebReadAfter(t *testing.T) {
	bodies := make(chan io.ReadCloser, 1)
	c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
		bodies <- w.Body
		return whole("early")
	}}
	d := open(t, c)
	conn := dial(t, d.addr)
	_, _ = io.WriteString(conn, rawWeb.text("POST {P} HTTP/1.1|{H}{A}Expect: 100-continue|Content-Length: 3||"))
	body := <-bodies
	if statuses, text := answersOf(t, bufio.NewReader(conn)); len(statuses) != 1 || text != "early" {
		t.Errorf("%v %q", statuses, text)
	}
	d.settle(t)
	if n, err := body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errLeft) {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestWebSignedLarge checks that a signed body, which is read before its call
// begins, is given to the function as a stream if it is long: written before the
// answer is read it could wait for a function that waits for its answer to be read.
func TestWebSignedLarge(t *testing.T) {
	s := openSite(t, page)
	for size, streams := range map[int]bool{webRoom: false, webRoom + 1: true, pools.MaxPayload: true} {
		text := strings.Repeat("a", size)
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.addr+pagePath+"/x", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		sign(t, r, text)
		resp, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		_, body, _ := strings.Cut(string(got), "X-Spillway-Caller: signer\n")
		if streams {
			text = "streamed " + text
		}
		if err != nil || resp.StatusCode != 201 || body != text {
			t.Errorf("%d bytes: %d, %v, %.60q", size, resp.StatusCode, err, body)
		}
	}
}
