package main

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spillway-dev/spillway/billing/sqlite"
)

// usageWriteWithin bounds how long a reader of an export may leave it unread.
const usageWriteWithin = 30 * time.Second

// usageFilter reads which calls are meant; times are as for reports.
func usageFilter(from, to string, namespaces []string) (f sqlite.Filter, err error) {
	if f.From, err = moment("--from", from); err != nil {
		return f, err
	}
	if f.To, err = moment("--to", to); err != nil {
		return f, err
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return f, wrongInput("--from %s is not before --to %s", from, to)
	}
	for _, n := range namespaces {
		if n == "" || strings.ContainsAny(n, "/, ") {
			return f, wrongInput("--namespace: %q is not the name of a namespace", n)
		}
		f.Namespaces = append(f.Namespaces, n)
	}
	return f, nil
}

// usage serves GET /v1/usage: the calls of the ledger as a usage export. An answer
// that cannot be finished is cut off, so that no reader takes a part for the whole.
func (a *app) usage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := usageFilter(q.Get("from"), q.Get("to"), q["namespace"])
	if err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]any{"error": map[string]string{"message": strings.ReplaceAll(err.Error(), "--", "")}})
		return
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Connection", "close") // its write deadline is for nothing else
	var calls atomic.Int64
	if err := exportUsage(r.Context(), patientWriter{w, http.NewResponseController(w)}, a.ledger, f, &calls); err != nil {
		if r.Context().Err() == nil {
			a.log.Error("usage export stopped", "calls", calls.Load(), "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	a.log.Info("usage exported", "calls", calls.Load())
}

// patientWriter gives each write its own time.
type patientWriter struct {
	io.Writer
	control *http.ResponseController
}

func (p patientWriter) Write(text []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(usageWriteWithin)); err != nil {
		return 0, err
	}
	return p.Writer.Write(text)
}
