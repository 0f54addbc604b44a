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

	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

// TestRawUnread has functions answer a body that they did not want. What comes of
// it later is not a request, though it looks like one.
func TestRawUnread(t *testing.T) {
	answer := map[string]func(w *server.Web) *pools.WebAnswer{
		"whole": func(*server.Web) *pools.WebAnswer { return whole("early") },
		"streamed": func(w *server.Web) *pools.WebAnswer {
			w.Stream.Begin(http.StatusOK, http.Header{}, time.Now().Add(time.Minute))
			_, _ = w.Stream.Write([]byte("early"))
			return nil
		},
		"streamed with a length": func(w *server.Web) *pools.WebAnswer {
			w.Stream.Begin(http.StatusOK, http.Header{"Content-Length": {"5"}}, time.Now().Add(time.Minute))
			_, _ = w.Stream.Write([]byte("early"))
			return nil
		},
	}
	for name, say := range answer {
		for _, read := range []int{0, 1} {
			t.Run(fmt.Sprint(name, " after ", read), func(t *testing.T) {
				c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
					_, _ = io.ReadFull(w.Body, make([]byte, read))
					_ = w.Body.Close() // as a pool does that has its answer
					return say(w)
				}}
				conn := dial(t, open(t, c).addr)
				_, _ = io.WriteString(conn, rawWeb.text("POST {P} HTTP/1.1|{H}{A}Content-Length: 40000||x"))
				br := bufio.NewReader(conn)
				if statuses, body := answersOf(t, br); len(statuses) != 1 || statuses[0] != 200 || body != "early" {
					t.Fatalf("%v %q", statuses, body)
				}
				_, _ = io.WriteString(conn, rawWeb.text(strings.Repeat("{S}", 200)))
				_ = conn.(*net.TCPConn).CloseWrite()
				if rest, _ := io.ReadAll(br); len(rest) > 0 || c.count() != 1 {
					t.Errorf("%d ran, answered %.100q", c.count(), rest)
				}
			})
		}
	}
}

// rawHalves are requests in two parts.
var rawHalves = []struct {
	rawTest
	rest string
}{
	{rawTest{"length", "POST {P} HTTP/1.1|{H}{A}Content-Length: 4||12", "200 200 ran 1234 9", ""}, "34{S}"},
	{rawTest{"length, then too much", "POST {P} HTTP/1.1|{H}{A}Content-Length: 3||12", "200 405 ran 123", "200 200 ran 123 9"}, "3x{S}"},
	{rawTest{"length, then too little", "POST {P} HTTP/1.1|{H}{A}Content-Length: 5||12", "400", ""}, "34"},
	{rawTest{"large", "POST {P} HTTP/1.1|{H}{A}Content-Length: 40000||" + strings.Repeat("1", 20000), "200 200 ran " + strings.Repeat("1", 40000) + " 9", ""}, strings.Repeat("1", 20000) + "{S}"},
	{rawTest{"continue", "POST {P} HTTP/1.1|{H}{A}Expect: 100-continue|Content-Length: 4||12", "100 200 200 ran 1234 9", ""}, "34{S}"},
	{rawTest{"continue, then a broken chunk", "POST {P} HTTP/1.1|{H}{A}Expect: 100-continue|Transfer-Encoding: chunked||2|12|", "100 400", "100 200 ran 12!"}, "zz|{S}"},
	{rawTest{"in a chunk", chunked + "4|12", "200 ran 1234", ""}, "34|0||{S}"},
	{rawTest{"between chunks", chunked + "2|12|", "200 ran 1234", ""}, "2|34|0||{S}"},
	{rawTest{"in a size", chunked + "2|12|0", "200 ran 1234", ""}, "2|34|0||{S}"},
	{rawTest{"in an extension", chunked + "2|12|2;a", "200 ran 1234", ""}, "=b|34|0||{S}"},
	{rawTest{"in a line end", chunked + "2|12\r", "200 ran 12", ""}, "\n0||{S}"},
	{rawTest{"in a line end that is none", chunked + "2|12\r", "400", "200 ran 12!"}, "0||{S}"},
	{rawTest{"before the last line end", chunked + "2|12|0|", "200 ran 12", ""}, "|{S}"},
	{rawTest{"before a trailer", announced("X-A") + "2|12|0|X-A: b", "200 ran 12", ""}, "c||{S}"},
	{rawTest{"a request for the rest", chunked + "2|12|", "400", "200 ran 12!"}, "{S}"},
}

// tap is a listener for one connection that tells when so much of it was read.
type tap struct {
	net.Listener
	left int
	read chan struct{}
}

func (l *tap) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &tapped{c, l}, err
}

type tapped struct {
	net.Conn
	of *tap
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if before := c.of.left; before > 0 {
		if c.of.left -= n; c.of.left <= 0 {
			close(c.of.read)
		}
	}
	return n, err
}

// TestRawHalves sends the second half of a request when the first has been read.
func TestRawHalves(t *testing.T) {
	for _, test := range rawHalves {
		for _, path := range rawPaths {
			t.Run(test.name+"/"+path.name, func(t *testing.T) {
				s, first := &witness{}, path.text(test.send)
				half := tapFront(t, open(t, s).front, len(first))
				conn := dial(t, half.Addr().String())
				_, _ = io.WriteString(conn, first)
				<-half.read
				_, _ = io.WriteString(conn, path.text(test.rest))
				_ = conn.(*net.TCPConn).CloseWrite()
				text, _ := io.ReadAll(conn)
				got := statusesOf(t, text)
				if ran := s.check(t, path); ran != "" {
					got += " ran " + ran
				}
				if want := path.wants(test.rawTest); got != want {
					t.Errorf("%.200s, want %.200s", got, want)
				}
			})
		}
	}
}

// tapFront serves f on a tap that waits for n bytes.
func tapFront(t *testing.T, f *Front, n int) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tapping, httpServer, done := &tap{l, n, make(chan struct{})}, f.Server(), make(chan struct{})
	go func() { defer close(done); _ = httpServer.Serve(tapping) }()
	t.Cleanup(func() { _ = httpServer.Close(); <-done })
	return tapping
}

// TestRawDribble sends each byte by itself: nothing is read otherwise for that.
func TestRawDribble(t *testing.T) {
	for _, tests := range [][]rawTest{rawLengths, rawCodings, rawTrailers} {
		for _, test := range tests {
			for _, path := range rawPaths {
				text, want := path.text(test.send), path.wants(test)
				if len(text) > 500 || !strings.HasPrefix(want, "200") {
					continue
				}
				s := &witness{}
				conn := dial(t, open(t, s).addr)
				for i := range len(text) {
					if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
						break // closed after an answer
					}
				}
				_ = conn.(*net.TCPConn).CloseWrite()
				answers, _ := io.ReadAll(conn)
				if got := statusesOf(t, answers) + " ran " + s.check(t, path); got != want {
					t.Errorf("%s on %s: %s, want %s", test.name, path.name, got, want)
				}
			}
		}
	}
}

// TestRawUnfinished stops in the middle of a body and waits for the server to have
// enough. What it says then is the last on its connection.
func TestRawUnfinished(t *testing.T) {
	for _, test := range []rawTest{
		{"length", "POST {P} HTTP/1.1|{H}{A}Content-Length: 9||1", "408", ""},
		{"nothing of it", "POST {P} HTTP/1.1|{H}{A}Content-Length: 9||", "408", ""},
		{"looks whole", "POST {P} HTTP/1.1|{H}{A}Content-Length: 900||{S}", "408", ""},
		{"continue", "POST {P} HTTP/1.1|{H}{A}Expect: 100-continue|Content-Length: 9||1", "100 408", "-"},
		{"chunk", chunked + "9|1", "408", "-"},
		{"size", chunked + "9", "408", "-"},
		{"trailer", chunked + "1|1|0|X-A: b|", "400", "-"},
		{"no credentials", "POST {P} HTTP/1.1|{H}Content-Length: 9||1", "401", ""},
		{"no credentials, chunk", "POST {P} HTTP/1.1|{H}Transfer-Encoding: chunked||9|1", "401", ""},
		{"dots", "POST {P}/../x HTTP/1.1|{H}{A}Content-Length: 9||1", "400", ""},
		{"header", "POST {P} HTTP/1.1|{H}{A}Content-Length: 1|", "", ""},
	} {
		for _, path := range rawPaths {
			if path == rawWeb && test.web == "-" {
				continue // these stream, for as long as the call may last
			}
			t.Run(test.name+"/"+path.name, func(t *testing.T) {
				t.Parallel()
				s := &witness{}
				d := openWith(t, s, func(*Config) {}, func(h *http.Server) {
					h.ReadTimeout, h.ReadHeaderTimeout = 100*time.Millisecond, time.Minute
					if test.name == "header" {
						h.ReadHeaderTimeout = 100 * time.Millisecond
					}
				})
				conn := dial(t, d.addr)
				_, _ = io.WriteString(conn, path.text(test.send))
				text, err := io.ReadAll(conn)
				if got := statusesOf(t, text); errors.Is(err, os.ErrDeadlineExceeded) || got != path.wants(test) || s.check(t, path) != "" {
					t.Errorf("%s, %v, ran %d", got, err, len(s.runs))
				}
			})
		}
	}
}

// TestRawGivenUp has a function give up a body that stopped. Reading it ends then,
// and what comes of it later is not read as a request.
func TestRawGivenUp(t *testing.T) {
	for _, head := range []string{"Content-Length: 40000", "Transfer-Encoding: chunked", "Expect: 100-continue|Content-Length: 300"} {
		c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
			first := make([]byte, 1)
			_, _ = w.Body.Read(first)
			ended := make(chan error)
			go func() { _, err := w.Body.Read(first); ended <- err }()
			_ = w.Body.Close()
			if err := <-ended; err == nil || err == io.EOF {
				t.Errorf("%s: the body goes on: %v", head, err)
			}
			return whole(string(first))
		}}
		conn := dial(t, open(t, c).addr)
		br := bufio.NewReader(conn)
		piece := "x"
		if strings.HasPrefix(head, "Transfer") {
			piece = "1|x|"
		}
		_, _ = io.WriteString(conn, rawWeb.text("POST {P} HTTP/1.1|{H}{A}"+head+"||"+piece))
		if statuses, body := answersOf(t, br); statuses[len(statuses)-1] != 200 || body != "x" {
			t.Errorf("%s: %v %q", head, statuses, body)
		}
		_, _ = io.WriteString(conn, rawWeb.text("{S}{S}"))
		_ = conn.(*net.TCPConn).CloseWrite()
		if rest, _ := io.ReadAll(br); len(rest) > 0 || c.count() != 1 {
			t.Errorf("%s: %d ran, answered %.100q", head, c.count(), rest)
		}
	}
}
