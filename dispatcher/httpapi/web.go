package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

// webRoom is how much of a request or an answer is read before it is passed on in
// one piece, in bytes; longer bodies and those of unknown length are streamed.
const webRoom = 32 << 10

var webRooms = sync.Pool{New: func() any { return new([webRoom]byte) }}

// web passes a request to a web function and its answer back.
func (x *exchange) web() *problem {
	x.target.api = apiWeb
	if p := x.checkWeb(); p != nil {
		return p
	}
	stream := &webStream{x: x}
	ask := server.Ask{Function: x.target.function, Caller: x.identity.Name, Payload: x.body, Stale: x.stale, Web: &server.Web{Stream: stream}}
	if x.within > 0 {
		ask.Deadline = time.Now().Add(x.within)
	}
	room := webRooms.Get().(*[webRoom]byte)
	defer webRooms.Put(room)
	ask.Web.Web = pools.Web{
		Method: x.r.Method, Target: x.target.below, Host: x.r.Host, Header: x.r.Header,
		Caller: x.r.Context(), Room: room[:],
	}
	if x.body == nil {
		in := webRooms.Get().(*[webRoom]byte)
		defer webRooms.Put(in)
		if p := x.takeBody(&ask, in[:], stream); p != nil {
			return p
		}
	}
	x.odd = oddFraming(x.r) // the fields that say so go now
	filterRequest(x.r.Header)
	x.forward(x.r.Header)
	x.front.metrics.received.Add(float64(len(ask.Payload)))
	x.entered = true
	a, err := x.front.server.Invoke(context.WithoutCancel(x.r.Context()), ask)
	x.leaveBody(ask.Web.Body)
	return x.webEnded(a, err, stream)
}

// checkWeb refuses what a web function cannot be asked.
func (x *exchange) checkWeb() (p *problem) {
	path, _, _ := strings.Cut(x.target.below, "?")
	switch {
	case dotted(path):
		return oddTarget("has a path segment of dots, or one that might be read as such")
	case x.r.Method == http.MethodConnect, asksUpgrade(x.r.Header):
		return noUpgrade()
	}
	return x.readDeadline(x.r.Header)
}

// asksUpgrade reports a request for another protocol. An offer of h2c may be left
// unanswered.
func asksUpgrade(h http.Header) bool {
	for _, value := range h["Upgrade"] {
		if !strings.EqualFold(value, "h2c") {
			return true
		}
	}
	return false
}

// webEnded answers, or ends the answer that has begun.
func (x *exchange) webEnded(a *server.Answer, err error, stream *webStream) *problem {
	if x.status != 0 { // it streamed
		if err != nil || a.Web == nil || a.Decision.Last().Outcome.Cause != spillway.CauseNone {
			x.cut = true
			return nil
		}
		stream.end(a.Web.Trailer)
		return nil
	}
	switch {
	case err != nil:
		return x.failed(err)
	case a.Refused() != 0:
		return refused(a)
	case a.Unknown():
		return unknown(a.Explanation)
	case a.Web != nil:
		x.writeWeb(a)
		return nil
	}
	return webFailed(a)
}

// writeWeb writes an answer that is complete.
func (x *exchange) writeWeb(a *server.Answer) {
	f := x.webHeader(a.Web.Header, a.Placement)
	delete(f.h, "Trailer") // announces what does not come
	if len(a.Web.Trailer) > 0 {
		filterAnswer(a.Web.Trailer)
		f.h["Trailer"] = trailerNames(a.Web.Trailer)
	} else if x.r.Method != http.MethodHead && bodyAllowed(a.Web.Status) {
		f.set("Content-Length", strconv.Itoa(len(a.Web.Body)))
	}
	x.begin(a.Web.Status, len(a.Web.Body))
	if len(a.Web.Body) > 0 {
		_, _ = x.w.Write(a.Web.Body) // fails only when the client has gone
		x.front.metrics.sent.Add(float64(len(a.Web.Body)))
	}
	for name, values := range a.Web.Trailer {
		x.w.Header()[name] = values
	}
}

// webHeader sets the fields of an answer: the function's, filtered, and ours.
func (x *exchange) webHeader(from http.Header, p server.Placement) *fields {
	filterAnswer(from)
	h := x.w.Header()
	for name, values := range from {
		h[name] = values
	}
	if !isLength(h["Content-Length"]) {
		delete(h, "Content-Length")
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil // none: the server would guess one
	}
	f := &fields{h: h}
	f.place(p)
	x.closeIf(f, false)
	return f
}

// isLength reports that the values of a Content-Length say one thing only. Not every
// function answers by way of an HTTP client that refused it otherwise.
func isLength(values []string) bool {
	if len(values) != 1 {
		return false
	}
	_, err := strconv.ParseUint(values[0], 10, 63)
	return err == nil
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

func trailerNames(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	return names
}
