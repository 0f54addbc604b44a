package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

const (
	// smallBody is read in one go under the server's read timeout; what is larger
	// must keep up a rate.
	smallBody   = 64 << 10
	minBodyRate = 64 << 10 // bytes per second

	// maxHeld bounds the payloads of all calls in flight together, in bytes.
	maxHeld = 512 << 20
)

// checkBody refuses a body by its headers alone.
func checkBody(r *http.Request) *problem {
	if r.ContentLength > pools.MaxPayload {
		return tooLarge()
	}
	if p := checkFraming(r); p != nil {
		return p
	}
	for _, e := range r.Header["Content-Encoding"] {
		if e != "identity" {
			return encoded()
		}
	}
	return nil
}

// checkFraming refuses an HTTP/1.0 request that does not say how long it is:
// net/http takes it for one without a body, also if it is chunked.
func checkFraming(r *http.Request) *problem {
	bodiless := r.Method == http.MethodGet || r.Method == http.MethodHead
	if r.ProtoMinor == 0 && r.Header["Content-Length"] == nil && !bodiless {
		return noLength()
	}
	return nil
}

// oddFraming reports requests after which another program and this one might
// disagree where the next one begins: their connection is closed.
func oddFraming(r *http.Request) bool {
	return len(r.TransferEncoding) > 0 || r.ProtoMinor == 0 || r.Header["Upgrade"] != nil || r.Header["Trailer"] != nil
}

// readBody reads the payload. For callers not yet authenticated memory grows with
// what has arrived, not with what was announced. The bytes come from no pool: a
// transport of the server's may still read them when the call has ended.
func (x *exchange) readBody() *problem {
	n := x.r.ContentLength
	if n != 0 {
		if p := x.readAll(n); p != nil {
			return p
		}
	}
	// Or else the server's read timeout would end the wait for the answer.
	setDeadline(x.w, deadliner.SetReadDeadline, time.Time{})
	return nil
}

// readAll reads n bytes, or until the end if n is negative, into x.body.
func (x *exchange) readAll(n int64) *problem {
	began, limit, size := time.Now(), n, min(n, smallBody)
	switch {
	case n < 0:
		limit, size = pools.MaxPayload+1, 4<<10
	case x.admitted:
		size = n
	}
	for {
		if p := x.makeRoom(size, began); p != nil {
			return p
		}
		for len(x.body) < cap(x.body) {
			got, err := x.r.Body.Read(x.body[len(x.body):cap(x.body)])
			x.body = x.body[:len(x.body)+got]
			switch {
			case len(x.body) > pools.MaxPayload:
				return tooLarge()
			case err == io.EOF && (n < 0 || int64(len(x.body)) == n):
				return nil
			case err != nil:
				return brokenBody(err)
			}
		}
		if int64(len(x.body)) == n {
			return nil
		}
		size = min(2*size, limit)
	}
}

// makeRoom makes x.body hold size bytes, all of which must have arrived by the time
// the least rate allows.
func (x *exchange) makeRoom(size int64, began time.Time) *problem {
	if x.front.held.Add(size-x.held) > maxHeld {
		x.held = size
		return overloaded()
	}
	x.held = size
	if size > smallBody {
		allowed := readTimeout + time.Duration(size)*time.Second/minBodyRate
		setDeadline(x.w, deadliner.SetReadDeadline, began.Add(allowed))
	}
	body := make([]byte, len(x.body), size)
	copy(body, x.body)
	x.body = body
	return nil
}

func brokenBody(err error) *problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return tooSlow()
	}
	return bodyBroken()
}

// deadliner is what net/http's ResponseWriters also are.
type deadliner interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// setDeadline sets one of the connection's deadlines. A ResponseWriter that has
// none, as in tests, is left alone.
func setDeadline(w http.ResponseWriter, set func(deadliner, time.Time) error, at time.Time) {
	if d, ok := w.(deadliner); ok {
		_ = set(d, at) // fails only on a connection that is gone
	}
}
