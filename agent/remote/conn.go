package remote

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// restFor is how long a connection is kept: less than agents keep it (idleTimeout).
	restFor     = 2 * time.Minute
	idleTimeout = 5 * time.Minute
	// connectWithin bounds a connection's making, TLS included.
	connectWithin = 10 * time.Second
	readBuffer    = 32 << 10
)

var (
	// errReplaced is why an agent cannot be asked any more: it has ended, and with it
	// all that it ran.
	errReplaced = errors.New("another agent has its address now: it has ended")
	errClosed   = errors.New("the client is closed")
)

// conn is a connection to an agent. One request uses it at a time.
type conn struct {
	*tls.Conn
	raw  syscall.RawConn // below TLS
	tcp  *batched
	br   *bufio.Reader
	head []byte // where requests are written
	used time.Time
}

// connect returns a kept connection that is still open, or a new one. It is the
// caller's until it is given back with keep or drop.
func (c *Client) connect(ctx context.Context, until time.Time) (*conn, error) {
	if kept, err := c.kept(); kept != nil || err != nil {
		return kept, err
	}
	return c.dial(ctx, until)
}

func (c *Client) kept() (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	for len(c.idle) > 0 {
		last := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if last.fresh() {
			return last, nil
		}
		c.dropLocked(last)
	}
	return nil, nil
}

// fresh reports that the agent has neither closed the connection nor said anything unasked.
func (n *conn) fresh() bool {
	if time.Since(n.used) > restFor || n.br.Buffered() > 0 {
		return false
	}
	open := false
	err := n.raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		open = errors.Is(err, unix.EAGAIN)
	})
	return open && err == nil
}

// dial makes a connection to the agent whose key was seen first, and to no other.
func (c *Client) dial(ctx context.Context, until time.Time) (*conn, error) {
	limit := time.Now().Add(connectWithin)
	if !until.IsZero() && until.Before(limit) {
		limit = until
	}
	ctx, cancel := context.WithDeadline(ctx, limit)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	tcp, err := c.dialTCP(ctx, "tcp", c.addr)
	if err != nil {
		return nil, c.unmade(err)
	}
	raw, err := tcp.(syscall.Conn).SyscallConn()
	if err != nil {
		_ = tcp.Close()
		return nil, fmt.Errorf("connect to the agent: %w", err)
	}
	below := &batched{Conn: tcp}
	secure := tls.Client(below, c.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = tcp.Close()
		return nil, c.unmade(err)
	}
	n := &conn{Conn: secure, raw: raw, tcp: below, br: bufio.NewReaderSize(secure, readBuffer), head: make([]byte, 0, 4<<10)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = tcp.Close()
		return nil, errClosed
	}
	c.open[n] = true
	return n, nil
}

// unmade says why there is no connection.
func (c *Client) unmade(err error) error {
	if c.life.Err() != nil {
		return errClosed
	}
	return fmt.Errorf("connect to the agent: %w", err)
}

// verify holds the agent to the key that was seen first: one that comes later at the
// same address is another pod's, and must not be given this one's calls.
func (c *Client) verify(state tls.ConnectionState) error {
	seen := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.pinned:
		c.pinned, c.pin = true, seen
	case c.pin != seen:
		return errReplaced
	}
	return nil
}

// keep makes n ready for the next request.
func (c *Client) keep(n *conn) {
	_ = n.SetDeadline(time.Time{})
	n.used = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.dropLocked(n)
		return
	}
	c.idle = append(c.idle, n)
}

func (c *Client) drop(n *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(n)
}

// dropLocked closes n without TLS's farewell, which could block; mu is held.
func (c *Client) dropLocked(n *conn) {
	delete(c.open, n)
	if at := slices.Index(c.idle, n); at >= 0 {
		c.idle = slices.Delete(c.idle, at, at+1)
	}
	_ = n.NetConn().Close()
}
