package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/auth/sigv4"
)

// Server is the stand-in. It is an http.Handler and safe for concurrent use.
type Server struct {
	config    Config
	front     front
	functions map[string]*function
	fleet     *fleet
	faults    *faults
	books     *books
	logs      logbook
	scratch   string // directory of all environments

	ctx    context.Context // of executions; ends with Close
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup // requests being served, and the reaper
}

// front is what differs between the clouds.
type front interface {
	// serve answers one request; a closed Server executes nothing any more.
	serve(w http.ResponseWriter, r *http.Request, open bool)
	// start starts an environment of a function with a Command, and says how long it took.
	start(ctx context.Context, f *function, version string) (runner, time.Duration, *initError)
	// settle applies what the platform decides of an execution, also what it bills.
	settle(c *call, x *execution)
	// report is the platform's last log line of an execution that was settled.
	report(c *call, x *execution) string
}

func newFront(s *Server) front {
	if s.config.Provider == SCF {
		return &scfFront{s}
	}
	return &lambdaFront{
		Server: s, verifier: sigv4.New(s.config.Region, "lambda"), logsVerifier: sigv4.New(s.config.Region, "logs"),
		reads: newMeter(readRate, time.Second), logReads: newLogReads(),
	}
}

// New checks c and returns a Server without listening yet. Close it. The error
// joins everything that is wrong with c.
func New(c Config) (*Server, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("cloud: %w", err)
	}
	scratch, err := os.MkdirTemp("", "spillway-cloud-")
	if err != nil {
		return nil, fmt.Errorf("cloud: make a scratch directory: %w", err)
	}
	books, err := newBooks(c)
	if err != nil {
		os.Remove(scratch)
		return nil, fmt.Errorf("cloud: %w", err)
	}
	s := &Server{config: c, fleet: newFleet(c), faults: newFaults(c.FaultSeed), books: books, scratch: scratch}
	s.front = newFront(s)
	s.functions = s.fleet.functions
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, f := range c.Faults {
		s.faults.add(f)
	}
	s.calls.Go(s.reap)
	return s, nil
}

// Run serves the cloud's API on data, and the admin API on admin unless that is
// nil, until ctx ends. It closes the Server and both listeners. The admin
// listener must be on loopback.
func (s *Server) Run(ctx context.Context, data, admin net.Listener) error {
	servers := []*http.Server{s.httpServer(s)}
	listeners := []net.Listener{data}
	if admin != nil {
		if err := auth.CheckListen(admin.Addr().String(), true); err != nil {
			return errors.Join(fmt.Errorf("cloud: admin: %w", err), data.Close(), admin.Close(), s.Close())
		}
		servers, listeners = append(servers, s.httpServer(s.Admin())), append(listeners, admin)
	}
	failed := make(chan error, len(servers))
	var serving sync.WaitGroup
	for i, server := range servers {
		serving.Go(func() { failed <- server.Serve(listeners[i]) })
	}
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("cloud: serve: %w", err)
	case <-ctx.Done():
	}
	for _, server := range servers {
		server.Close()
	}
	serving.Wait()
	return errors.Join(err, s.Close())
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       2 * time.Minute, // of a request; answers may take 15 minutes
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}

// Close kills what runs, ends all environments, and blocks until everything is
// gone. It returns the first error of the execution log. Calls in flight end as
// if their environment had crashed.
func (s *Server) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.calls.Wait()
	if again {
		return nil
	}
	for _, e := range s.fleet.expired(time.Time{}) {
		e.runner.stop()
	}
	return errors.Join(s.books.close(), os.RemoveAll(s.scratch))
}

// enter counts a request in, unless the Server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.calls.Add(1)
	return true
}

// ServeHTTP answers one request of the cloud's API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	open := s.enter()
	if open {
		defer s.calls.Done()
	}
	s.front.serve(w, r, open)
}

// reap ends environments that were idle for too long, until Close.
func (s *Server) reap() {
	ticker := time.NewTicker(max(s.config.IdleTimeout/4, 10*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			s.reapNow()
		}
	}
}

func (s *Server) reapNow() {
	for _, e := range s.fleet.expired(s.config.Clock()) {
		e.runner.stop()
	}
}

// Bill returns what the account owes so far, with its lines in the order in which
// the executions ended.
func (s *Server) Bill() Bill { return s.books.bill(true) }
