package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/auth"
)

// lazyAnswer is a request for /lazy: what it answers at once, what when it hears of the
// next request, and what when it is told to.
func lazyAnswer(method, body, then, say string, later ...string) Exchange {
	q := url.Values{"say": {say}, "later": later}
	if then != "" {
		q.Set("then", then)
	}
	x := postOf("/lazy?"+q.Encode(), body)
	x.Web.Method = method
	return x
}

func calledBy(name string, x Exchange) Exchange {
	x.Web.Header = http.Header{"X-Spillway-Caller": {name}}
	return x
}

const (
	okHead = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	ok     = okHead + "\r\nok"
	evil   = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	// smuggled swallows the first line of what comes after it.
	smuggled = "GET /evil HTTP/1.1\r\nX-Rest: "
)

// TestWebDesync has a function leave a body unread, or say more than its answer. The
// next caller's request must arrive as it is, and get its own answer.
func TestWebDesync(t *testing.T) {
	refused := strings.Replace(ok, "200 OK", "413 Too Large", 1)
	for name, c := range map[string]struct {
		x    Exchange
		next string // who calls next; the first is A
	}{
		"body unread":               {lazyAnswer("POST", smuggled, "", ok), "B"},
		"body of a GET unread":      {lazyAnswer("GET", smuggled, "", ok), "B"},
		"body unread, error":        {lazyAnswer("POST", smuggled, "", refused), "A"},
		"body unread, streamed":     {streamed(lazyAnswer("POST", "", "", ok).Web.Target, strings.NewReader(smuggled), int64(len(smuggled))), "B"},
		"HEAD with a late body":     {lazyAnswer("HEAD", "", evil, strings.Replace(okHead, "2\r", "54\r", 1)+"\r\n"), "B"},
		"HEAD with late chunks":     {lazyAnswer("HEAD", "", evil, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "B"},
		"HEAD without a length":     {lazyAnswer("HEAD", "", evil, "HTTP/1.1 200 OK\r\n\r\n"), "B"},
		"204 with a late body":      {lazyAnswer("GET", "", evil, "HTTP/1.1 204 None\r\nContent-Length: 42\r\n\r\n"), "B"},
		"204 with late chunks":      {lazyAnswer("GET", "", evil, "HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n"), "B"},
		"304 with a late body":      {lazyAnswer("GET", "", evil, "HTTP/1.1 304 Same\r\nContent-Length: 42\r\n\r\n"), "B"},
		"CONNECT":                   {lazyAnswer("CONNECT", "", evil, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "B"},
		"HTTP/1.0, two framings":    {lazyAnswer("GET", "", evil, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), "B"},
		"close, in another writing": {lazyAnswer("GET", "", evil, okHead+"connection: x, CLOSE\r\n\r\nok"), "B"},
		"second answer":             {lazyAnswer("GET", "", "", ok+evil), "B"},
		"second answer, later":      {lazyAnswer("GET", "", "", ok, evil), "B"},
		"interim answer, later":     {lazyAnswer("GET", "", "", ok, "HTTP/1.1 100 Continue\r\n\r\n"), "B"},
		"end of line, later":        {lazyAnswer("GET", "", "", ok, "\r\n"), "B"},
	} {
		t.Run(name, func(t *testing.T) {
			i := start(t, webConfig(t))
			if e := i.Exchange(context.Background(), calledBy("A", c.x)); e.Cause != 0 || e.Web == nil {
				t.Fatalf("%v %s", e.Cause, e.Payload)
			}
			if strings.HasSuffix(name, "later") {
				if keptConn(i) == nil {
					t.Fatal("the connection was not kept: what comes later would prove nothing")
				}
				resp, err := http.Get("http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(i.web.port)) + "/now")
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				http.DefaultClient.CloseIdleConnections()
				untilHeard(i)
			}
			e := i.Exchange(context.Background(), calledBy(c.next, get("/sees")))
			answered(t, e, 200, "*")
			if !strings.HasPrefix(string(e.Web.Body), "GET /sees\n") {
				t.Errorf("the next caller got %q", e.Web.Body)
			}
		})
	}
}

// TestUnnamed: who has no credentials goes by the same name here and where callers are
// named, so that two of them do not share a connection that carried a body.
func TestUnnamed(t *testing.T) {
	if unnamed != auth.AnonymousName {
		t.Errorf("callers without credentials are called %q, taken to be %q", auth.AnonymousName, unnamed)
	}
	for _, caller := range []string{"", auth.AnonymousName} {
		c := &webConn{carried: true, carrier: caller}
		if c.servable(calledBy(caller, get("/")).Web) {
			t.Errorf("the connection of one %q serves another", caller)
		}
	}
}

// keptConn is the connection that would be used next, or nil.
func keptConn(i *Instance) *webConn {
	i.mu.Lock()
	defer i.mu.Unlock()
	if n := len(i.web.conns); n > 0 {
		return i.web.conns[n-1]
	}
	return nil
}

// untilHeard waits until something has come on the connection that is kept, if any.
func untilHeard(i *Instance) {
	conn := keptConn(i)
	for conn != nil && conn.br.Buffered() == 0 && conn.raw.Control(conn.poll) == nil && conn.quiet {
		runtime.Gosched()
	}
}

// TestWebKeeps: what must not be kept does not keep the rest from being so.
func TestWebKeeps(t *testing.T) {
	i := start(t, webConfig(t))
	kept := func() *webConn { return keptConn(i) }
	first := kept()
	for name, x := range map[string]Exchange{
		"GET":        get("/sees"),
		"small body": postOf("/echo", "x"),
		"long body":  postOf("/sees", strings.Repeat("x", 1<<20)),
		"no body":    postOf("/echo", ""),
		"204":        get("/status?code=204"),
		"304":        get("/status?code=304"),
		"404":        get("/status?code=404"),
		"chunks":     get("/trailers"),
	} {
		if e := i.Exchange(context.Background(), calledBy("A", x)); e.Cause != 0 || e.Web == nil {
			t.Fatalf("%s: %v %s", name, e.Cause, e.Payload)
		}
		if kept() != first {
			t.Fatalf("%s: the connection was not kept", name)
		}
	}
	answered(t, i.Exchange(context.Background(), calledBy("B", get("/sees"))), 200, "*")
	if kept() == first || kept() == nil {
		t.Error("a connection that carried a body is another caller's")
	}
}

// TestWebUndelivered has the function answer before the kernel could hand it the whole
// body.
func TestWebUndelivered(t *testing.T) {
	i := start(t, webConfig(t))
	x := lazyAnswer("POST", strings.Repeat("x", 400<<10), "", ok)
	x.Web.Target += "&hold"
	answered(t, i.Exchange(context.Background(), x), 200, "ok")
	if len(i.web.conns) > 0 {
		t.Error("a connection with half a request on its way was kept")
	}
}

// TestWebLongerThanSaid streams a body with more bytes than its length.
func TestWebLongerThanSaid(t *testing.T) {
	i := start(t, webConfig(t))
	x := calledBy("A", streamed("/echo", strings.NewReader("hello"+smuggled), 5))
	answered(t, i.Exchange(context.Background(), x), 200, "hello")
	if keptConn(i) == nil {
		t.Error("the connection is not kept: what follows would prove nothing")
	}
	e := i.Exchange(context.Background(), calledBy("A", get("/sees")))
	answered(t, e, 200, "*")
	if !strings.HasPrefix(string(e.Web.Body), "GET /sees\n") {
		t.Errorf("the next caller got %q", e.Web.Body)
	}
}

// TestWebShorterThanSaid breaks a body off in the middle, and the function answers
// before it knows.
func TestWebShorterThanSaid(t *testing.T) {
	i := start(t, webConfig(t))
	r, w := io.Pipe()
	x := streamed("/early", r, 10)
	go func() {
		_, _ = io.WriteString(w, "12345")
		_ = w.CloseWithError(errors.New("connection lost"))
	}()
	if e := i.Exchange(context.Background(), x); e.Web != nil && !e.InstanceGone {
		i.mu.Lock()
		defer i.mu.Unlock()
		if len(i.web.conns) > 0 {
			t.Error("a connection with half a request on it was kept")
		}
	}
}

// TestWebShorterThanLength ends a body in good order before its length. Nobody is to get
// what is left of the connection, of which our side is closed.
func TestWebShorterThanLength(t *testing.T) {
	i := start(t, sharedConfig(t, 2))
	first := keptConn(i)
	x := calledBy("A", streamed("/partly", strings.NewReader("12345"), 10))
	answered(t, i.Exchange(context.Background(), x), 200, "5")
	if keptConn(i) != first || len(i.web.conns) != 1 {
		t.Errorf("%d connections kept", len(i.web.conns))
	}
}

// TestWebClosedAsItIsTaken has the function close a kept connection after it was looked
// at: the request goes out again, on a new one.
func TestWebClosedAsItIsTaken(t *testing.T) {
	i := start(t, webConfig(t, "PROBE_IDLE=1ms"))
	answered(t, i.Exchange(context.Background(), get("/status?code=204")), 204, "")
	untilHeard(i)
	conn := keptConn(i)
	conn.poll = func(uintptr) { conn.quiet = true }
	answered(t, i.Exchange(context.Background(), postOf("/echo", "again")), 200, "again")
	if keptConn(i) == conn {
		t.Error("a closed connection is kept")
	}
}

// TestWebLeavesNothing: the end of a process gives back its connections and its port.
func TestWebLeavesNothing(t *testing.T) {
	i := start(t, webConfig(t))
	conn := keptConn(i)
	i.Stop()
	if conn.raw.Control(conn.poll) == nil || len(i.web.conns) > 0 {
		t.Error("a connection is left open")
	}
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.held[i.web.port] {
		t.Error("the port is still held")
	}
}

// TestWebUnnamedCallers are not one caller: after a body the next one gets another
// connection.
func TestWebUnnamedCallers(t *testing.T) {
	for _, name := range []string{"", unnamed} {
		i := start(t, webConfig(t))
		x := func() Exchange {
			if name == "" {
				return postOf("/sees", "x")
			}
			return calledBy(name, postOf("/sees", "x"))
		}
		if e := i.Exchange(context.Background(), x()); e.Web == nil {
			t.Fatalf("%+v", e)
		}
		first := keptConn(i)
		if e := i.Exchange(context.Background(), x()); e.Web == nil {
			t.Fatalf("%+v", e)
		}
		if first == nil || keptConn(i) == first {
			t.Errorf("callers named %q share a connection that carried a body", name)
		}
	}
}

// TestKeepAliveTimeout: a function may shorten the rest of its connection, and no number
// that it says lengthens it or wraps around.
func TestKeepAliveTimeout(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"":                              keepIdle,
		"timeout=1":                     keepIdle / 2,
		"max=5, timeout=1":              keepIdle / 2,
		"timeout=0":                     0,
		"timeout=-7":                    0,
		"timeout=2":                     keepIdle,
		"timeout=soon":                  keepIdle,
		"timeout=9223372037":            keepIdle, // seconds that a Duration cannot hold
		"timeout=18446744074":           keepIdle,
		"timeout=9223372036854775807":   keepIdle,
		"timeout=-9223372036854775808":  0,
		"timeout=92233720368547758070":  keepIdle,
		"timeout=9223372037, timeout=1": keepIdle / 2,
	} {
		c := &webConn{}
		if c.rest([]string{header}); c.idle != want {
			t.Errorf("%q: rests for %v, want %v", header, c.idle, want)
		}
	}
}
