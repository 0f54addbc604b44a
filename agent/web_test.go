package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

func webConfig(t testing.TB, env ...string) Config {
	c := configOf(t, "web")
	c.Web, c.Env = true, env
	c.Command = []string{filepath.Join(binaries, "web")}
	return c
}

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
	s.status, s.header = status, h
	s.mu.Unlock()
	s.tell("begin")
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	fail := s.fail
	s.body.Write(p)
	s.mu.Unlock()
	if len(p) > 0 {
		s.tell(string(p))
	}
	if fail {
		return 0, errors.New("gone")
	}
	return len(p), nil
}

func (s *sink) tell(text string) {
	if s.pieces != nil {
		s.pieces <- text
	}
}

func get(target string) Exchange {
	return Exchange{ID: "id", Deadline: time.Now().Add(20 * time.Second), Web: &pools.Web{
		Method: http.MethodGet, Target: target, Host: "shop.example", Header: http.Header{"X-Given": {"a", "b"}},
		Caller: context.Background(), Room: make([]byte, 32<<10), Stream: &sink{},
	}}
}

func postOf(target, body string) Exchange {
	x := get(target)
	x.Web.Method, x.Body = http.MethodPost, []byte(body)
	return x
}

// streamed is a request whose body comes from a reader.
func streamed(target string, body io.Reader, length int64) Exchange {
	x := postOf(target, "")
	closer, ok := body.(io.ReadCloser)
	if !ok {
		closer = io.NopCloser(body)
	}
	x.Web.Body, x.Web.Length = closer, length
	return x
}

// answered checks a whole answer that was not streamed.
func answered(t *testing.T, e Ending, status int, body string) {
	t.Helper()
	if e.Cause != spillway.CauseNone || e.Web == nil || e.Web.Streamed {
		t.Fatalf("%v %s %s %+v", e.Cause, e.ErrorType, e.Payload, e.Web)
	}
	if e.Web.Status != status || body != "*" && string(e.Web.Body) != body {
		t.Fatalf("answered %d %.200q, want %d %.200q", e.Web.Status, e.Web.Body, status, body)
	}
}

func TestWebAnswers(t *testing.T) {
	i := start(t, webConfig(t))
	ctx := context.Background()
	for n, body := range []string{"", "x", strings.Repeat("y", 16<<10), strings.Repeat("z", 32<<10)} {
		e := i.Exchange(ctx, postOf("/echo", body))
		answered(t, e, 200, body)
		if (e.Init > 0) != (n == 0) || e.Duration <= 0 || e.PeakBytes == 0 || e.InstanceGone {
			t.Errorf("exchange %d: not metered: %+v", n, e)
		}
	}
	e := i.Exchange(ctx, postOf("/sees?a=%2F&b=%20", "abc"))
	answered(t, e, 200, "*")
	for _, line := range []string{"POST /sees?a=%2F&b=%20\n", "\nHost: shop.example\n", "\nX-Given: a|b\n", "\nContent-Length: 3\n", "\nbody 3 "} {
		if !strings.Contains(string(e.Web.Body), line) {
			t.Errorf("no %q in %s", line, e.Web.Body)
		}
	}
	for _, code := range []int{204, 304, 404, 500} {
		e := i.Exchange(ctx, get("/status?code="+strconv.Itoa(code)))
		answered(t, e, code, "")
		if e.FunctionError != "" {
			t.Errorf("%d is an answer, not %q", code, e.FunctionError)
		}
	}
	head := get("/big?length&n=70000")
	head.Web.Method = http.MethodHead
	e = i.Exchange(ctx, head)
	answered(t, e, 200, "")
	if e.Web.Header.Get("Content-Length") != "70000" {
		t.Errorf("HEAD: %v", e.Web.Header)
	}
	answered(t, i.Exchange(ctx, get("/close")), 200, "")
	answered(t, i.Exchange(ctx, get("/big?length&n=5000")), 200, "*")
}

// TestWebConnection checks that one connection serves all small exchanges.
func TestWebConnection(t *testing.T) {
	i := start(t, webConfig(t))
	from := map[string]bool{}
	for range 20 {
		e := i.Exchange(context.Background(), calledBy("A", postOf("/sees", "x")))
		answered(t, e, 200, "*")
		_, via, _ := strings.Cut(string(e.Web.Body), " via ")
		from[via] = true
	}
	if len(from) != 1 {
		t.Errorf("%d connections for 20 exchanges", len(from))
	}
}

// TestWebIdleClose has a function close its connections while they rest.
func TestWebIdleClose(t *testing.T) {
	i := start(t, webConfig(t, "PROBE_IDLE=1ms"))
	for range 20 {
		answered(t, i.Exchange(context.Background(), postOf("/echo", "again")), 200, "again")
		i.mu.Lock()
		conn := i.web.conns[0]
		i.mu.Unlock()
		for conn.raw.Control(conn.poll) == nil && conn.quiet { // until it is closed
			runtime.Gosched()
		}
	}
}

func TestWebStreams(t *testing.T) {
	i := start(t, webConfig(t))
	ctx := context.Background()
	for _, target := range []string{"/big?n=1000000", "/big?n=1000000&length"} {
		x := get(target)
		e := i.Exchange(ctx, x)
		s := x.Web.Stream.(*sink)
		if e.Cause != 0 || e.Web == nil || !e.Web.Streamed || s.status != 200 || s.body.Len() != 1000000 {
			t.Errorf("%s: %+v, %d bytes", target, e, s.body.Len())
		}
	}
	for _, target := range []string{"/trailers", "/trailers?flush"} {
		e := i.Exchange(ctx, get(target))
		if e.Cause != 0 || e.Web == nil || e.Web.Trailer.Get("X-Sum") != "4" {
			t.Errorf("%s: %+v", target, e.Web)
		}
	}
	x := get("/hints")
	answered(t, i.Exchange(ctx, x), 200, "done")
	if got := x.Web.Stream.(*sink).informs; len(got) != 1 || got[0] != http.StatusEarlyHints {
		t.Errorf("interim answers %v", got)
	}
}

func TestWebUploads(t *testing.T) {
	i := start(t, webConfig(t))
	ctx := context.Background()
	long := strings.Repeat("0123456789", 20_000)
	for _, length := range []int64{int64(len(long)), -1} {
		x := streamed("/sees", strings.NewReader(long), length)
		x.Web.Trailer = func() http.Header { return http.Header{"X-Sum": {"5"}} }
		e := i.Exchange(ctx, x)
		answered(t, e, 200, "*")
		text := string(e.Web.Body)
		if !strings.Contains(text, "\nbody 200000 ") || strings.Contains(text, "\ntrailer X-Sum: 5\n") != (length < 0) {
			t.Errorf("length %d: %s", length, text)
		}
	}
	x := streamed("/echo", strings.NewReader("asked"), 5)
	x.Web.Expect = true
	answered(t, i.Exchange(ctx, x), 200, "asked")
}

// TestWebDuplex sends a piece only after the last one was answered.
func TestWebDuplex(t *testing.T) {
	i := start(t, webConfig(t))
	r, w := io.Pipe()
	x := streamed("/duplex", r, -1)
	s := &sink{pieces: make(chan string, 16)}
	x.Web.Stream = s
	ended := make(chan Ending, 1)
	go func() { ended <- i.Exchange(context.Background(), x) }()
	if first := <-s.pieces; first != "begin" {
		t.Fatal(first)
	}
	for _, piece := range []string{"one", "two", "three"} {
		if _, err := io.WriteString(w, piece); err != nil {
			t.Fatal(err)
		}
		if got := <-s.pieces; got != strings.ToUpper(piece) {
			t.Fatalf("got %q for %q", got, piece)
		}
	}
	w.Close()
	if e := <-ended; e.Cause != 0 || e.InstanceGone {
		t.Fatalf("%+v", e)
	}
}

// TestWebEarlyAnswer has the function answer while the caller's body is still open.
func TestWebEarlyAnswer(t *testing.T) {
	i := start(t, webConfig(t))
	for _, expect := range []bool{false, true} {
		r, w := io.Pipe()
		x := streamed("/early", r, -1)
		x.Web.Expect = expect
		answered(t, i.Exchange(context.Background(), x), 413, "no, thanks")
		_ = w.Close()
	}
	answered(t, i.Exchange(context.Background(), postOf("/echo", "next")), 200, "next")
}

func TestWebFailures(t *testing.T) {
	for _, test := range []struct {
		target, kind, text string
		cause              spillway.Cause
		streamed           bool
	}{
		{"/exit", "Runtime.ExitError", "exit status 3", spillway.CauseCrashed, false},
		{"/half", "Runtime.ExitError", "exit status 3", spillway.CauseCrashed, true},
		{"/hang", "Sandbox.Timedout", "timed out", spillway.CauseTimeout, false},
		{"/stream", "Sandbox.Timedout", "timed out", spillway.CauseTimeout, true},
		{"/raw?say=", "Runtime.InvalidResponse", "without an answer", spillway.CauseCrashed, false},
		{"/raw?say=hello", "Runtime.InvalidResponse", "not HTTP", spillway.CauseCrashed, false},
		{"/raw?say=HTTP/1.1%20101%20Switching%0d%0a%0d%0a", "Runtime.InvalidResponse", "switched protocols", spillway.CauseCrashed, false},
		{"/raw?say=HTTP/1.1%20007%20Bond%0d%0a%0d%0a", "Runtime.InvalidResponse", "no status that HTTP knows", spillway.CauseCrashed, false},
		{"/raw?say=HTTP/1.1%20200%20OK%0d%0aContent-Length:%205%0d%0a%0d%0aab", "Runtime.InvalidResponse", "closed the connection", spillway.CauseCrashed, false},
	} {
		t.Run(test.target, func(t *testing.T) {
			i := start(t, webConfig(t))
			answered(t, i.Exchange(context.Background(), get("/status?code=204")), 204, "")
			x := get(test.target)
			if test.cause == spillway.CauseTimeout {
				x.Deadline = time.Now().Add(300 * time.Millisecond)
			}
			e := i.Exchange(context.Background(), x)
			if !e.Delivered || e.Cause != test.cause || !e.InstanceGone || e.FunctionError != spillway.FunctionUnhandled {
				t.Fatalf("%+v", e)
			}
			if e.ErrorType != test.kind || !strings.Contains(string(e.Payload), test.text) {
				t.Errorf("%s %s", e.ErrorType, e.Payload)
			}
			if (e.Web != nil && e.Web.Streamed) != test.streamed || !test.streamed && e.Web != nil {
				t.Errorf("answer %+v", e.Web)
			}
			if e := i.Exchange(context.Background(), get("/echo")); e.Delivered || !e.InstanceGone {
				t.Errorf("after its end: %+v", e)
			}
		})
	}
}

// TestWebLastCPU: the call that ends a process is not charged for what the children of
// earlier ones used.
func TestWebLastCPU(t *testing.T) {
	i := start(t, webConfig(t))
	answered(t, i.Exchange(context.Background(), get("/child")), 204, "")
	if e := i.Exchange(context.Background(), get("/exit")); !e.InstanceGone || e.CPU <= 0 || e.CPU >= 250*time.Millisecond {
		t.Errorf("charged %v of CPU: %+v", e.CPU, e)
	}
}

// slowCage takes until after a deadline to be emptied.
type slowCage struct{ until time.Time }

func (slowCage) Enter(int) error { return nil }
func (slowCage) Peak() int64     { return 0 }
func (slowCage) Overran() bool   { return false }
func (c slowCage) Empty()        { time.Sleep(time.Until(c.until)) }

// TestWebCrashBeforeDeadline: a crash stays one, however long its remains take.
func TestWebCrashBeforeDeadline(t *testing.T) {
	c, deadline := webConfig(t), time.Now().Add(1500*time.Millisecond)
	c.Cage = slowCage{deadline.Add(time.Millisecond)}
	x := get("/exit")
	x.Deadline = deadline
	if e := start(t, c).Exchange(context.Background(), x); e.Cause != spillway.CauseCrashed || e.ErrorType != "Runtime.ExitError" {
		t.Errorf("ended as %v %s", e.Cause, e.Payload)
	}
}

func TestWebCallerGone(t *testing.T) {
	for _, how := range []string{"caller", "ctx", "write", "body"} {
		t.Run(how, func(t *testing.T) {
			i := start(t, webConfig(t))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			x := get("/stream")
			s := &sink{pieces: make(chan string, 4)}
			in := context.Background()
			switch how {
			case "caller":
				x.Web.Caller = ctx
			case "ctx":
				in = ctx
			case "write":
				x.Web.Target = "/big?n=10000000"
				s.fail, s.pieces = true, nil
			case "body":
				r, w := io.Pipe()
				x = streamed("/duplex", r, -1)
				defer func() { _ = w.Close() }()
				context.AfterFunc(ctx, func() { _ = w.CloseWithError(errors.New("connection lost")) })
			}
			x.Web.Stream = s
			if s.pieces != nil {
				go func() { <-s.pieces; cancel() }()
			}
			e := i.Exchange(in, x)
			if !e.Delivered || e.Cause != spillway.CauseCancelled || !e.InstanceGone || e.Web == nil || !e.Web.Streamed {
				t.Fatalf("%+v", e)
			}
		})
	}
}

// TestWebCallerGoneFromEndless: what is left of an answer is not read for nobody.
func TestWebCallerGoneFromEndless(t *testing.T) {
	for _, target := range []string{"/big?n=1000000000000000", "/big?n=1000000000000000&length"} {
		i := start(t, webConfig(t))
		x := get(target)
		x.Deadline = time.Now().Add(5 * time.Second)
		x.Web.Stream = &sink{fail: true}
		if e := i.Exchange(context.Background(), x); e.Cause != spillway.CauseCancelled || !e.InstanceGone {
			t.Errorf("%s: %v %s", target, e.Cause, e.Payload)
		}
	}
}
