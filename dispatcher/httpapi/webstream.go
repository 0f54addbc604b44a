package httpapi

import (
	"net/http"
	"sync"
	"time"

	"github.com/spillway-dev/spillway/dispatcher/server"
)

// webStream is the way of an answer that leaves while its attempt runs.
type webStream struct {
	x         *exchange
	placement server.Placement
	flusher   interface{ FlushError() error }

	// net/http lets interim answers, and the 100 Continue that reading a body may
	// say, write over each other and over the head of the answer. Who holds speaks
	// may write them; exchange.status is guarded by it until the call has ended.
	speaks sync.Mutex
}

// Placed implements server.WebStream.
func (s *webStream) Placed(p server.Placement) { s.placement = p }

// Inform implements pools.Stream. Informing an HTTP/1.0 client would confuse it.
func (s *webStream) Inform(status int, header http.Header) {
	if s.x.r.ProtoMinor == 0 {
		return
	}
	filterAnswer(header)
	s.speaks.Lock()
	defer s.speaks.Unlock()
	h := s.x.w.Header()
	for name, values := range header {
		h[name] = values
	}
	s.interim(status)
	clear(h)
}

// proceed tells the caller to send its body, unless the answer has begun.
func (s *webStream) proceed() {
	s.speaks.Lock()
	defer s.speaks.Unlock()
	if s.x.status == 0 {
		s.interim(http.StatusContinue)
	}
}

// interim gives the caller time of its own to take it: the server's time for writing
// counts from the request's head, and a failed write would take the answer along.
func (s *webStream) interim(status int) {
	setDeadline(s.x.w, deadliner.SetWriteDeadline, time.Now().Add(writeGrace))
	s.x.w.WriteHeader(status)
}

// Begin implements pools.Stream.
func (s *webStream) Begin(status int, header http.Header, until time.Time) {
	s.speaks.Lock()
	defer s.speaks.Unlock()
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
