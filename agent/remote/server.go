package remote

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spillway-dev/spillway/agent"
)

// ServerConfig is where an agent works and whom it obeys.
type ServerConfig struct {
	Authority []byte // CA.Certificate: only its clients are served
	Dir       string // for packages and the function's HOME; made if missing

	// Command is the function's program and arguments where it has an image of its own;
	// Environ is then what the image sets, and WorkDir its working directory. Nil: the
	// function comes as a package.
	Command []string
	Environ []string
	WorkDir string

	Confine func(mib int64) agent.Cage // Container; nil: only the process group is held

	Log io.Writer // what the function writes; nil discards
}

// patience bounds how long a request or an answer may take to pass, apart from the
// execution: whoever reads more slowly is cut off.
const patience = 30 * time.Second

// maxHeader bounds a request's header in bytes.
const maxHeader = 128 << 10

// Server is an agent: it starts one function, once, and runs its calls.
type Server struct {
	config   ServerConfig
	tls      *tls.Config
	packages string
	patience time.Duration
	records  records

	stopping chan struct{} // closed when POST /v1/stop has come
	stop     sync.Once

	mu       sync.Mutex
	state    string
	draining bool
	spec     Spec
	instance *agent.Instance // set with StateStarted
	giveUp   func()          // ends a start that is under way; set with StateStarting
	settled  chan struct{}   // closed when a start has succeeded or left nothing
	fetching bool            // a package is on its way
	stored   string          // digest of the package; empty if there is none
	folder   string          // it is in
	unpack   time.Duration
	calls    int
	quiet    chan struct{} // closed when draining and no call is under way
}

// NewServer returns an agent that is not told yet what to run.
func NewServer(c ServerConfig) (*Server, error) {
	config, err := serverTLS(c.Authority)
	if err != nil {
		return nil, fmt.Errorf("%s must hold the certificate of the dispatcher's CA: %w", AuthorityVariable, err)
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, fmt.Errorf("find the agent's directory: %w", err)
	}
	s := &Server{config: c, tls: config, packages: filepath.Join(c.Dir, "packages"), patience: patience,
		state: StateFresh, stopping: make(chan struct{}), quiet: make(chan struct{})}
	for _, dir := range []string{s.packages, s.scratch()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make the agent's directory: %w", err)
		}
	}
	return s, nil
}

func (s *Server) scratch() string { return filepath.Join(s.config.Dir, "home") }

// Serve answers calls on l until ctx ends or a client has sent POST /v1/stop. When ctx
// ends, no new call is taken, and those under way end first. When it returns the function
// is reaped; the error is nil unless the listener failed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: s.handler(), TLSConfig: s.tls,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1.1 only
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(batchListener{l}, "", "") }()
	var err error
	select {
	case err = <-failed:
	case <-s.stopping:
	case <-ctx.Done():
		s.drain()
	}
	s.end()
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience)
	defer cancel()
	_ = server.Shutdown(leaving) // who does not take an answer by then is cut off
	_ = server.Close()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	}
	return nil
}

// drain refuses calls from now on and waits for those under way.
func (s *Server) drain() {
	s.mu.Lock()
	s.draining = true
	if s.calls == 0 {
		s.hush()
	}
	s.mu.Unlock()
	select {
	case <-s.quiet:
	case <-s.stopping:
	}
}

// hush notes that a draining agent has no call; mu is held.
func (s *Server) hush() {
	select {
	case <-s.quiet:
	default:
		close(s.quiet)
	}
}

// end reaps the function. Nothing starts after it.
func (s *Server) end() {
	s.mu.Lock()
	running, giveUp := s.instance, s.giveUp
	s.state, s.draining = StateEnded, true
	s.mu.Unlock()
	if giveUp != nil {
		giveUp()
		<-s.settled
	}
	if running != nil {
		running.Stop()
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/health", s.serveHealth)
	mux.HandleFunc("POST /v1/start", s.serveStart)
	mux.HandleFunc("PUT /v1/packages/{digest}", s.servePackage)
	mux.HandleFunc("PUT /v1/packages/{digest}/packed/{sum}", s.servePacked)
	mux.HandleFunc("POST /v1/invoke", s.serveInvoke)
	mux.HandleFunc("POST /v1/web", s.serveWeb)
	mux.HandleFunc("GET /v1/invocations/{ticket}", s.serveEnding)
	mux.HandleFunc("DELETE /v1/invocations/{ticket}", s.serveCancel)
	mux.HandleFunc("GET /v1/exit", s.serveExit)
	mux.HandleFunc("POST /v1/stop", s.serveStop)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // also of a body that nobody reads
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.patience))
		}
		mux.ServeHTTP(w, r)
	})
}

// reply writes a JSON document.
func (s *Server) reply(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only plain structs of this package are written
	}
	s.hurry(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// refuse says what is wrong with a request, whose body may not have been read.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, status int, format string, arguments ...any) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close")
	}
	s.reply(w, status, startAnswer{Error: fmt.Sprintf(format, arguments...)})
}

// hurry bounds how long the caller may take to read what is written next.
func (s *Server) hurry(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.patience))
}

func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	h := Health{State: s.state, Package: s.stored, Calls: s.calls, Draining: s.draining}
	if s.spec.Name != "" {
		h.Function, h.Revision = s.spec.key().String(), s.spec.Revision
	}
	running := s.instance
	s.mu.Unlock()
	if running != nil && h.State == StateStarted {
		select {
		case <-running.Done():
			h.State = StateEnded
		default:
		}
	}
	s.reply(w, http.StatusOK, h)
}

// serveExit answers when the function has ended, or there will be none.
func (s *Server) serveExit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	running, state := s.instance, s.state
	s.mu.Unlock()
	switch {
	case running != nil:
		select {
		case <-running.Done():
		case <-r.Context().Done():
			return
		}
	case state != StateEnded:
		s.refuse(w, r, http.StatusConflict, "no function is started")
		return
	}
	s.reply(w, http.StatusOK, struct{}{})
}

func (s *Server) serveStop(w http.ResponseWriter, _ *http.Request) {
	s.end()
	s.reply(w, http.StatusOK, struct{}{})
	s.stop.Do(func() { close(s.stopping) })
}
