package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/dispatcher"
)

const (
	// alertEvery is how often budgets are looked at.
	alertEvery = 2 * time.Second
	// webhookWithin bounds one delivery; webhookTries how often one is tried.
	webhookWithin = 5 * time.Second
	webhookTries  = 3
	// webhooksAtOnce is how many alerts are on their way at a time.
	webhooksAtOnce = 8
)

// budgetAlert says that a budget has passed a threshold, as the webhook gets it.
// What is reserved counts as used: it may be spent.
type budgetAlert struct {
	Kind     string        `json:"kind"` // budget of a quota, or maxBurstSpend of a burst policy
	Name     string        `json:"name"`
	Window   string        `json:"window"`
	From     time.Time     `json:"from"` // of the window
	At       time.Time     `json:"at"`
	Percent  int64         `json:"percent"` // the threshold
	Used     spillway.Nano `json:"usedNano"`
	Limit    spillway.Nano `json:"limitNano"`
	Currency string        `json:"currency"`
	Reads    string        `json:"text"`
}

// alarm tells when budgets pass thresholds: in the log, in metrics and to a
// webhook. What it has told is not kept over a restart.
type alarm struct {
	log    *slog.Logger
	passed *prometheus.CounterVec
	failed prometheus.Counter
	client *http.Client
	told   map[alarmKey]toldAt
}

type alarmKey struct{ kind, name, window string }

type toldAt struct {
	from    time.Time // of the window
	limit   spillway.Nano
	percent int64
}

func newAlarm(r prometheus.Registerer, log *slog.Logger) *alarm {
	a := &alarm{log: log, told: map[alarmKey]toldAt{},
		passed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "spillway_budget_alerts_total",
			Help: "Thresholds of budgets that were passed, by what has the budget, window and percent."}, []string{"kind", "name", "window", "percent"}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "spillway_budget_alerts_undelivered_total", Help: "Alerts that the webhook did not take."}),
		client: &http.Client{Timeout: webhookWithin, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	r.MustRegister(a.passed, a.failed)
	return a
}

// run looks at budgets until ctx ends.
func (a *alarm) run(ctx context.Context, view func() dispatcher.View, settings func() (config.Server, string)) {
	ticker := time.NewTicker(alertEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		server, currency := settings()
		var sending errgroup.Group
		sending.SetLimit(webhooksAtOnce)
		for _, alert := range a.due(time.Now(), view(), server.Alerts.Budgets, currency) {
			a.log.Warn("budget", "alert", alert.Reads)
			a.passed.WithLabelValues(alert.Kind, alert.Name, alert.Window, fmt.Sprint(alert.Percent)).Inc()
			if server.Alerts.Webhook != "" {
				sending.Go(func() error { a.deliver(ctx, server.Alerts.Webhook, alert); return nil })
			}
		}
		_ = sending.Wait() // deliver says itself what failed
	}
}

// due returns an alert for each budget that has passed a threshold, the highest,
// that was not told in this window.
func (a *alarm) due(now time.Time, v dispatcher.View, thresholds []int64, currency string) []budgetAlert {
	var all []budgetAlert
	look := func(kind, name string, b dispatcher.BudgetView) {
		key, used := alarmKey{kind, name, b.Window}, b.Spent+b.Reserved
		was := a.told[key]
		fresh := !was.from.Equal(b.From) || was.limit != b.Limit
		if fresh {
			was = toldAt{from: b.From, limit: b.Limit}
		}
		before := was.percent
		for _, percent := range thresholds {
			if percent > was.percent && reached(used, b.Limit, percent) {
				was.percent = percent
			}
		}
		if was.percent > before {
			all = append(all, budgetAlert{kind, name, b.Window, b.From, now.UTC(), was.percent, used, b.Limit, currency,
				fmt.Sprintf("%d%% of the %s of %s per %s is used: %s of %s %s", was.percent, kind, name, b.Window, used, b.Limit, currency)})
		}
		a.told[key] = was
	}
	for _, q := range v.Quotas {
		for _, b := range q.Budgets {
			look("budget", q.Name, b)
		}
	}
	for _, p := range v.Bursts {
		for _, b := range p.Spend {
			look("maxBurstSpend", p.Name, b)
		}
	}
	return all
}

// reached reports whether used is at least percent of limit. A limit of zero is
// not used up by nothing.
func reached(used, limit spillway.Nano, percent int64) bool {
	if used <= 0 {
		return false
	}
	usedHi, usedLo := bits.Mul64(uint64(used), 100)
	wantHi, wantLo := bits.Mul64(uint64(limit), uint64(percent))
	return usedHi > wantHi || usedHi == wantHi && usedLo >= wantLo
}

// deliver posts an alert. One that the webhook does not take is logged and lost.
func (a *alarm) deliver(ctx context.Context, to string, alert budgetAlert) {
	body, err := json.Marshal(alert)
	for try := range webhookTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(try) * time.Second):
			}
		}
		if err = a.post(ctx, to, body); err == nil {
			return
		}
	}
	a.failed.Inc()
	a.log.Error("alert not delivered", "alert", alert.Reads, "error", err)
}

func (a *alarm) post(ctx context.Context, to string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request of the webhook: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := a.client.Do(r)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err // without the URL, which may hold a secret
		}
		return fmt.Errorf("call the webhook: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook answered %s", resp.Status)
	}
	return nil
}
