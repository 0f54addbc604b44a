package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
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
