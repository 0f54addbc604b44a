package main

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spillway-dev/spillway/billing/sqlite"
)

const (
	// usageWriteWithin bounds how long a reader of an export may leave it unread, and
	// usageLeastRate, in bytes a second, is how fast it must read in the long run.
	usageWriteWithin = 30 * time.Second
	usageLeastRate   = 256 << 10
	// maxExports leaves connections to the ledger for reports and budgets.
	maxExports = 2
)

// turns bounds how many do something at once.
type turns struct{ taken atomic.Int32 }

// take reports whether there was a turn of so many, which end gives back.
func (t *turns) take(of int32) bool {
	if t.taken.Add(1) > of {
		t.end()
		return false
	}
	return true
}

func (t *turns) end() { t.taken.Add(-1) }

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
	if !a.exporting.take(maxExports) {
		w.Header().Set("Retry-After", "30")
		answerJSON(w, http.StatusServiceUnavailable, map[string]any{"error": map[string]string{"message": "other usage exports are being written; try again when one of them has ended"}})
		return
	}
	defer a.exporting.end()
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Connection", "close") // its write deadline is for nothing else
	var calls atomic.Int64
	if err := exportUsage(r.Context(), newPatientWriter(w), a.ledger, f, &calls); err != nil {
		if r.Context().Err() == nil {
			a.log.Error("usage export stopped", "calls", calls.Load(), "error", err)
		}
		panic(http.ErrAbortHandler)
	}
	a.log.Info("usage exported", "calls", calls.Load())
}

// patientWriter gives its reader time, which what is read earns back.
type patientWriter struct {
	io.Writer
	control interface{ SetWriteDeadline(time.Time) error }
	now     func() time.Time
	left    time.Duration // for waiting
}

func newPatientWriter(w http.ResponseWriter) *patientWriter {
	return &patientWriter{w, http.NewResponseController(w), time.Now, usageWriteWithin}
}

func (p *patientWriter) Write(text []byte) (int, error) {
	begun := p.now()
	if err := p.control.SetWriteDeadline(begun.Add(p.left)); err != nil {
		return 0, err
	}
	n, err := p.Writer.Write(text)
	earned := time.Duration(n) * time.Second / usageLeastRate
	p.left = min(p.left-p.now().Sub(begun)+earned, usageWriteWithin)
	return n, err
}
