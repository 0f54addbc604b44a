package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

// Client speaks to one agent. It is safe for concurrent use.
//
// The first agent that answers at its address is the only one it ever speaks to: when
// another has the address, what the first one ran has ended.
type Client struct {
	addr   string
	tls    *tls.Config
	name   string
	number atomic.Uint64
	graces graces

	dialTCP func(ctx context.Context, network, addr string) (net.Conn, error)

	life context.Context // until Close
	end  context.CancelFunc

	mu     sync.Mutex
	closed bool
	pinned bool
	pin    [sha256.Size]byte // of the agent's public key
	idle   []*conn           // the latest last
	open   map[*conn]bool    // idle ones too
}

// Dial returns a client of the agent at addr (host:port); config is CA.Client's. It
// does not connect. Close gives back what the client holds.
func Dial(addr string, config *tls.Config) *Client {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	return DialWith(d.DialContext, addr, config)
}

// DialWith is Dial by way of dial, which returns TCP connections.
func DialWith(dial func(ctx context.Context, network, addr string) (net.Conn, error), addr string, config *tls.Config) *Client {
	c := &Client{dialTCP: dial, addr: addr, name: newClientName(), graces: usualGraces, open: map[*conn]bool{}}
	c.life, c.end = context.WithCancel(context.Background())
	c.tls = config.Clone()
	c.tls.InsecureSkipVerify = true // its key is made in memory; verify holds it to that
	c.tls.VerifyConnection = c.verify
	return c
}

// Close cuts all connections. Calls in flight end as unknown.
func (c *Client) Close() {
	c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for n := range c.open {
		c.dropLocked(n)
	}
}

// Await blocks until the agent answers or ctx ends.
func (c *Client) Await(ctx context.Context) error {
	for pause := firstPause; ; pause = min(2*pause, 100*time.Millisecond) {
		_, err := c.Health(ctx)
		if err == nil {
			return nil
		}
		if !waited(ctx, pause) {
			return fmt.Errorf("wait for the agent at %s: %w", c.addr, err)
		}
	}
}

const firstPause = 2 * time.Millisecond

// waited blocks for d; it reports false when ctx ends first.
func waited(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Warm sees to it that n connections to the agent are open and ready for requests, and
// that it answers on each.
func (c *Client) Warm(ctx context.Context, n int) error {
	var all []*conn
	defer func() {
		for _, open := range all {
			c.keep(open)
		}
	}()
	for range n {
		open, err := c.connect(ctx, time.Time{})
		if err == nil {
			err = c.probe(ctx, open)
		}
		if err != nil {
			return fmt.Errorf("keep connections to the agent at %s: %w", c.addr, err)
		}
		all = append(all, open)
	}
	return nil
}

// Health asks what the agent is doing.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var h Health
	a, err := c.do(ctx, http.MethodGet, "/v1/health", nil)
	if err == nil {
		err = a.into(http.StatusOK, &h)
	}
	if err != nil {
		return Health{}, fmt.Errorf("ask the agent at %s how it is: %w", c.addr, err)
	}
	return h, nil
}

// Start has the agent start a function and blocks until the function asks for work.
// The error is or wraps ErrPackageMissing, or a *pools.StartError, or says why it is not
// known whether the function runs: then the pod has to go. A deadline of ctx is an
// init timeout. ColdStart.Unpack is how long the package took to arrive and be unpacked.
func (c *Client) Start(ctx context.Context, s Spec) (pools.ColdStart, error) {
	cold, err := c.start(ctx, s)
	if err != nil {
		return pools.ColdStart{}, fmt.Errorf("start %s on the agent at %s: %w", s.key(), c.addr, err)
	}
	return cold, nil
}

func (c *Client) start(ctx context.Context, s Spec) (pools.ColdStart, error) {
	request := startRequest{Spec: s}
	if deadline, ok := ctx.Deadline(); ok {
		request.Left = max(time.Until(deadline), time.Microsecond)
		// The agent says what took too long, a moment after that.
		late, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline.Add(startGrace))
		defer cancel()
		asked := ctx
		defer context.AfterFunc(asked, func() {
			if errors.Is(asked.Err(), context.Canceled) {
				cancel()
			}
		})()
		ctx = late
	}
	body, err := json.Marshal(request)
	if err != nil {
		return pools.ColdStart{}, err
	}
	a, err := c.do(ctx, http.MethodPost, "/v1/start", bytes.NewReader(body))
	if err != nil {
		return pools.ColdStart{}, err
	}
	var started startAnswer
	if err := json.Unmarshal(a.body, &started); err != nil {
		return pools.ColdStart{}, fmt.Errorf("its answer, status %d, cannot be read: %w", a.status, err)
	}
	switch {
	case a.status == http.StatusOK:
		return pools.ColdStart{Unpack: started.Unpack, Start: started.Start, Init: started.Init}, nil
	case a.status == http.StatusPreconditionRequired:
		return pools.ColdStart{}, ErrPackageMissing
	case started.Type != "":
		return pools.ColdStart{}, &pools.StartError{Type: started.Type, Err: errors.New(started.Error)}
	}
	return pools.ColdStart{}, fmt.Errorf("it answered %d: %s", a.status, started.Error)
}

// startGrace is how long after its deadline a start is waited for.
const startGrace = 2 * time.Second

// Send gives the agent a package as a zip file. digest is of the file's bytes, or of the
// directory that it unpacks to (see package pkgdigest). The error is a *pools.StartError
// if the package is not what digest says, or not one that can be unpacked.
func (c *Client) Send(ctx context.Context, digest string, zip io.Reader) error {
	a, err := c.put(ctx, "/v1/packages/"+digest, zip, -1)
	if err == nil && a.status != http.StatusOK {
		err = a.failure()
	}
	if err != nil {
		return fmt.Errorf("send package %s to the agent at %s: %w", digest, c.addr, err)
	}
	return nil
}

// Why an agent did not take a package as it was packed. The zip file can be sent to it in
// its place.
var (
	ErrPackedBad     = errors.New("the agent does not find in what was packed what should be there")
	ErrPackedUnknown = errors.New("the agent is older than the form in which the package is packed")
	ErrPackedNotKept = errors.New("the agent could not keep what was packed, which says nothing against it")
)

// SendPacked gives the agent a package as unpack.Pack has written it, of size bytes whose
// SHA-256 is sum (sha256: and hex digits). That it was packed from the zip file with the
// digest the caller has seen to.
func (c *Client) SendPacked(ctx context.Context, digest, sum string, packed io.Reader, size int64) error {
	a, err := c.put(ctx, "/v1/packages/"+digest+"/packed/"+sum, packed, size)
	if err == nil && a.status != http.StatusOK {
		err = a.failure()
		switch a.status {
		case http.StatusBadRequest:
			err = fmt.Errorf("%w: %w", ErrPackedBad, err)
		case http.StatusNotFound:
			err = fmt.Errorf("%w: %w", ErrPackedUnknown, err)
		case http.StatusInsufficientStorage:
			err = fmt.Errorf("%w: %w", ErrPackedNotKept, err)
		}
	}
	if err != nil {
		return fmt.Errorf("send package %s, packed, to the agent at %s: %w", digest, c.addr, err)
	}
	return nil
}

// Stop ends the function and then the agent. It returns when the function is reaped.
func (c *Client) Stop(ctx context.Context) error {
	a, err := c.do(ctx, http.MethodPost, "/v1/stop", nil)
	if err == nil && a.status != http.StatusOK {
		err = a.failure()
	}
	if err != nil {
		return fmt.Errorf("stop the agent at %s: %w", c.addr, err)
	}
	return nil
}

// Wait blocks until the function has ended, by itself or not. An error says that ctx
// has ended or that the agent cannot be asked: ask again, or see what became of the pod.
func (c *Client) Wait(ctx context.Context) error {
	a, err := c.do(ctx, http.MethodGet, "/v1/exit", nil)
	if err == nil && a.status != http.StatusOK {
		err = a.failure()
	}
	if err != nil {
		return fmt.Errorf("wait for the end of the function on the agent at %s: %w", c.addr, err)
	}
	return nil
}
