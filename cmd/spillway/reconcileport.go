package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	defaultSince = 24 * time.Hour
	defaultLag   = time.Hour
	// minLag is how long Lambda's logs may be behind, by its documentation. It also
	// keeps calls that are sent while the ledger is read away from what is settled.
	minLag = 10 * time.Minute
	// maxSince is as long as anyone keeps logs for this.
	maxSince = 90 * 24 * time.Hour
)

// check says what is wrong with what is asked for.
func (ask reconcileAsk) check() error {
	switch {
	case ask.since <= 0 || ask.since > maxSince:
		return errors.New("since is not a time that reconciliation goes back; allowed: up to 2160h")
	case ask.lag < minLag || ask.lag >= ask.since:
		return errors.New("lag must be 10m or more, as logs of clouds are that far behind, and shorter than since")
	}
	return nil
}

// query writes ask for the admin port.
func (ask reconcileAsk) query() map[string][]string {
	return map[string][]string{"since": {ask.since.String()}, "lag": {ask.lag.String()}, "dryRun": {strconv.FormatBool(ask.dryRun)}}
}

// askedFor reads what a request asks for.
func askedFor(r *http.Request) (ask reconcileAsk, err error) {
	ask = reconcileAsk{since: defaultSince, lag: defaultLag}
	for name, values := range r.URL.Query() {
		switch name {
		case "since":
			ask.since, err = time.ParseDuration(values[0])
		case "lag":
			ask.lag, err = time.ParseDuration(values[0])
		case "dryRun":
			ask.dryRun, err = strconv.ParseBool(values[0])
		default:
			err = errors.New("unknown")
		}
		if err != nil || len(values) > 1 {
			return ask, fmt.Errorf("the parameter %q cannot be read; allowed, each once: since=24h, lag=1h, dryRun=true", name)
		}
	}
	return ask, ask.check()
}

// reconcile serves POST /v1/reconcile, one request after the other.
func (a *app) reconcile() http.Handler { return a.reconcileAt(time.Now) }

func (a *app) reconcileAt(now func() time.Time) http.Handler {
	var turn sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(status int, err error) {
			answerJSON(w, status, map[string]any{"error": map[string]string{"message": err.Error()}})
		}
		ask, err := askedFor(r)
		if err != nil {
			refuse(http.StatusBadRequest, err)
			return
		}
		turn.Lock()
		defer turn.Unlock()
		run := reconciler{platform: a.server.Platform(), ledger: a.ledger, open: openExecutionLog, posted: a.server.Correct}
		said, err := run.run(r.Context(), ask, now().UTC())
		if err != nil {
			a.log.Error("reconciliation stopped", "error", err)
			refuse(http.StatusInternalServerError, err)
			return
		}
		a.log.Info("reconciled", "dryRun", said.DryRun, "estimates", said.Estimates, "ran", said.Ran, "neverRan", said.NeverRan, "problems", said.Problems)
		answerJSON(w, http.StatusOK, said)
	})
}
