package httpapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	readHeaderTimeout = 5 * time.Second
	// readTimeout is for headers and a small body; larger ones get more, see body.go.
	readTimeout    = 15 * time.Second
	idleTimeout    = 75 * time.Second
	maxHeaderBytes = 32 << 10
)

// Server returns an http.Server for the front door with its limits set: HTTP/1
// only, without upgrades. Serve it on what Listen returns.
func (f *Front) Server() *http.Server { return newServer(f, f.log) }

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	only1 := new(http.Protocols)
	only1.SetHTTP1(true)
	return &http.Server{
		Handler:                      h,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeGrace, // from the header's end; each answer sets its own
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		Protocols:                    only1,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Listen bounds the open connections of l, a TCP socket without multipath. Those over the bound are closed at
// once, unread, so that a caller learns of it and nothing ran.
func (f *Front) Listen(l net.Listener) net.Listener {
	b := &bounded{Listener: l, front: f, none: make(chan struct{}, 1)}
	f.door.Store(b)
	return b
}

const (
	// shakes is for connections that are just being made when the door is shut.
	shakes = 50 * time.Millisecond
	// lingers is how long idle connections stay open after that.
	lingers = 500 * time.Millisecond
)

// Leave shuts the door that Listen made: nobody else comes in, and each connection is
// told with its next answer that it ends. It returns when none is left, or when those
// that are have been idle for a while. A server that closes a connection at once may do
// so while the next request is on its way, and a client that sees that cannot know
// whether it ran.
func (f *Front) Leave(ctx context.Context) error {
	f.leaving.Store(true)
	b := f.door.Load()
	if b == nil {
		return nil
	}
	b.emptyQueue(ctx)
	err := b.Close()
	patience := time.NewTimer(lingers)
	defer patience.Stop()
	for b.open.Load() > 0 {
		select {
		case <-b.none:
		case <-patience.C:
			return err
		case <-ctx.Done():
			return err
		}
	}
	return err
}

// emptyQueue has those accepted who have connected, and nobody connect any more. Where
// it cannot, what waits to be accepted is lost.
func (b *bounded) emptyQueue(ctx context.Context) {
	if deafen(b.Listener) != nil {
		return
	}
	for again := true; again; again = queued(b.Listener) > 0 {
		select {
		case <-time.After(shakes):
		case <-ctx.Done():
			return
		}
	}
}

type bounded struct {
	net.Listener
	front *Front
	open  atomic.Int64
	none  chan struct{} // holds one when the last connection has ended
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= int64(b.front.maxConnections) {
			b.front.metrics.connections.Inc()
			return &boundedConn{Conn: c, of: b}, nil
		}
		b.open.Add(-1)
		b.front.metrics.turnedAway.Inc()
		_ = c.Close()
	}
}

type boundedConn struct {
	net.Conn
	of   *bounded
	once sync.Once
}

func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		if c.of.open.Add(-1) == 0 {
			select {
			case c.of.none <- struct{}{}:
			default:
			}
		}
		c.of.front.metrics.connections.Dec()
	})
	return err
}

// CloseWrite lets net/http end a connection without cutting off its last answer.
func (c *boundedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetLinger lets a connection end with a reset.
func (c *boundedConn) SetLinger(seconds int) error {
	if l, ok := c.Conn.(interface{ SetLinger(int) error }); ok {
		return l.SetLinger(seconds)
	}
	return nil
}
