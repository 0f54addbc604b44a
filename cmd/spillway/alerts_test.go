package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/dispatcher"
)

func spending(from time.Time, used spillway.Nano) dispatcher.View {
	return dispatcher.View{Quotas: []dispatcher.QuotaView{{Name: "retail", Budgets: []dispatcher.BudgetView{
		{Window: "day", From: from, Spent: used / 2, Reserved: used - used/2, Limit: 1000}, {Window: "hour", From: from, Limit: 0}}}}}
}

// TestAlertsOncePerThreshold: each threshold is told once in a window, the highest
// of those that were passed together.
func TestAlertsOncePerThreshold(t *testing.T) {
	a := newAlarm(prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	today, tomorrow := time.Unix(0, 0), time.Unix(86400, 0)
	for i, step := range []struct {
		from time.Time
		used spillway.Nano
		want int64 // percent, or 0
	}{
		{today, 499, 0}, {today, 500, 50}, {today, 700, 0}, {today, 1000, 100}, {today, 1000, 0},
		{today, 400, 0}, {today, 900, 0}, {tomorrow, 0, 0}, {tomorrow, 850, 80}, {tomorrow, 850, 0},
	} {
		due := a.due(time.Now(), spending(step.from, step.used), []int64{50, 80, 100}, "USD")
		switch {
		case step.want == 0 && len(due) != 0, step.want != 0 && (len(due) != 1 || due[0].Percent != step.want):
			t.Errorf("step %d: %+v, want %d", i, due, step.want)
		}
	}
}

func TestReachedDoesNotOverflow(t *testing.T) {
	if !reached(spillway.MaxNano, spillway.MaxNano, 100) || reached(spillway.MaxNano/2-1, spillway.MaxNano, 50) {
		t.Error("wrong at the largest amounts")
	}
}

// TestWebhook: an alert is tried again until the webhook takes it.
func TestWebhook(t *testing.T) {
	got := make(chan budgetAlert, 1)
	calls := 0
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var alert budgetAlert
		if err := json.NewDecoder(r.Body).Decode(&alert); err != nil {
			t.Error(err)
		}
		got <- alert
	}))
	defer hook.Close()
	a := newAlarm(prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.run(ctx, func() dispatcher.View { return spending(time.Unix(0, 0), 800) }, func() (config.Server, string) {
			return config.Server{Alerts: v1alpha1.Alerts{Webhook: hook.URL, Budgets: []int64{50, 80}}}, "USD"
		})
	}()
	alert := <-got
	stop()
	<-done
	if alert.Name != "retail" || alert.Percent != 80 || alert.Used != 800 || alert.Reads != "80% of the budget of retail per day is used: 0.000000800 of 0.000001000 USD" {
		t.Errorf("got %+v", alert)
	}
}
