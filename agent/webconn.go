package agent

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxAnswerHead bounds the status line and header of an answer, and of interim
	// answers together, in bytes.
	maxAnswerHead = 256 << 10
	// keepIdle is how long a connection may rest before a new one is safer: shorter
	// than the idle timeout of any HTTP server in use.
	keepIdle = time.Second
	// readAhead is how much of an answer is taken from the kernel at once: what
	// pools.Web.Room usually holds, so that such an answer is seen as a whole.
	readAhead = 32 << 10
)

var errHeadTooLarge = errors.New("the head of the answer is over the limit")

// webConn is a connection to a web function. One exchange uses it at a time; in
// the course of one, reading and writing may go on side by side.
type webConn struct {
	net.Conn
	raw syscall.RawConn
	*connBuffers

	mu       sync.Mutex
	deadline time.Time // of the exchange
	set      time.Time // of the connection: at most deadline

	headRoom int64  // what may still be read of a head; negative: not limited
	written  uint64 // of all exchanges before this one
	writing  uint64 // of this one
	read     bool   // something of this exchange's answer has come
	used     time.Time
	idle     time.Duration // how long it may rest
	carried  bool          // a request's body, ever
	carrier  string        // whose

	poll  func(fd uintptr) // sets quiet; made once
	quiet bool
}

// connBuffers are of one connection at a time.
type connBuffers struct {
	br   *bufio.Reader
	head []byte // where heads of requests are written
}

func newConnBuffers() *connBuffers {
	return &connBuffers{bufio.NewReaderSize(nil, readAhead), make([]byte, 0, smallRequest)}
}

// newWebConn takes over c, and buffers.
func newWebConn(c *net.TCPConn, buffers *connBuffers) (*webConn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &webConn{Conn: c, raw: raw, connBuffers: buffers}
	w.br.Reset(w)
	fds := make([]unix.PollFd, 1)
	w.poll = func(fd uintptr) {
		for {
			fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
			n, err := unix.Poll(fds, 0)
			if w.quiet = n == 0 && err == nil; !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}
	w.rest(nil)
	return w, nil
}

// begin prepares for an exchange. The connection's own deadline is left where it is
// if it comes sooner: it is moved when it is met, which is seldom.
func (c *webConn) begin(deadline time.Time) {
	c.written += c.writing
	c.writing, c.read, c.headRoom = 0, false, maxAnswerHead
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = deadline
	if c.set.IsZero() || c.set.After(deadline) {
		c.move()
	}
}

// move sets the connection's deadline to that of the exchange; mu is held.
func (c *webConn) move() {
	c.set = c.deadline
	_ = c.SetDeadline(c.set) // fails only on a connection that is closed
}

// early reports whether err is a deadline of the connection that is not the one of
// the exchange, and sets that one.
func (c *webConn) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !time.Now().Before(c.deadline) {
		return false
	}
	c.move()
	return true
}

// Read implements io.Reader for br.
func (c *webConn) Read(p []byte) (int, error) {
	if c.headRoom == 0 {
		return 0, errHeadTooLarge
	}
	if c.headRoom > 0 && int64(len(p)) > c.headRoom {
		p = p[:c.headRoom]
	}
	for {
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.read = true
			if c.headRoom > 0 {
				c.headRoom -= int64(n)
			}
			return n, nil
		}
		if !c.early(err) {
			return n, err
		}
	}
}

func (c *webConn) Write(p []byte) (int, error) {
	done := 0
	for {
		n, err := c.Conn.Write(p[done:])
		done += n
		c.writing += uint64(n)
		if err == nil || !c.early(err) {
			return done, err
		}
	}
}

// writeAll writes head and body in one system call where they fit.
func (c *webConn) writeAll(head, body []byte) error {
	if len(body) == 0 {
		_, err := c.Write(head)
		return err
	}
	if len(head)+len(body) <= cap(head) {
		_, err := c.Write(append(head, body...))
		return err
	}
	n, err := (&net.Buffers{head, body}).WriteTo(c.Conn)
	c.writing += uint64(n)
	if err == nil || !c.early(err) {
		return err
	}
	if n < int64(len(head)) {
		if _, err := c.Write(head[n:]); err != nil {
			return err
		}
		n = int64(len(head))
	}
	_, err = c.Write(body[n-int64(len(head)):])
	return err
}

// aged reports that the connection has rested too long, limit being that of its function.
func (c *webConn) aged(limit time.Duration) bool { return time.Since(c.used) > min(c.idle, limit) }

// fresh reports that the connection can take a request: it has rested for at most
// limit and the function has neither closed it nor said anything unasked. If it has,
// limit becomes half of what the connection had rested.
func (c *webConn) fresh(limit *time.Duration) bool {
	if c.aged(*limit) {
		return false
	}
	rested := time.Since(c.used)
	if c.br.Buffered() > 0 || c.raw.Control(c.poll) != nil || !c.quiet {
		*limit = rested / 2
		return false
	}
	return true
}

// halfClose tells the function that no more of the request will come.
func (c *webConn) halfClose() { _ = c.Conn.(*net.TCPConn).CloseWrite() }

// untouched reports that the function's side was closed before a byte of this
// exchange's request had reached it. A FIN acknowledges all that had arrived when it
// was sent: if nothing of the request was, nobody can have read it. A reset
// acknowledges nothing and proves nothing.
func (c *webConn) untouched(err error) bool {
	if c.read || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false
	}
	const handshake = 1 // the SYN counts as a byte
	proven := false
	_ = c.raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		proven = err == nil && info.Bytes_acked > 0 && info.Bytes_acked <= c.written+handshake
	})
	return proven
}

// rest notes how long the connection may be kept: as the function said in
// Keep-Alive, less a margin, if that is sooner than usual.
func (c *webConn) rest(keepAlive []string) {
	c.used, c.idle = time.Now(), keepIdle
	for _, value := range keepAlive {
		for part := range strings.SplitSeq(value, ",") {
			text, ok := strings.CutPrefix(strings.TrimSpace(part), "timeout=")
			if seconds, err := strconv.Atoi(text); ok && err == nil {
				most := int(2 * keepIdle / time.Second) // more says nothing, and may not fit a Duration
				c.idle = min(c.idle, time.Duration(min(max(seconds, 0), most))*time.Second/2)
			}
		}
	}
}
