package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/spillway-dev/spillway/dispatcher/server"
)

// Explainer tells what became of an invocation; *server.Server is one.
type Explainer interface {
	Explain(ctx context.Context, invocation string) (json.RawMessage, error)
}

// ReportQuery is what a report is asked for.
type ReportQuery struct {
	By       string    // department, namespace, function or pool
	From, To time.Time // zero: open
}

// AdminConfig is what the admin port shows. All fields but Routes and Logger are
// required.
type AdminConfig struct {
	Ready   func() error // why the server should not be sent calls, or nil
	Metrics prometheus.Gatherer
	Explain Explainer
	// Report and Quota return anything that encodes as JSON.
	Report func(context.Context, ReportQuery) (any, error)
	Quota  func(context.Context) (any, error)
	// Functions lists what can be called.
	Functions func(context.Context) (any, error)
	// Config says what serves now and what came of the latest reload.
	Config func(context.Context) (any, error)
	// Reload loads the configuration again; an error says why nothing changed. What
	// it returns besides says what serves now.
	Reload func(context.Context) (any, error)
	// Routes are more of them, by pattern of http.ServeMux; callers are checked before.
	Routes map[string]http.Handler
	Logger *slog.Logger // nil: nothing is logged
}

type admin struct{ AdminConfig }

// AdminServer returns an http.Server for the admin port. It answers this machine
// only, whatever address it is served on:
//
//	GET /healthz  /readyz  /metrics  /debug/pprof/...
//	GET /v1/explain/{id}             JSON, or text with Accept: text/plain
//	GET /v1/report?by=&from=&to=     by department (the default), namespace, function or
//	                                 pool; from and to are RFC 3339 times or dates in UTC
//	GET /v1/quota
//	GET /v1/functions
//	GET /v1/config                   what serves, and what came of the latest reload
//	POST /v1/reload                  load the configuration again; 422 if it is refused
func AdminServer(c AdminConfig) *http.Server {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	a := &admin{c}
	s := newServer(a.routes(), c.Logger)
	s.ReadTimeout, s.WriteTimeout = 0, 0 // a profile takes as long as it is asked to
	return s
}

// HealthServer returns an http.Server that shows /healthz, /readyz and /metrics to
// whoever reaches it, and nothing else.
func HealthServer(ready func() error, metrics prometheus.Gatherer, log *slog.Logger) *http.Server {
	a := &admin{AdminConfig{Ready: ready, Metrics: metrics, Logger: log}}
	mux := http.NewServeMux()
	a.healthRoutes(mux)
	return newServer(mux, log)
}

func (a *admin) healthRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{}))
}

func (a *admin) routes() http.Handler {
	mux := http.NewServeMux()
	a.healthRoutes(mux)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /v1/explain/{id}", a.explain)
	mux.HandleFunc("GET /v1/report", a.report)
	mux.HandleFunc("GET /v1/quota", a.shown("quota", a.Quota))
	mux.HandleFunc("GET /v1/functions", a.shown("functions", a.Functions))
	mux.HandleFunc("GET /v1/config", a.shown("config", a.Config))
	mux.HandleFunc("POST /v1/reload", a.reload)
	for pattern, h := range a.Routes {
		mux.Handle(pattern, h)
	}
	return onlyLocal(mux)
}

// onlyLocal refuses other machines, proxies, web pages of other sites, and names
// that were made to resolve to this machine.
func onlyLocal(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := notLocal(r); why != "" {
			writeJSON(w, http.StatusForbidden, adminError("the admin port answers this machine only: "+why))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func notLocal(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return "the request comes from another address"
	}
	if !loopbackName(r.Host) {
		return "its Host is not localhost or a loopback address"
	}
	for _, name := range [...]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via", "Origin"} {
		if r.Header[name] != nil {
			return "it has the header " + name
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "none" && site != "same-origin" {
		return "it comes from a page of another site"
	}
	return ""
}

func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

func (a *admin) ready(w http.ResponseWriter, _ *http.Request) {
	if err := a.Ready(); err != nil {
		writeText(w, http.StatusServiceUnavailable, err.Error()+"\n")
		return
	}
	writeText(w, http.StatusOK, "ready\n")
}

func (a *admin) explain(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if len(id) > maxLabel || strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyz-") != "" {
		writeJSON(w, http.StatusBadRequest, adminError("the id of an invocation has at most 63 lower-case letters, digits and -"))
		return
	}
	text, err := a.Explain.Explain(r.Context(), id)
	switch {
	case errors.Is(err, server.ErrUnknownInvocation):
		writeJSON(w, http.StatusNotFound, adminError(err.Error()))
	case err != nil:
		a.broken(w, "explain", err)
	case strings.Contains(r.Header.Get("Accept"), "text/plain"):
		writeText(w, http.StatusOK, table(text))
	default:
		writeJSON(w, http.StatusOK, text)
	}
}

func (a *admin) report(w http.ResponseWriter, r *http.Request) {
	q, err := reportQuery(r)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, adminError(err.Error()))
		return
	}
	v, err := a.Report(r.Context(), q)
	if err != nil {
		a.broken(w, "report", err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

func reportQuery(r *http.Request) (q ReportQuery, err error) {
	given := r.URL.Query()
	switch q.By = given.Get("by"); q.By {
	case "":
		q.By = "department"
	case "department", "namespace", "function", "pool":
	default:
		return q, errors.New("by is not known; allowed: department, namespace, function, pool")
	}
	if q.From, err = parseTime(given.Get("from")); err != nil {
		return q, errors.New("from is not a time; allowed: 2026-11-21, 2026-11-21T08:00:00Z")
	}
	if q.To, err = parseTime(given.Get("to")); err != nil {
		return q, errors.New("to is not a time; allowed: 2026-11-21, 2026-11-21T08:00:00Z")
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return q, errors.New("from must be before to")
	}
	return q, nil
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, s)
}

// shown answers with what ask returns.
func (a *admin) shown(what string, ask func(context.Context) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := ask(r.Context())
		if err != nil {
			a.broken(w, what, err)
			return
		}
		writeJSON(w, http.StatusOK, v)
	}
}

func (a *admin) broken(w http.ResponseWriter, what string, err error) {
	a.Logger.Error("admin request failed", "request", what, "error", err)
	writeJSON(w, http.StatusInternalServerError, adminError(what+": "+err.Error()))
}

func adminError(text string) any {
	return map[string]any{"error": map[string]string{"message": text}}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, marshal(adminError("the answer cannot be written as JSON: "+err.Error()))
	}
	w.Header()["Content-Type"] = typeJSON
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func (a *admin) reload(w http.ResponseWriter, r *http.Request) {
	said, err := a.Reload(context.WithoutCancel(r.Context()))
	if err != nil {
		writeJSON(w, http.StatusUnprocessableEntity, said)
		return
	}
	writeJSON(w, http.StatusOK, said)
}
