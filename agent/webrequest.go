package agent

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

// expectPatience is how long a function may leave "Expect: 100-continue" without an
// answer before the body is sent all the same, as RFC 9110 has it.
const expectPatience = time.Second

// framing are the fields that we write ourselves: what is said in Web.Header about
// them is not passed on.
func framing(name string) bool {
	switch name {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Expect":
		return true
	}
	return false
}

// appendHead writes the head of a request whose body, if it is not streamed, has
// size bytes.
func appendHead(b []byte, w *pools.Web, size int) []byte {
	b = append(append(b, w.Method...), ' ')
	b = append(append(b, w.Target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, w.Host...), "\r\n"...)
	for name, values := range w.Header {
		if framing(name) {
			continue
		}
		for _, v := range values {
			b = append(append(b, name...), ": "...)
			b = append(append(b, v...), "\r\n"...)
		}
	}
	switch {
	case w.Body != nil && w.Length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		b = appendAnnouncement(b, w)
	case w.Body != nil:
		b = appendLength(b, w.Length)
	case size > 0 || w.Method == http.MethodPost || w.Method == http.MethodPut || w.Method == http.MethodPatch:
		b = appendLength(b, int64(size))
	}
	if w.Body != nil && w.Expect {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendAnnouncement names the trailers that the caller announced.
func appendAnnouncement(b []byte, w *pools.Web) []byte {
	if w.Trailer == nil {
		return b
	}
	for name := range trailing(w.Trailer()) {
		b = append(append(append(b, "Trailer: "...), name...), "\r\n"...)
	}
	return b
}

func appendLength(b []byte, n int64) []byte {
	return append(strconv.AppendInt(append(b, "Content-Length: "...), n, 10), "\r\n"...)
}

// upload sends a streamed request body while the answer is read.
type upload struct {
	conn  *webConn
	web   *pools.Web
	abort func() // ends the exchange: the caller broke its body off
	done  chan struct{}
	err   error // of reading the caller's body or writing it; read after done

	mu    sync.Mutex
	state uploadState
	goOn  chan struct{} // closed to let the body go
}

type uploadState uint8

const (
	uploadWaiting uploadState = iota // for the function to say "continue"
	uploadSending
	uploadEnding // all of the body is read
	uploadOff    // the body is not wanted
)

func startUpload(conn *webConn, web *pools.Web, abort func()) *upload {
	u := &upload{conn: conn, web: web, abort: abort, done: make(chan struct{}), goOn: make(chan struct{})}
	if !web.Expect {
		u.proceed()
	}
	go u.run()
	return u
}

// proceed lets the body go; only the first call counts.
func (u *upload) proceed() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state == uploadWaiting {
		u.state = uploadSending
		close(u.goOn)
	}
}

// finish ends the upload once the answer has ended and reports whether all of the
// body was sent. What is not read by then is not wanted any more.
func (u *upload) finish() bool {
	u.mu.Lock()
	waiting, ending := u.state == uploadWaiting, u.state == uploadEnding
	if !ending {
		u.state = uploadOff
	}
	if waiting {
		close(u.goOn)
	}
	u.mu.Unlock()
	if ending && u.doneWithin(lastPiece) {
		return u.err == nil
	}
	_ = u.conn.Close()
	if !waiting {
		_ = u.web.Body.Close()
	}
	<-u.done
	return false
}

// lastPiece is how long the last piece of a body may take once the answer has
// ended: a function that has answered may never read it.
const lastPiece = 100 * time.Millisecond

func (u *upload) doneWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-u.done:
		return true
	case <-timer.C:
		return false
	}
}

// broken ends the exchange if the body is still wanted.
func (u *upload) broken(err error) error {
	u.mu.Lock()
	wanted := u.state == uploadSending || u.state == uploadEnding
	u.mu.Unlock()
	if wanted {
		u.abort()
	}
	return err
}

// ending notes that the body has been read to its end.
func (u *upload) ending() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state == uploadSending {
		u.state = uploadEnding
	}
}

func (u *upload) run() {
	defer close(u.done)
	timer := time.NewTimer(expectPatience)
	defer timer.Stop()
	select {
	case <-u.goOn:
	case <-timer.C:
		u.proceed()
	}
	u.mu.Lock()
	wanted := u.state == uploadSending
	u.mu.Unlock()
	if wanted {
		u.err = u.send()
	}
}

// send copies the body piece by piece, as it comes.
func (u *upload) send() error {
	buffer := webBuffers.Get().(*[webBuffer]byte)
	defer webBuffers.Put(buffer)
	left := u.web.Length

	for {
		room := buffer[chunkRoom : len(buffer)-2]
		if u.web.Length >= 0 {
			room = room[:min(int64(len(room)), left)] // more would be read as another request
		}
		n, err := u.web.Body.Read(room)
		left -= int64(n)
		if errors.Is(err, io.EOF) || u.web.Length >= 0 && left <= 0 {
			u.ending()
		}
		if n > 0 {
			piece := buffer[chunkRoom : chunkRoom+n]
			if u.web.Length < 0 {
				piece = asChunk(buffer[:], n)
			}
			if _, err := u.conn.Write(piece); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF) && u.web.Length < 0:
			_, err = u.conn.Write(u.lastChunk())
			return err
		case errors.Is(err, io.EOF) && left > 0:
			return u.broken(io.ErrUnexpectedEOF)
		case errors.Is(err, io.EOF) || err == nil && u.web.Length >= 0 && left <= 0:
			return nil
		case err != nil:
			return u.broken(err)
		}
	}
}

// asChunk frames the n bytes at b[chunkRoom:] and returns the chunk, which lies in b.
func asChunk(b []byte, n int) []byte {
	var size [chunkRoom]byte
	head := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
	copy(b[chunkRoom-len(head):], head)
	copy(b[chunkRoom+n:], "\r\n")
	return b[chunkRoom-len(head) : chunkRoom+n+2]
}

// lastChunk ends the body, with the trailers that came after it.
func (u *upload) lastChunk() []byte {
	b := []byte("0\r\n")
	if u.web.Trailer != nil {
		for name, values := range trailing(u.web.Trailer()) {
			for _, v := range values {
				b = append(append(b, name...), ": "...)
				b = append(append(b, v...), "\r\n"...)
			}
		}
	}
	return append(b, "\r\n"...)
}

const (
	webBuffer = 32 << 10
	chunkRoom = 16 // before a chunk, for its size
)

var webBuffers = sync.Pool{New: func() any { return new([webBuffer]byte) }}
