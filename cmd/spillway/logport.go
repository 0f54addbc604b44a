package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config/deployed"
)

// logReader is a pool that keeps what functions write.
type logReader interface {
	ReadLog(ctx context.Context, function spillway.FunctionKey, tail int, follow bool, write func([]byte) error) error
}

// logReaders are those of the pools on this machine.
type logReaders struct {
	mu  sync.Mutex
	all []logReader
}

func (l *logReaders) add(r logReader) (forget func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = slices.DeleteFunc(l.all, func(other logReader) bool { return other == r })
	}
}

func (l *logReaders) list() []logReader {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// logWriteWithin bounds how long a reader of a log may leave it unread.
const logWriteWithin = 30 * time.Second

// maxTail bounds the lines of a log that are read back.
const maxTail = 100_000

// logs answers with the log of a function on this machine, and as long as it
// follows with what comes.
func (a *app) logs(w http.ResponseWriter, r *http.Request) {
	key := functionOf(r)
	tail, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("tail"), "100"))
	if err != nil || tail < 0 || tail > maxTail {
		a.sayProblem(w, deployed.Problem(fmt.Sprintf("tail is not a number of lines; allowed: 0 to %d", maxTail)))
		return
	}
	if a.server.Platform().Function(key) == nil {
		answerJSON(w, http.StatusNotFound, map[string]any{"error": map[string]string{"message": key.String() + " is not a function of this server; 'spillway list' shows what there is"}})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := http.NewResponseController(w)
	if out.Flush() != nil { // the reader learns now that it is listened for
		return
	}
	follow := r.URL.Query().Get("follow") == "true"
	if err := a.readLogs(r.Context(), key, tail, follow, func(text []byte) error {
		late := out.SetWriteDeadline(time.Now().Add(logWriteWithin))
		_, err := w.Write(text)
		return errors.Join(late, err, out.Flush())
	}); err != nil && r.Context().Err() == nil {
		a.log.Warn("log not read", "function", key.String(), "error", err)
	}
}

// readLogs reads the logs of all pools on this machine, one after the other, or
// side by side when it follows. write is called by one at a time.
func (a *app) readLogs(ctx context.Context, key spillway.FunctionKey, tail int, follow bool, write func([]byte) error) error {
	var turn sync.Mutex
	inTurn := func(text []byte) error {
		turn.Lock()
		defer turn.Unlock()
		return write(text)
	}
	reading, ctx := errgroup.WithContext(ctx)
	if !follow {
		reading.SetLimit(1)
	}
	for _, p := range a.onPrem.list() {
		reading.Go(func() error { return p.ReadLog(ctx, key, tail, follow, inTurn) })
	}
	return reading.Wait()
}
