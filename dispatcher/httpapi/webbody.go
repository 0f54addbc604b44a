package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

// takeBody reads a short body into room, so that a slow caller holds no place of the
// function, and leaves others to be streamed.
func (x *exchange) takeBody(ask *server.Ask, room []byte, stream *webStream) *problem {
	n := x.r.ContentLength
	// net/http refuses all expectations but this one, and does not meet it in HTTP/1.0.
	expects := x.r.ProtoMinor > 0 && x.r.Header.Get("Expect") != ""
	switch {
	case n == 0:
	case n > 0 && n <= int64(len(room)) && !expects:
		if _, err := io.ReadFull(x.r.Body, room[:n]); err != nil {
			return brokenBody(err)
		}
		ask.Payload = room[:n]
	default:
		x.streamBody(&ask.Web.Web, &requestBody{stream: stream, expects: expects})
	}
	setDeadline(x.w, deadliner.SetReadDeadline, time.Time{})
	return nil
}

// streamBody leaves the body to the function, which may answer before its end.
func (x *exchange) streamBody(w *pools.Web, body *requestBody) {
	if d, ok := x.w.(interface{ EnableFullDuplex() error }); ok {
		_ = d.EnableFullDuplex()
	}
	w.Body, w.Length, w.Expect = body, x.r.ContentLength, body.expects
	caller, gone := context.WithCancel(context.WithoutCancel(x.r.Context()))
	w.Caller, body.stays = caller, context.AfterFunc(x.r.Context(), gone)
	if len(x.r.Trailer) > 0 {
		w.Trailer = func() http.Header {
			filterRequest(x.r.Trailer)
			return x.r.Trailer
		}
	}
}

// requestBody is the body of a request; Close makes a Read that waits return.
type requestBody struct {
	stream  *webStream
	stays   func() bool // the caller is not taken to have gone from then on
	expects bool        // the caller waits to be told to send it
	ended   atomic.Bool // it was read to its end
	broken  atomic.Bool // reading it may have been broken off
	left    atomic.Bool // the call has ended
}

var errLeft = errors.New("the call that this body belongs to has ended")

func (b *requestBody) Read(p []byte) (int, error) {
	if b.left.Load() {
		return 0, errLeft
	}
	if b.expects {
		b.expects = false
		b.stream.proceed()
	}
	n, err := b.stream.x.r.Body.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	}
	b.stream.x.front.metrics.received.Add(float64(n))
	return n, err
}

// Close implements pools.Web.Body. net/http takes the read that it makes fail for the
// end of the caller, and of those of all further requests of the connection.
func (b *requestBody) Close() error {
	if b.ended.Load() {
		return nil
	}
	b.broken.Store(true)
	b.stays()
	setDeadline(b.stream.x.w, deadliner.SetReadDeadline, time.Unix(1, 0))
	return nil
}

// drainTime is how long a caller may take to send what nobody reads any more.
const drainTime = time.Second

// leaveBody ends the connection after the answer if the body was not read to its
// end: net/http would take the rest of it for the next request, or wait for it as
// long as the caller likes.
func (x *exchange) leaveBody(body io.ReadCloser) {
	b, streamed := body.(*requestBody)
	if !streamed {
		return
	}
	b.left.Store(true)
	if b.ended.Load() && !b.broken.Load() {
		return
	}
	closeAfter(x.w)
	setDeadline(x.w, deadliner.SetReadDeadline, time.Now().Add(drainTime))
}

// closeAfter has net/http close the connection of w after the answer, also one that
// has begun, and leave the caller time to read it. That is what a MaxBytesReader
// does when it has read too much, and nothing else does it.
func closeAfter(w http.ResponseWriter) {
	tooMuch := http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0)
	_, _ = io.Copy(io.Discard, tooMuch)
}
