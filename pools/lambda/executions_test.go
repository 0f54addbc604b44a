package lambda_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/lambda"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

func logOf(t *testing.T, url string, pace func(context.Context) error) *lambda.Log {
	t.Helper()
	return newPool(t, url).Log(&spillway.Pool{Lambda: spillway.LambdaEndpoint{Endpoint: url}}, pace)
}

// TestExecutions: the log tells what the stand-in bills, of lost answers too, and of
// no other time.
func TestExecutions(t *testing.T) {
	var turns atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(turns.Load()) * time.Second) }
	s, err := cloud.New(cloud.Config{Keys: map[string]string{keyID: secret}, Clock: clock, Functions: []cloud.Function{
		{Name: "fn", Qualifiers: map[string]string{"live": "7"}, MiB: 256, Handle: func(_ context.Context, e cloud.Event) ([]byte, error) {
			fmt.Fprintln(e.Log, "REPORT RequestId: is what it says")
			return e.Payload, nil
		}},
		{Name: "idle", Handle: func(context.Context, cloud.Event) ([]byte, error) { return nil, nil }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() { web.Close(); s.Close() })
	began, pool := clock(), newPool(t, web.URL)
	call := func() spillway.OutcomeClass {
		return pool.Invoke(t.Context(), pools.Request{Function: function("fn", 3*time.Second), Payload: []byte(`{}`)}).Outcome.Class
	}
	if call() != spillway.Executed {
		t.Fatal("not executed")
	}
	if err := s.Inject(cloud.Fault{Kind: cloud.ResetAfter, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if call() != spillway.Unknown {
		t.Fatal("the answer was not lost")
	}
	log := logOf(t, web.URL, func(context.Context) error { turns.Add(1); return nil })
	got, err := log.Executions(t.Context(), "arn:aws:lambda:us-east-1:123456789012:function:fn", began, clock().Add(time.Second))
	bill := s.Bill()
	if err != nil || len(got) != 2 || len(bill.Lines) != 2 {
		t.Fatalf("%v: %+v of %+v", err, got, bill.Lines)
	}
	for i, l := range bill.Lines {
		u := got[i]
		ended := u.Started.Add(time.Duration(u.DurationMicros) * time.Microsecond).Time()
		if u.ProviderID != l.RequestID || u.BilledMillis != l.BilledMs || u.MemoryMiB != int64(l.MiB) || u.Estimated || u.DurationMicros <= 0 || ended.Sub(l.At).Abs() > 100*time.Millisecond {
			t.Errorf("%+v is %+v in the bill", u, l)
		}
	}
	if later, err := log.Executions(t.Context(), "fn", clock().Add(time.Minute), clock().Add(time.Hour)); err != nil || len(later) != 0 {
		t.Errorf("%v: later %+v", err, later)
	}
	for name, says := range map[string]string{
		"idle":   "there is no log group /aws/lambda/idle",
		"nobody": "there is no function nobody any more",
	} {
		if _, err := log.Executions(t.Context(), name, began, clock()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const reportLine = `REPORT RequestId: %s\tDuration: 1.50 ms\tBilled Duration: 12 ms\tMemory Size: 128 MB\tMax Memory Used: 20 MB\tInit Duration: 10.00 ms\t\nXRAY TraceId: 1-2\t\n`

// logging answers with a configuration, and each FilterLogEvents with the next of
// some bodies.
func logging(configuration string, status int, bodies ...string) (http.HandlerFunc, *atomic.Int64) {
	asked := new(atomic.Int64)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") == "" {
			fmt.Fprint(w, configuration)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		fmt.Fprint(w, bodies[min(int(asked.Add(1)), len(bodies))-1])
	}, asked
}

// TestExecutionsPages: empty pages, streams of other functions in a shared group,
// both formats, and lines that are no reports.
func TestExecutionsPages(t *testing.T) {
	event := func(stream, message string) string {
		return fmt.Sprintf(`{"timestamp":1795219200500,"logStreamName":"2026/11/21/%s[7]ab","message":"%s"}`, stream, message)
	}
	structured := `{\"time\":\"x\",\"type\":\"platform.report\",\"record\":{\"requestId\":\"cc-1\",\"metrics\":{\"durationMs\":2.5,\"billedDurationMs\":3,\"memorySizeMB\":128}}}`
	h, asked := logging(`{"LoggingConfig":{"LogGroup":"/shared"}}`, 200,
		`{"events":[],"nextToken":"a"}`,
		`{"events":[`+event("fn", fmt.Sprintf(reportLine, "aa-1"))+`,`+event("other", fmt.Sprintf(reportLine, "bb-1"))+`],"nextToken":"b"}`,
		`{"events":[`+event("", structured)+`,`+event("", "he said REPORT RequestId: dd-1")+`,`+event("", fmt.Sprintf(reportLine, "not an id"))+`]}`,
	)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { h(w, r) })
	got, err := logOf(t, url, unpaced).Executions(t.Context(), "fn", time.Unix(0, 0), time.Unix(1, 0))
	at := spillway.Instant(1795219200500 * 1e6)
	want := []spillway.Usage{
		{ProviderID: "aa-1", Started: at.Add(-1500 * time.Microsecond), DurationMicros: 1500, BilledMillis: 12, InitMicros: 10_000, MemoryMiB: 128, MaxMemoryMiB: 20},
		{ProviderID: "cc-1", Started: at.Add(-2500 * time.Microsecond), DurationMicros: 2500, BilledMillis: 3, MemoryMiB: 128},
	}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] || asked.Load() != 3 {
		t.Errorf("%v after %d requests: %+v", err, asked.Load(), got)
	}
	h, _ = logging(`{}`, 200, `{"events":[],"nextToken":"a"}`)
	if _, err := logOf(t, url, unpaced).Executions(t.Context(), "fn", time.Unix(0, 0), time.Unix(1, 0)); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("pages without end: %v", err)
	}
}

// TestExecutionsRefused: errors say what to do, never what an endpoint says, and
// nothing is asked twice.
func TestExecutionsRefused(t *testing.T) {
	for code, says := range map[string]string{
		"AccessDeniedException":       "need the permission logs:FilterLogEvents on the log group /aws/lambda/fn",
		"ResourceNotFoundException":   "there is no log group /aws/lambda/fn",
		"ThrottlingException":         "try again later",
		"UnrecognizedClientException": "credentials are wrong or have expired",
		"InvalidParameterException":   "InvalidParameterException",
		secret:                        "answered FilterLogEvents with 400",
	} {
		h, asked := logging(`{}`, 400, fmt.Sprintf(`{"__type":%q,"message":%q}`, code, secret))
		_, err := logOf(t, serve(t, h), unpaced).Executions(t.Context(), "fn", time.Unix(0, 0), time.Unix(1, 0))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), secret) || asked.Load() != 1 {
			t.Errorf("%s, asked %d times: %v", code, asked.Load(), err)
		}
	}
	h, _ := logging(`{}`, 200, `{"events":`)
	if _, err := logOf(t, serve(t, h), unpaced).Executions(t.Context(), "fn", time.Unix(0, 0), time.Unix(1, 0)); err == nil || !strings.Contains(err.Error(), "could not be read") {
		t.Errorf("half an answer: %v", err)
	}
	closed := errors.New("closed")
	if _, err := logOf(t, "http://127.0.0.1:1", func(context.Context) error { return closed }).Executions(t.Context(), "fn", time.Unix(0, 0), time.Unix(1, 0)); !errors.Is(err, closed) {
		t.Errorf("out of turn: %v", err)
	}
}
