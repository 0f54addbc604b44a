package httpapi

import (
	"net/http"
	"time"

	"github.com/spillway-dev/spillway/dispatcher/server"
)

// webStream is the way of an answer that leaves while its attempt runs.
type webStream struct {
	x         *exchange
	placement server.Placement
	flusher   interface{ FlushError() error }
}

// Placed implements server.WebStream.
func (s *webStream) Placed(p server.Placement) { s.placement = p }

// Inform implements pools.Stream. Informing an HTTP/1.0 client would confuse it.
func (s *webStream) Inform(status int, header http.Header) {
	if s.x.r.ProtoMinor == 0 {
		return
	}
	filterAnswer(header)
	h := s.x.w.Header()
	for name, values := range header {
		h[name] = values
	}
	s.x.w.WriteHeader(status)
	clear(h)
}

// Begin implements pools.Stream.
func (s *webStream) Begin(status int, header http.Header, until time.Time) {
	s.x.webHeader(header, s.placement)
	setDeadline(s.x.w, deadliner.SetWriteDeadline, until)
	s.x.status = status
	s.x.w.WriteHeader(status)
	s.flusher, _ = s.x.w.(interface{ FlushError() error })
}

// Write implements pools.Stream: what it gets leaves at once.
func (s *webStream) Write(p []byte) (int, error) {
	var n int
	var err error
	if len(p) > 0 {
		n, err = s.x.w.Write(p)
	}
	s.x.front.metrics.sent.Add(float64(n))
	if err == nil && s.flusher != nil {
		err = s.flusher.FlushError()
	}
	return n, err
}

// end sends the trailers.
func (s *webStream) end(trailer http.Header) {
	filterAnswer(trailer)
	for name, values := range trailer {
		s.x.w.Header()[http.TrailerPrefix+name] = values
	}
	setDeadline(s.x.w, deadliner.SetWriteDeadline, time.Now().Add(writeGrace))
}
