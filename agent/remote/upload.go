package remote

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/spillway-dev/spillway/pools"
)

var pieces = sync.Pool{New: func() any { return new([maxData]byte) }}

// upload sends a request's body as it comes, beside the goroutine that reads the answer.
type upload struct {
	conn *conn
	web  *pools.Web
	done chan struct{} // closed when nothing of it goes on

	mu      sync.Mutex
	started bool
	over    bool // the answer has ended
	all     bool // everything was sent
}

// begin sends the request's head and lets the body follow, at once unless the caller
// waits to be asked for it.
func (u *upload) begin(head, frames []byte) error {
	if _, err := u.conn.Write(appendChunk(head, frames)); err != nil {
		return err
	}
	if !u.web.Expect {
		u.proceed()
	}
	return nil
}

// proceed lets the body go; only the first call counts. u may be nil.
func (u *upload) proceed() {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.started && !u.over {
		u.started = true
		go u.run()
	}
}

// finish ends the upload once the answer has ended. What is not read by then is not
// wanted any more. u may be nil.
func (u *upload) finish() {
	if u == nil {
		return
	}
	u.mu.Lock()
	u.over = true
	started, all := u.started, u.all
	u.mu.Unlock()
	if !started {
		return
	}
	if !all {
		_ = u.conn.NetConn().Close() // ends a write that waits
		_ = u.web.Body.Close()       // and a read
	}
	<-u.done
}

func (u *upload) run() {
	defer close(u.done)
	err := u.send()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = err == nil
}

// send passes the body on piece by piece. One that the caller broke off is said to be so.
func (u *upload) send() error {
	buffer := pieces.Get().(*[maxData]byte)
	defer pieces.Put(buffer)
	out := make([]byte, 0, maxData+frameRoom+16)
	for {
		n, err := u.web.Body.Read(buffer[:32<<10])
		if n > 0 {
			out = appendChunk(out[:0], appendFrame(nil, frameData, buffer[:n]))
			if _, err := u.conn.Write(out); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			var trailer http.Header
			if u.web.Trailer != nil {
				trailer = u.web.Trailer()
			}
			return u.last(appendFrame(nil, frameEnd, appendHeader(nil, trailer)))
		case err != nil:
			return u.last(appendFrame(nil, frameBroken))
		}
	}
}

func (u *upload) last(frame []byte) error {
	_, err := u.conn.Write(append(appendChunk(nil, frame), "0\r\n\r\n"...))
	return err
}

// appendChunk frames p as HTTP does a part of a body of unknown length.
func appendChunk(b, p []byte) []byte {
	b = fmt.Appendf(b, "%x\r\n", len(p))
	return append(append(b, p...), "\r\n"...)
}
