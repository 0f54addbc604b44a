package httpapi

import (
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

// Listen bounds the open connections of l. Those over the bound are closed at
// once, unread, so that a caller learns of it and nothing ran.
func (f *Front) Listen(l net.Listener) net.Listener {
	return &bounded{Listener: l, front: f}
}

type bounded struct {
	net.Listener
	front *Front
	open  atomic.Int64
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
		c.of.open.Add(-1)
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
