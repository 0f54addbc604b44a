package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools"
)

// sink is a stream that remembers what it got and tells of each piece.
type sink struct {
	mu      sync.Mutex
	informs []int
	status  int
	header  http.Header
	body    bytes.Buffer
	pieces  chan string // may be nil
	fail    bool        // the caller has gone
}

func (s *sink) Inform(status int, _ http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.informs = append(s.informs, status)
}

func (s *sink) Begin(status int, h http.Header, _ time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.header = status, h
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	s.body.Write(p)
	fail := s.fail
	s.mu.Unlock()
	if s.pieces != nil {
		s.pieces <- string(p)
	}
	if fail {
		return 0, errors.New("gone")
	}
	return len(p), nil
}

func webFunction(t testing.TB) *spillway.Function {
	f := functionOf(t, agentWeb)
	f.Contract = spillway.ContractHTTP
	return f
}

func get(f *spillway.Function, target string) pools.Request {
	return pools.Request{Invocation: "call", Attempt: 1, Function: f, Deadline: time.Now().Add(30 * time.Second), Web: &pools.Web{
		Method: http.MethodGet, Target: target, Host: "shop.example", Header: http.Header{"X-Given": {"a", "b"}, "X-Latin": {"caf\xe9"}},
		Caller: context.Background(), Room: make([]byte, 32<<10), Stream: &sink{},
	}}
}

func post(f *spillway.Function, target, body string) pools.Request {
	r := get(f, target)
	r.Web.Method, r.Payload = http.MethodPost, []byte(body)
	return r
}

func streamed(f *spillway.Function, target string, body io.Reader, length int64) pools.Request {
	r := post(f, target, "")
	closer, ok := body.(io.ReadCloser)
	if !ok {
		closer = io.NopCloser(body)
	}
	r.Web.Body, r.Web.Length = closer, length
	return r
}

// whole checks an answer that was not streamed.
func whole(t *testing.T, r pools.Result, status int, body string) {
	t.Helper()
	if r.Outcome.Class != spillway.Executed || r.Outcome.Cause != spillway.CauseNone || r.Web == nil || r.Web.Streamed || r.InstanceGone {
		t.Fatalf("%+v %s %+v", r.Outcome, r.Payload, r.Web)
	}
	if r.Web.Status != status || body != "*" && string(r.Web.Body) != body {
		t.Fatalf("answered %d %.200q, want %d %.200q", r.Web.Status, r.Web.Body, status, body)
	}
}

// passed checks an answer that was streamed.
func passed(t *testing.T, r pools.Result, q pools.Request, body string) {
	t.Helper()
	s := q.Web.Stream.(*sink)
	if r.Outcome.Class != spillway.Executed || r.Outcome.Cause != spillway.CauseNone || r.Web == nil || !r.Web.Streamed || s.body.String() != body {
		t.Fatalf("%+v %s %+v, streamed %d bytes: %.100q", r.Outcome, r.Payload, r.Web, s.body.Len(), s.body.String())
	}
}

func TestWebAnswers(t *testing.T) {
	f := webFunction(t)
	c, _, _ := started(t, f)
	ctx := context.Background()
	for _, body := range []string{"", "x", strings.Repeat("y", 16<<10), strings.Repeat("z", 32<<10)} {
		whole(t, c.Invoke(ctx, post(f, "/echo", body)), 200, body)
	}
	large := post(f, "/echo", strings.Repeat("l", 1<<20))
	passed(t, c.Invoke(ctx, large), large, strings.Repeat("l", 1<<20))

	r := c.Invoke(ctx, post(f, "/sees?a=%2F&b=%20", "abc"))
	whole(t, r, 200, "*")
	for _, line := range []string{"POST /sees?a=%2F&b=%20\n", "\nHost: shop.example\n", "\nX-Given: a|b\n", "\nX-Latin: caf\xe9\n", "\nbody 3 "} {
		if !strings.Contains(string(r.Web.Body), line) {
			t.Errorf("%q is not in %s", line, r.Web.Body)
		}
	}
	if strings.Contains(string(r.Web.Body), "Spillway") {
		t.Errorf("the function sees the agent's own header: %s", r.Web.Body)
	}
	head := get(f, "/big?n=100000&length")
	head.Web.Method = http.MethodHead
	r = c.Invoke(ctx, head)
	whole(t, r, 200, "")
	if r.Web.Header.Get("Content-Length") != "100000" {
		t.Errorf("HEAD: %v", r.Web.Header)
	}
	for _, code := range []string{"204", "304", "404", "503"} {
		if r = c.Invoke(ctx, get(f, "/status?code="+code)); r.Web == nil || r.Web.Header.Get("X-Code") != code {
			t.Errorf("%s: %+v", code, r.Web)
		}
	}
	big := get(f, "/big?n=3000000")
	passed(t, c.Invoke(ctx, big), big, strings.Repeat("\x00", 3000000))
	hints := get(f, "/hints")
	whole(t, c.Invoke(ctx, hints), 200, "done")
	if s := hints.Web.Stream.(*sink); len(s.informs) != 1 || s.informs[0] != http.StatusEarlyHints {
		t.Errorf("informed %v", s.informs)
	}
	for _, target := range []string{"/trailers", "/trailers?flush"} {
		q := get(f, target)
		if r := c.Invoke(ctx, q); r.Web == nil || r.Web.Trailer.Get("X-Sum") != "4" {
			t.Errorf("%s: %+v", target, r.Web)
		}
	}
}

func TestWebBodiesThatStream(t *testing.T) {
	f := webFunction(t)
	c, _, _ := started(t, f)
	ctx := context.Background()
	megabyte := strings.Repeat("m", 1<<20)
	for _, length := range []int64{1 << 20, -1} {
		q := streamed(f, "/echo", strings.NewReader(megabyte), length)
		passed(t, c.Invoke(ctx, q), q, megabyte)
	}
	q := streamed(f, "/sees", strings.NewReader("abc"), -1)
	q.Web.Header = http.Header{"Trailer": {"X-Sum"}}
	q.Web.Trailer = func() http.Header { return http.Header{"X-Sum": {"3"}} }
	r := c.Invoke(ctx, q)
	whole(t, r, 200, "*")
	if !strings.Contains(string(r.Web.Body), "trailer X-Sum: 3") || !strings.Contains(string(r.Web.Body), "body 3 ") {
		t.Errorf("%s", r.Web.Body)
	}
	// Each side goes on as the other does.
	in, out := io.Pipe()
	q = streamed(f, "/duplex", in, -1)
	pieces := make(chan string, 16)
	q.Web.Stream.(*sink).pieces = pieces
	result := make(chan pools.Result)
	go func() { result <- c.Invoke(ctx, q) }()
	for _, word := range []string{"first", "second"} {
		io.WriteString(out, word)
		for got := ""; got != strings.ToUpper(word); {
			got += <-pieces
		}
	}
	out.Close()
	passed(t, <-result, q, "FIRSTSECOND")
	// What nobody wants is not read.
	in, out = io.Pipe()
	q = streamed(f, "/early", in, -1)
	if r := c.Invoke(ctx, q); r.Web == nil || r.Web.Status != http.StatusRequestEntityTooLarge || r.InstanceGone {
		t.Errorf("%+v %+v, gone %v", r.Outcome, r.Web, r.InstanceGone)
	}
	if _, err := io.WriteString(out, "x"); err == nil {
		t.Error("the body is still read")
	}
	// The caller sends only when it is asked to.
	asked := &asking{Reader: strings.NewReader("expected")}
	q = streamed(f, "/echo", asked, 8)
	q.Web.Expect, q.Web.Header = true, http.Header{"Expect": {"100-continue"}}
	whole(t, c.Invoke(ctx, q), 200, "expected")
	asked = &asking{Reader: strings.NewReader("unwanted")}
	q = streamed(f, "/status?code=403", asked, 8)
	q.Web.Expect, q.Web.Header = true, http.Header{"Expect": {"100-continue"}}
	if r := c.Invoke(ctx, q); r.Web == nil || r.Web.Status != 403 || asked.read {
		t.Errorf("%+v %+v, body read: %v", r.Outcome, r.Web, asked.read)
	}
}

type asking struct {
	io.Reader
	read bool
}

func (a *asking) Read(p []byte) (int, error) {
	a.read = true
	return a.Reader.Read(p)
}

// What ends an exchange early ends the process that served it, and is told.
func TestWebCutShort(t *testing.T) {
	f := webFunction(t)
	broken := func() io.ReadCloser {
		return io.NopCloser(io.MultiReader(strings.NewReader("some"), failing{}))
	}
	for name, c := range map[string]struct {
		request func() (pools.Request, func(*remote.Client, *wire))
		check   func(pools.Result) bool
	}{
		"the caller goes while it streams": {func() (pools.Request, func(*remote.Client, *wire)) {
			q := get(f, "/stream")
			ctx, cancel := context.WithCancel(context.Background())
			pieces := make(chan string, 1)
			q.Web.Stream.(*sink).pieces, q.Web.Caller = pieces, ctx
			return q, func(*remote.Client, *wire) { <-pieces; cancel() }
		}, func(r pools.Result) bool {
			return r.Outcome.Cause == spillway.CauseCancelled && r.InstanceGone && r.Web != nil && r.Web.Streamed
		}},
		"nobody takes the answer": {func() (pools.Request, func(*remote.Client, *wire)) {
			q := get(f, "/stream")
			q.Web.Stream.(*sink).fail = true
			return q, nil
		}, func(r pools.Result) bool {
			return r.Outcome.Cause == spillway.CauseCancelled && r.InstanceGone && r.Web != nil && r.Web.Streamed
		}},
		"the body breaks off": {func() (pools.Request, func(*remote.Client, *wire)) {
			return streamed(f, "/echo", broken(), -1), nil
		}, func(r pools.Result) bool {
			return r.Outcome.Cause == spillway.CauseCancelled && r.InstanceGone && r.Web == nil
		}},
		"half an answer": {func() (pools.Request, func(*remote.Client, *wire)) {
			return get(f, "/half"), nil
		}, func(r pools.Result) bool {
			return r.Outcome.Cause == spillway.CauseCrashed && r.InstanceGone && r.Web != nil && r.Web.Streamed
		}},
		"the deadline": {func() (pools.Request, func(*remote.Client, *wire)) {
			q := get(f, "/hang")
			q.Deadline = time.Now().Add(5 * time.Second)
			return q, nil
		}, func(r pools.Result) bool {
			return r.Outcome.Cause == spillway.CauseTimeout && r.InstanceGone && r.Web == nil
		}},
		"the caller reads nothing": {func() (pools.Request, func(*remote.Client, *wire)) {
			q := get(f, "/big?n=64000000")
			q.Deadline = time.Now().Add(5 * time.Second)
			pieces := make(chan string)
			q.Web.Stream.(*sink).pieces = pieces
			return q, func(c *remote.Client, _ *wire) {
				awaitState(t, c, remote.StateEnded) // the agent has not waited for the caller
				go func() {
					for range pieces {
					}
				}()
				t.Cleanup(func() { close(pieces) })
			}
		}, func(r pools.Result) bool {
			return r.Outcome.Cause == spillway.CauseTimeout && r.InstanceGone && r.Web != nil && r.Web.Streamed
		}},
		"the connection": {func() (pools.Request, func(*remote.Client, *wire)) {
			q := get(f, "/stream")
			pieces := make(chan string, 1)
			q.Web.Stream.(*sink).pieces = pieces
			return q, func(_ *remote.Client, w *wire) { <-pieces; w.cut() }
		}, func(r pools.Result) bool {
			return r.Outcome.Cause == spillway.CauseLost && r.InstanceGone && r.Web != nil && r.Web.Streamed && r.Outcome.FunctionError == spillway.FunctionUnhandled
		}},
	} {
		t.Run(name, func(t *testing.T) {
			client, w, _ := started(t, f)
			q, then := c.request()
			result := make(chan pools.Result)
			go func() { result <- client.Invoke(context.Background(), q) }()
			if then != nil {
				then(client, w)
			}
			if r := <-result; r.Outcome.Class != spillway.Executed || !c.check(r) {
				t.Errorf("%+v, gone %v, answer %+v", r.Outcome, r.InstanceGone, r.Web)
			}
			if err := client.Wait(context.Background()); err != nil {
				t.Errorf("the function runs on: %v", err)
			}
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken") }

// An instance that serves several at once has as many places, and a caller who goes takes
// only its own request along.
func TestWebSeveralAtOnce(t *testing.T) {
	f := webFunction(t)
	f.Concurrency = 2
	client, _, _ := started(t, f)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	type streaming struct {
		q      pools.Request
		pieces chan string
		result chan pools.Result
	}
	var both []*streaming
	for range 2 {
		s := &streaming{get(f, "/stream"), make(chan string, 1), make(chan pools.Result, 1)}
		s.q.Web.Stream.(*sink).pieces, s.q.Web.Caller = s.pieces, ctx
		go func() { s.result <- client.Invoke(context.Background(), s.q) }()
		<-s.pieces
		both = append(both, s)
	}
	if r := client.Invoke(context.Background(), get(f, "/echo")); r.Outcome.Class != spillway.NotExecuted || !strings.Contains(r.Outcome.Detail, "has no place") {
		t.Errorf("a third: %+v", r.Outcome)
	}
	cancel()
	for _, s := range both {
		if r := <-s.result; r.InstanceGone || r.Outcome.Class != spillway.Executed {
			t.Errorf("%+v, gone %v", r.Outcome, r.InstanceGone)
		}
	}
	whole(t, client.Invoke(context.Background(), post(f, "/echo", "still there")), 200, "still there")
}
