package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

// Invoker runs calls; *server.Server is one.
type Invoker interface {
	// Invoke runs one call to its end, or joins it.
	Invoke(context.Context, server.Ask) (*server.Answer, error)
	// Preview says what Invoke would decide now; nothing runs.
	Preview(context.Context, server.Ask) (*server.Answer, error)
	// Contract says how a function is spoken to; the error is for unknown ones.
	Contract(spillway.FunctionKey) (spillway.Contract, error)
}

// Authenticator says whose credentials a request with this body carries, and what
// they may invoke; *auth.Authenticator is one. Only signed requests need the body.
type Authenticator interface {
	Authenticate(r *http.Request, body []byte, now time.Time) (auth.Identity, error)
	// Precheck refuses what no body can make right, before one is read.
	Precheck(r *http.Request) error
	// Authorise judges an identity that Authenticate returned. An error says that it
	// cannot be judged now; it is an *auth.Error, as those of the others.
	Authorise(ctx context.Context, id auth.Identity, namespace, function string) (auth.Permission, error)
}

// Config is what a Front needs.
type Config struct {
	Server     Invoker
	Auth       Authenticator
	Registerer prometheus.Registerer // for the metrics of the front door
	Logger     *slog.Logger          // nil: nothing is logged
	// MaxConnections bounds open connections of Listen; zero means 4096.
	MaxConnections int
}

// Front is the handler of the front door. It is safe for concurrent use.
type Front struct {
	server         Invoker
	auth           Authenticator
	log            *slog.Logger
	metrics        *metrics
	maxConnections int
	held           atomic.Int64 // bytes of payloads in flight
	door           atomic.Pointer[bounded]
	leaving        atomic.Bool // the door is shut
}

// New returns a Front, or an error if its metrics cannot be registered.
func New(c Config) (*Front, error) {
	if c.Server == nil || c.Auth == nil || c.Registerer == nil {
		return nil, errors.New("httpapi: a front door needs a Server, an Auth and a Registerer")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxConnections <= 0 {
		c.MaxConnections = 4096
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	return &Front{server: c.Server, auth: c.Auth, log: c.Logger, metrics: m, maxConnections: c.MaxConnections}, nil
}

// exchange is one request and its answer.
type exchange struct {
	front  *Front
	w      http.ResponseWriter
	r      *http.Request
	target target

	options
	body     []byte
	held     int64 // of Front.held
	identity auth.Identity
	admitted bool // authenticated and authorised
	stale    bool // by what is remembered only
	entered  bool // handed to the server: it may have run
	status   int  // of the answer, once it has begun
	odd      bool // framed oddly, see oddFraming
	cut      bool // the answer that has begun cannot be completed
}

// ServeHTTP answers one request.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{front: f, w: w, r: r}
	f.metrics.inFlight.Inc()
	defer x.end()
	if f.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	if p := x.serve(); p != nil {
		x.writeProblem(p)
	}
}

// end settles the books of the exchange, and answers for one that panicked.
func (x *exchange) end() {
	m := x.front.metrics
	defer m.inFlight.Dec()
	defer func() { m.answered(x.target.api, x.status) }()
	x.front.held.Add(-x.held)
	broken := recover()
	switch {
	case broken == nil && x.cut:
		x.breakOff()
		return
	case broken == nil:
		return
	}
	m.panics.Inc()
	x.front.log.Error("a request broke its handler", "panic", broken, "api", x.target.api.String(),
		"function", x.target.function.String(), "entered", x.entered, "stack", string(debug.Stack()))
	if x.status != 0 { // half an answer is out
		x.breakOff()
		return
	}
	x.writeProblem(panicked(x.entered))
}

// breakOff ends the connection so that the client sees that its answer is not whole.
// To HTTP/1.0 the end of the connection is the end of the answer: it is reset.
func (x *exchange) breakOff() {
	if h, ok := x.w.(http.Hijacker); ok && x.r.ProtoMinor == 0 {
		if c, _, err := h.Hijack(); err == nil {
			if l, ok := c.(interface{ SetLinger(seconds int) error }); ok {
				_ = l.SetLinger(0)
			}
			_ = c.Close()
			return
		}
	}
	panic(http.ErrAbortHandler) // net/http closes it, without the last chunk
}

// serve takes a request from its request line to its answer. Each step costs
// more than the one before it.
func (x *exchange) serve() (p *problem) {
	var below bool
	if x.target, below = routeFunction(x.r.RequestURI); below {
		return x.serveFunction()
	}
	if x.target, p = route(x.r.Method, x.r.RequestURI); p != nil {
		return p
	}
	if p = checkBody(x.r); p != nil {
		return p
	}
	if isSigned(x.r.Header) {
		p = x.admitSigned()
	} else if p = x.admit(); p == nil {
		p = x.readBody()
	}
	if p != nil {
		return p
	}
	if c, err := x.front.server.Contract(x.target.function); err == nil && c == spillway.ContractHTTP {
		return isWeb()
	}
	return x.call()
}

// serveFunction takes a request below a function. What may be there depends on the
// function's contract, and that is for those to know who may call it.
func (x *exchange) serveFunction() (p *problem) {
	if p = checkFraming(x.r); p != nil {
		return p
	}
	if isSigned(x.r.Header) {
		p = x.admitSigned()
	} else {
		p = x.admit()
	}
	if p != nil {
		return p
	}
	if c, err := x.front.server.Contract(x.target.function); err == nil && c == spillway.ContractHTTP {
		return x.web()
	}
	if x.target, p = route(x.r.Method, x.r.RequestURI); p != nil {
		return p
	}
	if p = checkBody(x.r); p != nil {
		return p
	}
	if x.options, p = readOptions(x.target.api, x.r.Header); p != nil {
		return p
	}
	if x.body == nil {
		if p = x.readBody(); p != nil {
			return p
		}
	}
	return x.call()
}

// admitSigned reads the body first: the signature covers it.
func (x *exchange) admitSigned() (p *problem) {
	if x.r.ContentLength > pools.MaxPayload {
		return tooLarge()
	}
	if err := x.front.auth.Precheck(x.r); err != nil {
		return x.stranger(err)
	}
	if p = x.readBody(); p != nil {
		return p
	}
	return x.admit()
}

func isSigned(h http.Header) bool {
	for _, v := range h["Authorization"] {
		if strings.HasPrefix(v, "AWS4-") {
			return true
		}
	}
	return false
}

// admit finds out who asks, whether they may, and for what.
func (x *exchange) admit() (p *problem) {
	var err error
	if x.identity, err = x.front.auth.Authenticate(x.r, x.body, time.Now()); err != nil {
		return x.stranger(err)
	}
	permission, err := x.front.auth.Authorise(x.r.Context(), x.identity, x.target.function.Namespace, x.target.function.Name)
	switch {
	case err != nil:
		return x.stranger(err)
	case permission == auth.Denied:
		x.front.metrics.refusedAs(typeAccessDenied)
		return forbidden(x.identity.Name)
	}
	x.admitted, x.stale = true, permission == auth.AllowedStale
	if x.target.below == "" {
		x.options, p = readOptions(x.target.api, x.r.Header)
	}
	return p
}

// stranger refuses a request whose credentials are no good.
func (x *exchange) stranger(err error) *problem {
	p := unauthenticated(err)
	x.front.metrics.refusedAs(p.kind)
	return p
}

// emptyPayload is what a function gets for no payload, as at AWS.
var emptyPayload = []byte("{}")

// call asks the server and writes its answer.
func (x *exchange) call() *problem {
	x.front.metrics.received.Add(float64(len(x.body)))
	if len(x.body) == 0 {
		x.body = emptyPayload
	} else if !json.Valid(x.body) {
		return badContent("the payload is not valid JSON")
	}
	ask := server.Ask{
		Function: x.target.function, Qualifier: x.target.qualifier, Caller: x.identity.Name,
		Payload: x.body, ClientContext: x.clientContext, LogTail: x.logTail, RequestKey: x.key, Stale: x.stale,
	}
	if x.within > 0 {
		ask.Deadline = time.Now().Add(x.within)
	}
	if x.dryRun {
		return x.preview(ask)
	}
	x.entered = true
	a, err := x.front.server.Invoke(x.r.Context(), ask)
	switch {
	case err != nil:
		return x.failed(err)
	case a.Refused() != 0:
		return refused(a)
	case a.Unknown():
		return unknown(a.Explanation)
	}
	x.writeAnswer(a)
	return nil
}

func (x *exchange) preview(ask server.Ask) *problem {
	a, err := x.front.server.Preview(x.r.Context(), ask)
	switch {
	case err != nil:
		return x.failed(err)
	case a.Refused() != 0:
		return refused(a)
	}
	x.writeDryRun(a)
	return nil
}

// failed also logs errors that have no answer of their own.
func (x *exchange) failed(err error) *problem {
	p := failed(err)
	if p.reason == reasonUnknown && x.r.Context().Err() == nil {
		x.front.log.Error("a call ended with an error", "function", x.target.function.String(), "caller", x.identity.Name, "error", err)
	}
	return p
}
