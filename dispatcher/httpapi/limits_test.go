package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	return c
}

// TestSlowBody stops in the middle of a body and keeps the connection open.
func TestSlowBody(t *testing.T) {
	for _, head := range []string{"Content-Length: 9", "Transfer-Encoding: chunked"} {
		s := always(executed("1"), nil)
		d := openWith(t, s, func(*Config) {}, func(h *http.Server) { h.ReadTimeout = 20 * time.Millisecond })
		c := dial(t, d.addr)
		_, _ = io.WriteString(c, rawURL.text("POST {L} HTTP/1.1|{H}{A}"+head+"||1"))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 408 || resp.Header.Get("X-Amzn-Errortype") != typeSlowBody || !resp.Close {
			t.Errorf("%s: %d %v", head, resp.StatusCode, resp.Header)
		}
		if len(s.ran()) != 0 {
			t.Error("it ran")
		}
	}
}

// TestSlowHeader sends half a header and no more.
func TestSlowHeader(t *testing.T) {
	d := openWith(t, always(nil, nil), func(*Config) {}, func(h *http.Server) { h.ReadHeaderTimeout = 20 * time.Millisecond })
	c := dial(t, d.addr)
	_, _ = io.WriteString(c, rawURL.text("POST {P} HTTP/1.1|{H}X-A: "))
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) { // it is reset if the half comes late
		t.Errorf("not closed: %v", err)
	}
}

// waiting is an Invoker whose calls outlast the read timeout.
type waiting struct{ script }

func (w *waiting) Invoke(ctx context.Context, _ server.Ask) (*server.Answer, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(4 * time.Second):
		return executed("1"), nil
	}
}

// TestLongCall checks that timeouts for reading and writing do not end the wait for
// the answer.
func TestLongCall(t *testing.T) {
	d := openWith(t, &waiting{}, func(*Config) {}, func(h *http.Server) { h.ReadTimeout, h.WriteTimeout = 3*time.Second, 3*time.Second })
	for _, body := range []string{"", "1", string(jsonOf(300 << 10))} {
		t.Run(fmt.Sprint(len(body), " bytes"), func(t *testing.T) {
			t.Parallel()
			if resp, text := d.post(t, urlPath, body); resp.StatusCode != 200 {
				t.Errorf("%d %s", resp.StatusCode, text)
			}
		})
	}
}

func TestLargePayloads(t *testing.T) {
	s := &script{answer: func(_ int, ask server.Ask) (*server.Answer, error) { return executed(string(ask.Payload)), nil }}
	d := open(t, s)
	for _, n := range []int{smallBody - 1, smallBody, smallBody + 1, pools.MaxPayload} {
		for _, chunked := range []bool{false, true} {
			want := string(jsonOf(n))
			var body io.Reader = strings.NewReader(want)
			if chunked {
				body = io.MultiReader(body) // of unknown length
			}
			r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+d.addr+urlPath, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+testToken)
			resp, err := d.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != 200 || string(got) != want || resp.Close != chunked {
				t.Errorf("%d bytes, chunked %v: %d with %d bytes, close %v, %v", n, chunked, resp.StatusCode, len(got), resp.Close, err)
			}
		}
	}
	d.settle(t)
	if held := d.front.held.Load(); held != 0 {
		t.Errorf("%d bytes still held", held)
	}
}

// TestChunkedTooLarge never ends its body: it is refused before that.
func TestChunkedTooLarge(t *testing.T) {
	s := always(executed("1"), nil)
	c := dial(t, open(t, s).addr)
	_, _ = io.WriteString(c, rawURL.text("POST {L} HTTP/1.1|{H}{A}Transfer-Encoding: chunked||"))
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("a", 1<<20))
	for range 7 {
		_, _ = io.WriteString(c, chunk)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 413 || resp.Header.Get("X-Amzn-Errortype") != "RequestTooLargeException" || len(s.ran()) != 0 {
		t.Errorf("got %+v, %v", resp, err)
	}
}

// TestPayloadMemory refuses calls when the payloads in flight fill their bound.
func TestPayloadMemory(t *testing.T) {
	s := always(executed("1"), nil)
	d := open(t, s)
	d.front.held.Store(maxHeld)
	resp, body := d.post(t, lambdaPath, "1")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" || len(s.ran()) != 0 {
		t.Errorf("got %d: %s", resp.StatusCode, body)
	}
	if held := d.front.held.Load(); held != maxHeld {
		t.Errorf("%d bytes held", held)
	}
}

func TestConnectionBound(t *testing.T) {
	d := openWith(t, always(executed("1"), nil), func(c *Config) { c.MaxConnections = 1 }, noLimit)
	if resp, _ := d.post(t, urlPath, "1"); resp.StatusCode != 200 { // and the client keeps its connection
		t.Fatal(resp.Status)
	}
	c := dial(t, d.addr)
	if text, _ := io.ReadAll(c); len(text) != 0 {
		t.Errorf("answered %q", text)
	}
	if got := metric(t, d.registry, "spillway_http_connections_refused_total"); got != 1 {
		t.Errorf("%v refused", got)
	}
}

func TestHeaderText(t *testing.T) {
	if got := headerText("a\r\nb\x00é"); got != "a??b???" {
		t.Errorf("got %q", got)
	}
	if got := headerText(strings.Repeat("a", 5000)); len(got) != maxDecision {
		t.Errorf("%d bytes", len(got))
	}
}

// BenchmarkInvoke is the handler alone: no socket, a bearer token, a small payload.
func BenchmarkInvoke(b *testing.B) {
	d := open(b, always(executed(`{"ok":true}`), nil))
	s := fixed{executed(`{"ok":true}`)}
	d.front.server = s
	for _, target := range []string{lambdaPath, urlPath} {
		b.Run(target, func(b *testing.B) {
			r, _ := http.NewRequest("POST", target, nil)
			r.RequestURI, r.ContentLength = target, 7
			r.Header.Set("Authorization", "Bearer "+testToken)
			r.Header.Set("Amz-Sdk-Invocation-Id", "8b7bf2f6")
			w := &nowhere{h: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				r.Body = io.NopCloser(strings.NewReader(`{"n":1}`))
				clear(w.h)
				d.front.ServeHTTP(w, r)
			}
		})
	}
}

type fixed struct{ answer *server.Answer }

func (f fixed) Invoke(context.Context, server.Ask) (*server.Answer, error)  { return f.answer, nil }
func (f fixed) Preview(context.Context, server.Ask) (*server.Answer, error) { return f.answer, nil }

func (f fixed) Contract(spillway.FunctionKey) (spillway.Contract, error) {
	return spillway.ContractLambda, nil
}

// nowhere is a ResponseWriter that throws away.
type nowhere struct{ h http.Header }

func (n *nowhere) Header() http.Header         { return n.h }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
