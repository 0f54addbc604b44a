package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

const longUpload = webRoom + 1

// TestWebCloseUnread has a pool close a body that is still read, as it does when a
// function has answered without it. That is not the caller going away: a pool would
// end the process.
func TestWebCloseUnread(t *testing.T) {
	c := &coded{code: func(ctx context.Context, w *server.Web) *pools.WebAnswer {
		var upload sync.WaitGroup
		upload.Go(func() { _, _ = io.Copy(io.Discard, w.Body) })
		_ = w.Body.Close()
		upload.Wait()
		if ctx.Err() != nil {
			return whole("gone")
		}
		return whole("there")
	}}
	conn := dial(t, open(t, c).addr)
	_, _ = io.WriteString(conn, rawWeb.text("POST {P} HTTP/1.1|{H}{A}Content-Length: 100000||abc"))
	if statuses, body := answersOf(t, bufio.NewReader(conn)); len(statuses) != 1 || body != "there" {
		t.Errorf("%v: the caller is %q", statuses, body)
	}
}

// TestWebCloseRead has a pool close a body that was read to its end, as it does when
// a function does not take the last of it. The connection goes on, and so does the
// caller of its next request.
func TestWebCloseRead(t *testing.T) {
	c := &coded{code: func(ctx context.Context, w *server.Web) *pools.WebAnswer {
		if w.Body == nil {
			if ctx.Err() != nil {
				return whole("gone")
			}
			return whole("there")
		}
		_, _ = io.Copy(io.Discard, w.Body)
		_ = w.Body.Close()
		return whole("read")
	}}
	conn := dial(t, open(t, c).addr)
	br := bufio.NewReader(conn)
	_, _ = io.WriteString(conn, rawWeb.text("POST {P} HTTP/1.1|{H}{A}Content-Length: "+strconv.Itoa(longUpload)+"||")+strings.Repeat("a", longUpload))
	if statuses, body := answersOf(t, br); len(statuses) != 1 || body != "read" {
		t.Fatalf("%v %q", statuses, body)
	}
	_, _ = io.WriteString(conn, rawWeb.text("GET {P} HTTP/1.1|{H}{A}|"))
	if statuses, body := answersOf(t, br); len(statuses) != 1 || body != "there" {
		t.Errorf("%v: the caller of the next request is %q", statuses, body)
	}
}

// TestWebGoneAfterBody has a caller go away when its streamed body has been read.
func TestWebGoneAfterBody(t *testing.T) {
	read, ended := make(chan struct{}), make(chan struct{})
	c := &coded{code: func(ctx context.Context, w *server.Web) *pools.WebAnswer {
		_, _ = io.Copy(io.Discard, w.Body)
		close(read)
		<-ctx.Done()
		close(ended)
		return whole("nobody hears")
	}}
	conn := dial(t, open(t, c).addr)
	_, _ = io.WriteString(conn, rawWeb.text("POST {P} HTTP/1.1|{H}{A}Content-Length: "+strconv.Itoa(longUpload)+"||")+strings.Repeat("a", longUpload))
	<-read
	_ = conn.Close()
	<-ended
}

// TestWebUnreadStreams has a function answer in a stream and leave the body, of which
// more may come at any time: no request may be read on that connection.
func TestWebUnreadStreams(t *testing.T) {
	c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
		w.Stream.Begin(http.StatusOK, http.Header{}, time.Now().Add(time.Minute))
		_, _ = w.Stream.Write([]byte("enough"))
		return nil
	}}
	conn := dial(t, open(t, c).addr)
	_, _ = io.WriteString(conn, rawWeb.text("POST {P} HTTP/1.1|{H}{A}Content-Length: 100000||abc"))
	br := bufio.NewReader(conn)
	if statuses, body := answersOf(t, br); len(statuses) != 1 || body != "enough" {
		t.Errorf("%v %q", statuses, body)
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection goes on: %v", err)
	}
}
