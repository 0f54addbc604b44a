package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway/dispatcher/server"
)

type explainer map[string]string

func (e explainer) Explain(_ context.Context, id string) (json.RawMessage, error) {
	if text, ok := e[id]; ok {
		return json.RawMessage(text), nil
	}
	return nil, server.ErrUnknownInvocation
}

func adminHandler(ready error, asked *ReportQuery) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "spillway_test_total", Help: "Of this test."}))
	return AdminServer(AdminConfig{
		Ready: func() error { return ready }, Metrics: registry,
		Explain: explainer{testID: `{"invocation":"` + testID + `","limit":{"reads":"quota team"},"attempts":[{"pool":"onprem"},{"pool":"cl\u001boud"}],"empty":null}`},
		Report: func(_ context.Context, q ReportQuery) (any, error) {
			*asked = q
			if q.By == "pool" {
				return nil, errors.New("ledger is closed")
			}
			return map[string]string{"total": "1.5"}, nil
		},
		Quota: func(context.Context) (any, error) { return []string{"team"}, nil },
	}).Handler
}

func get(h http.Handler, target string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:4000", "localhost:8081"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAdmin(t *testing.T) {
	var asked ReportQuery
	h, broken := adminHandler(nil, &asked), adminHandler(errors.New("the ledger cannot take records"), &asked)
	tests := []struct {
		name   string
		h      http.Handler
		target string
		status int
		says   string
	}{
		{"health", broken, "/healthz", 200, "ok"},
		{"ready", h, "/readyz", 200, "ready"},
		{"not ready", broken, "/readyz", 503, "the ledger cannot take records"},
		{"metrics", h, "/metrics", 200, "spillway_test_total 0"},
		{"profiles", h, "/debug/pprof/", 200, "goroutine"},
		{"profile", h, "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{"explain", h, "/v1/explain/" + testID, 200, `"reads":"quota team"`},
		{"unknown id", h, "/v1/explain/0193", 404, "no record"},
		{"odd id", h, "/v1/explain/a%2F..%2Fb", 400, "lower-case"},
		{"report", h, "/v1/report?by=function&from=2026-11-01&to=2026-11-21T08:00:00%2B01:00", 200, `{"total":"1.5"}`},
		{"report failed", h, "/v1/report?by=pool", 500, "ledger is closed"},
		{"report by", h, "/v1/report?by=colour", 400, "allowed: department"},
		{"report from", h, "/v1/report?from=yesterday", 400, "from is not a time"},
		{"report to", h, "/v1/report?to=1", 400, "to is not a time"},
		{"report backwards", h, "/v1/report?from=2026-11-02&to=2026-11-01", 400, "before"},
		{"quota", h, "/v1/quota", 200, `["team"]`},
		{"nothing", h, "/v1", 404, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := get(test.h, test.target, nil)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("got %d: %s", w.Code, w.Body)
			}
		})
	}
}

func TestReportQuery(t *testing.T) {
	var asked ReportQuery
	h := adminHandler(nil, &asked)
	get(h, "/v1/report", nil)
	if asked != (ReportQuery{By: "department"}) {
		t.Errorf("asked %+v", asked)
	}
	get(h, "/v1/report?by=namespace&from=2026-11-01&to=2026-11-21T08:00:00%2B01:00", nil)
	if asked.By != "namespace" || !asked.From.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) || !asked.To.Equal(time.Date(2026, 11, 21, 7, 0, 0, 0, time.UTC)) {
		t.Errorf("asked %+v", asked)
	}
}

func TestExplainTable(t *testing.T) {
	w := get(adminHandler(nil, new(ReportQuery)), "/v1/explain/"+testID, func(r *http.Request) { r.Header.Set("Accept", "text/plain") })
	want := "invocation        " + testID + "\n" +
		"limit.reads       quota team\n" +
		"attempts[1].pool  onprem\n" +
		"attempts[2].pool  \"cl\\x1boud\"\n"
	if got := w.Body.String(); got != want || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("got %s\n%s", w.Header().Get("Content-Type"), got)
	}
}

func TestAdminOnlyLocal(t *testing.T) {
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"here", nil, 200},
		{"address", func(r *http.Request) { r.Host = "127.0.0.1:8081" }, 200},
		{"IPv6", func(r *http.Request) { r.RemoteAddr, r.Host = "[::1]:4000", "[::1]:8081" }, 200},
		{"no port", func(r *http.Request) { r.Host = "localhost" }, 200},
		{"same page", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, 200},
		{"other machine", func(r *http.Request) { r.RemoteAddr = "10.0.0.1:4000" }, 403},
		{"no peer", func(r *http.Request) { r.RemoteAddr = "@" }, 403},
		{"rebound name", func(r *http.Request) { r.Host = "evil.example:8081" }, 403},
		{"like localhost", func(r *http.Request) { r.Host = "localhost.evil.example" }, 403},
		{"no Host", func(r *http.Request) { r.Host = "" }, 403},
		{"proxied", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.0.0.1") }, 403},
		{"page", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		{"image on a page", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
	}
	h := adminHandler(nil, new(ReportQuery))
	for _, test := range tests {
		for _, target := range []string{"/healthz", "/metrics", "/v1/quota", "/debug/pprof/cmdline"} {
			if w := get(h, target, test.change); w.Code != test.status {
				t.Errorf("%s: %s: %d", test.name, target, w.Code)
			}
		}
	}
}

func FuzzTable(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":null}],"c":"d\n"}`, `1`, `[`, `{"a"`, ``, `{}x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := table(json.RawMessage(text)); json.Valid([]byte(text)) && strings.ContainsRune(got, 0x1b) {
			t.Errorf("%q: escape in %q", text, got)
		}
	})
}
