package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

const urlPath = "/namespaces/web/functions/resize/invoke"
const lambdaPath = "/namespaces/web/2015-03-31/functions/resize/invocations"

// nobody breaks when asked who calls.
type nobody struct{}

func (nobody) Precheck(*http.Request) error { return nil }

func (nobody) Authorise(context.Context, auth.Identity, string, string) (auth.Permission, error) {
	panic("nobody")
}

func (nobody) Authenticate(*http.Request, []byte, time.Time) (auth.Identity, error) { panic("nobody") }

func noLimit(*http.Server) {}

func field(t *testing.T, body []byte, name string) string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	s, _ := all[name].(string)
	return s
}

// metric sums a family of the registry.
func metric(t *testing.T, g prometheus.Gatherer, name string) (sum float64) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func wrongSecret(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: testKey, SecretAccessKey: "another-secret-altogether"}, nil
}

func TestURLAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer *server.Answer
		err    error
		status int
		reason string // of the body
	}{
		{"executed", executed(`{"ok":true}`), nil, 200, ""},
		{"function error", functionFailed(spillway.FunctionUnhandled), nil, 502, ""},
		{"unknown", unknownAnswer(), nil, 504, "outcome_unknown"},
		{"denied", refusal(spillway.ReasonDenied, spillway.Limit{}), nil, 403, "denied"},
		{"budget", refusal(spillway.ReasonBudgetExceeded, spillway.Limit{Kind: spillway.LimitBudget}), nil, 402, "budget_exceeded"},
		{"quota", refusal(spillway.ReasonQuotaExceeded, spillway.Limit{Kind: spillway.LimitQuota}), nil, 429, "quota_exceeded"},
		{"capacity", refusal(spillway.ReasonNoCapacity, spillway.Limit{Kind: spillway.LimitCapacity}), nil, 429, "no_capacity"},
		{"deadline", refusal(spillway.ReasonDeadline, spillway.Limit{Kind: spillway.LimitCapacity}), nil, 408, "deadline"},
		{"unavailable", refusal(spillway.ReasonUnavailable, spillway.Limit{Kind: spillway.LimitLedger}), nil, 503, "unavailable"},
		{"draining", nil, server.ErrDraining, 503, "unavailable"},
		{"not found", nil, &server.UnknownFunctionError{}, 404, "not_found"},
		{"key reused", nil, server.ErrKeyReused, 422, "key_reused"},
		{"result gone", nil, server.ErrResultGone, 410, "result_gone"},
		{"unforeseen", nil, errors.New("secret detail"), 504, "outcome_unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			resp, body := open(t, always(test.answer, test.err)).post(t, urlPath, `{}`)
			if resp.StatusCode != test.status || resp.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("got %d %s: %s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
			}
			checkHeaders(t, resp, test.answer)
			if test.reason != "" {
				checkURLError(t, body, test.reason, test.answer)
			} else if body != string(test.answer.Payload) {
				t.Errorf("body %s", body)
			}
			if strings.Contains(body, "secret detail") {
				t.Error("shows an internal error")
			}
		})
	}
}

func checkHeaders(t *testing.T, resp *http.Response, a *server.Answer) {
	t.Helper()
	if resp.Header.Get("X-Spillway-Reason") == "" {
		t.Error("no X-Spillway-Reason")
	}
	if a == nil {
		return
	}
	pool := a.Explanation.Pool
	if pool == "" {
		pool = "-"
	}
	for name, want := range map[string]string{"X-Spillway-Invocation": testID, "X-Spillway-Pool": pool,
		"X-Spillway-Reason": a.Explanation.Reason.String(), "X-Spillway-Decision": a.Explanation.Summary(),
		"X-Spillway-Function-Error": string(a.FunctionError)} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func checkURLError(t *testing.T, body, reason string, a *server.Answer) {
	t.Helper()
	var got struct {
		Error struct {
			Reason, Message string
			Limit           *struct{ Reads string }
			Explanation     *struct{ Invocation, Outcome string }
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	e := got.Error
	if e.Reason != reason || e.Message == "" {
		t.Errorf("body %s", body)
	}
	if a == nil {
		return
	}
	if e.Explanation == nil || e.Explanation.Invocation != testID || (a.Explanation.Limit != nil) != (e.Limit != nil) {
		t.Errorf("not explained: %s", body)
	}
}

func TestURLRequestFields(t *testing.T) {
	s := always(executed("1"), nil)
	d := open(t, s)
	before := time.Now()
	resp, body := d.post(t, urlPath+"?qualifier=v2", `[1]`, "Idempotency-Key", "order-7", "Amz-Sdk-Invocation-Id", "sdk", "X-Spillway-Deadline", "1h",
		"X-Spillway-Identity", "root", "X-Forwarded-User", "root", "X-Remote-User", "root", "X-Spillway-Namespace", "other")
	if resp.StatusCode != 200 {
		t.Fatal(body)
	}
	ask := s.ran()[0]
	if ask.RequestKey != "order-7" || ask.Qualifier != "v2" || ask.Caller != "bearer" || ask.Function.Namespace != "web" || string(ask.Payload) != "[1]" {
		t.Errorf("asked %+v", ask)
	}
	if ask.Deadline.Before(before.Add(time.Hour)) || ask.Deadline.After(time.Now().Add(time.Hour)) {
		t.Errorf("deadline %v", ask.Deadline)
	}
	d.post(t, urlPath, `1`, "Amz-Sdk-Invocation-Id", "sdk")
	if got := s.ran()[1].RequestKey; got != "sdk" {
		t.Errorf("key %q", got)
	}
}

func TestIdempotencyKeyOnLambda(t *testing.T) {
	s := always(executed("1"), nil)
	open(t, s).post(t, lambdaPath, `1`, "Amz-Sdk-Invocation-Id", "sdk", "Idempotency-Key", "mine")
	if got := s.ran()[0].RequestKey; got != "mine" {
		t.Errorf("key %q", got)
	}
}

func TestRejectedHeaders(t *testing.T) {
	tests := []struct {
		name, path string
		headers    []string
		status     int
	}{
		{"gzip", urlPath, []string{"Content-Encoding", "gzip"}, 415},
		{"gzip, Lambda", lambdaPath, []string{"Content-Encoding", "gzip"}, 415},
		{"identity", urlPath, []string{"Content-Encoding", "identity"}, 200},
		{"deadline", urlPath, []string{"X-Spillway-Deadline", "soon"}, 400},
		{"negative deadline", urlPath, []string{"X-Spillway-Deadline", "-1s"}, 400},
		{"long key", urlPath, []string{"Idempotency-Key", strings.Repeat("k", 256)}, 400},
		{"key with a space", urlPath, []string{"Idempotency-Key", "a b"}, 400},
		{"two keys", urlPath, []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, 400},
		{"two types", lambdaPath, []string{"X-Amz-Invocation-Type", "DryRun", "X-Amz-Invocation-Type", "RequestResponse"}, 400},
		{"unknown", lambdaPath, []string{"X-Amz-Something", "a"}, 400},
		{"two qualifiers", urlPath + "?qualifier=a&qualifier=b", nil, 400},
		{"qualifier", urlPath + "?qualifier=a/b", nil, 400},
		{"query", urlPath + "?a;b", nil, 400},
	}
	s := always(executed("1"), nil)
	d := open(t, s)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(s.ran())
			resp, body := d.post(t, test.path, "1", test.headers...)
			if resp.StatusCode != test.status || resp.Header.Get("X-Spillway-Reason") == "" {
				t.Errorf("got %d: %s", resp.StatusCode, body)
			}
			if ran := len(s.ran()) - before; ran != 0 && test.status != 200 {
				t.Errorf("ran %d times", ran)
			}
		})
	}
}

// TestForbidden tells nobody whether a function they may not call exists.
func TestForbidden(t *testing.T) {
	s := always(nil, &server.UnknownFunctionError{})
	d := open(t, s)
	for _, form := range []string{"/namespaces/%s/functions/%s/invoke", "/namespaces/%s/2015-03-31/functions/%s/invocations"} {
		var bodies []string
		for _, name := range [][2]string{{"web", "other"}, {"web", "absent"}, {"shop", "resize"}} {
			path := strings.Replace(strings.Replace(form, "%s", name[0], 1), "%s", name[1], 1)
			resp, body := d.do(t, "POST", path, "1", "Authorization", "Bearer "+narrowToken)
			if resp.StatusCode != 403 || resp.Header.Get("X-Spillway-Reason") != "denied" {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
			bodies = append(bodies, body)
		}
		if bodies[0] != bodies[1] || bodies[1] != bodies[2] {
			t.Errorf("different answers: %q", bodies)
		}
	}
	if resp, _ := d.do(t, "POST", urlPath, "1", "Authorization", "Bearer "+narrowToken); resp.StatusCode != 404 || len(s.ran()) != 1 {
		t.Errorf("one's own function: %d, asked %d times", resp.StatusCode, len(s.ran()))
	}
}

func TestAuthentication(t *testing.T) {
	s := always(executed("1"), nil)
	closed := open(t, s)
	anonymous := openWith(t, s, func(c *Config) { c.Auth = authenticator(t, true) }, noLimit)
	tests := []struct {
		name    string
		door    *door
		path    string
		headers []string
		status  int
		kind    string
	}{
		{"none", closed, urlPath, nil, 401, ""},
		{"none, Lambda", closed, lambdaPath, nil, 403, auth.TypeMissingToken},
		{"wrong token", closed, urlPath, []string{"Authorization", "Bearer 0123456789abcdefgh"}, 401, ""},
		{"wrong token, Lambda", closed, lambdaPath, []string{"Authorization", "Bearer 0123456789abcdefgh"}, 403, auth.TypeUnrecognizedClient},
		{"broken signature", closed, lambdaPath, []string{"Authorization", "AWS4-HMAC-SHA256 x"}, 403, auth.TypeIncompleteSignature},
		{"token", closed, urlPath, []string{"Authorization", "Bearer " + testToken}, 200, ""},
		{"anonymous", anonymous, urlPath, nil, 200, ""},
		{"anonymous, proxied", anonymous, urlPath, []string{"X-Forwarded-For", "10.0.0.1"}, 401, ""},
		{"anonymous from a page", anonymous, urlPath, []string{"Origin", "http://evil.example"}, 401, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			resp, body := test.door.do(t, "POST", test.path, "1", test.headers...)
			if resp.StatusCode != test.status || resp.Header.Get("X-Amzn-Errortype") != test.kind || resp.Header.Get("X-Spillway-Reason") == "" {
				t.Errorf("got %d %s: %s", resp.StatusCode, resp.Header.Get("X-Amzn-Errortype"), body)
			}
			if test.status == 401 && resp.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	if n := len(s.ran()); n != 2 {
		t.Errorf("%d ran, want 2", n)
	}
	if got := metric(t, closed.registry, "spillway_http_auth_failures_total"); got != 5 {
		t.Errorf("%v failures counted", got)
	}
}

// TestWrongSignature signs with another secret, and for a namespace the key may
// not use.
func TestWrongSignature(t *testing.T) {
	s := always(executed("1"), nil)
	d := open(t, s)
	in := &lambda.InvokeInput{FunctionName: aws.String("resize"), Payload: []byte("1")}
	_, err := d.sdk(func(o *lambda.Options) {
		o.Credentials = aws.CredentialsProviderFunc(wrongSecret)
	}).Invoke(t.Context(), in)
	wantError(t, err, 403, auth.TypeInvalidSignature)
	_, err = d.sdk(func(o *lambda.Options) { o.BaseEndpoint = aws.String("http://" + d.addr + "/namespaces/shop") }).Invoke(t.Context(), in)
	wantError(t, err, 403, "AccessDeniedException")
	if len(s.ran()) != 0 {
		t.Error("something ran")
	}
}

func TestMetricsAreClean(t *testing.T) {
	d := open(t, always(executed(`12345`), nil))
	d.post(t, urlPath, `123`)
	problems, err := testutil.GatherAndLint(d.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for name, want := range map[string]float64{"spillway_http_request_body_bytes_total": 3, "spillway_http_response_body_bytes_total": 5,
		"spillway_http_requests_total": 1, "spillway_http_requests_in_flight": 0, "spillway_http_connections": 1} {
		if got := metric(t, d.registry, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if _, err := New(Config{Server: always(nil, nil), Auth: nobody{}, Registerer: d.registry}); err == nil {
		t.Error("registered twice")
	}
}
