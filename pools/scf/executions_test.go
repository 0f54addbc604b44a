package scf_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/scf"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

func logOf(t *testing.T, url string, pace func(context.Context) error) *scf.Log {
	t.Helper()
	return newPool(t, url).Log(&spillway.Pool{SCF: spillway.SCFEndpoint{Endpoint: url}}, pace)
}

// TestExecutions: the log tells what the stand-in bills, of lost answers too, over
// more than one page, and of no other time.
func TestExecutions(t *testing.T) {
	s, err := cloud.New(cloud.Config{Provider: cloud.SCF, Keys: map[string]string{keyID: secret}, Functions: []cloud.Function{
		{Name: "fn", MiB: 256, Qualifiers: map[string]string{"live": "3"}, Handle: func(_ context.Context, e cloud.Event) ([]byte, error) {
			fmt.Fprintln(e.Log, "Report RequestId: is what it says")
			return e.Payload, nil
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() { web.Close(); s.Close() })
	began, pool := time.Now(), newPool(t, web.URL)
	call := func() spillway.OutcomeClass {
		return pool.Invoke(t.Context(), pools.Request{Function: function("fn", 3*time.Second), Payload: []byte(`{}`)}).Outcome.Class
	}
	for range 3 {
		if call() != spillway.Executed {
			t.Fatal("not executed")
		}
	}
	if err := s.Inject(cloud.Fault{Kind: cloud.Truncated, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if call() != spillway.Unknown {
		t.Fatal("the answer was not lost")
	}
	log := logOf(t, web.URL, unpaced)
	got, err := log.Executions(t.Context(), "fn", began, time.Now().Add(time.Second))
	bill := s.Bill()
	if err != nil || len(got) != 4 || len(bill.Lines) != 4 {
		t.Fatalf("%v: %+v of %+v", err, got, bill.Lines)
	}
	for i, l := range bill.Lines {
		u := got[i]
		ended := u.Started.Add(time.Duration(u.DurationMicros) * time.Microsecond).Time()
		if u.ProviderID != l.RequestID || u.BilledMillis != l.BilledMs || u.MemoryMiB != int64(l.MiB) || u.Estimated || ended.Sub(l.At).Abs() > 100*time.Millisecond {
			t.Errorf("%+v is %+v in the bill", u, l)
		}
	}
	if later, err := log.Executions(t.Context(), "fn", time.Now().Add(time.Minute), time.Now().Add(time.Hour)); err != nil || len(later) != 0 {
		t.Errorf("%v: later %+v", err, later)
	}
	if _, err := log.Executions(t.Context(), "nobody", began, time.Now()); err == nil || !strings.Contains(err.Error(), "there is no function nobody in namespace default any more") {
		t.Errorf("%v", err)
	}
}

const topic = `"MemorySize":128,"Timeout":3,"ClsTopicId":"12345678-aaaa",`

// searching answers GetFunction with a topic, and each SearchLog with the next of
// some responses, whose queries it hands over.
func searching(queries *[]string, responses ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-TC-Action") != "SearchLog" {
			telling(map[string]string{"GetFunction": topic})(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		*queries = append(*queries, string(body))
		fmt.Fprintf(w, `{"Response":{%s,"RequestId":"1-2"}}`, responses[min(len(*queries), len(responses))-1])
	}
}

// TestExecutionsPages follows Context, and begins a new query where it ends.
func TestExecutionsPages(t *testing.T) {
	line := func(at int64, id, more string) string {
		return fmt.Sprintf(`{"Time":%d,"LogJson":"{\"SCF_RequestId\":\"%s\",\"SCF_Duration\":\"12\"%s}"}`, at, id, more)
	}
	full := strings.Repeat(line(1795219200500, "aa-1", "")+",", 999) + line(1795219200600, "aa-2", "")
	var queries []string
	responses := []string{}
	for range 10 {
		responses = append(responses, `"Results":[`+full+`],"ListOver":false,"Context":"next"`)
	}
	responses = append(responses, `"Results":[`+line(1795219200700, "cc-1", `,\"SCF_Message\":\"Report RequestId: cc-1 Duration:12ms Memory:256MB MemUsage:3MB\",\"SCF_MemUsage\":2097153.0,\"SCF_StartTime\":1795219200680`)+
		`,`+line(1795219200700, "no id!", "")+`,`+line(1795219200700, "dd-1", `,\"SCF_Duration\":\"NaN\"`)+`],"ListOver":true`)
	got, err := logOf(t, serve(t, searching(&queries, responses...)), unpaced).Executions(t.Context(), "fn", time.UnixMilli(1795219200000), time.UnixMilli(1795219300000))
	if err != nil || len(got) != 10_001 || len(queries) != 11 {
		t.Fatalf("%v: %d executions in %d requests", err, len(got), len(queries))
	}
	start := spillway.InstantOf(time.UnixMilli(1795219200680))
	if want := (spillway.Usage{ProviderID: "cc-1", Started: start, DurationMicros: 12_000, BilledMillis: 12, MemoryMiB: 256, MaxMemoryMiB: 3}); got[10_000] != want {
		t.Errorf("%+v, want %+v", got[10_000], want)
	}
	for i, want := range []string{`"From":1795219200000`, `"Context":"next"`} {
		if !strings.Contains(queries[i], want) || !strings.Contains(queries[i], `SCF_FunctionName:\"fn\"`) {
			t.Errorf("query %d: %s", i, queries[i])
		}
	}
	if last := queries[10]; strings.Contains(last, "Context") || !strings.Contains(last, `"From":1795219200600`) {
		t.Errorf("the query after 10,000 lines: %s", last)
	}
	queries = nil
	h := searching(&queries, `"Results":[],"ListOver":false,"Context":""`)
	if _, err := logOf(t, serve(t, h), unpaced).Executions(t.Context(), "fn", time.UnixMilli(0), time.UnixMilli(1)); err == nil || !strings.Contains(err.Error(), "no end") {
		t.Errorf("a page without end and next: %v", err)
	}
}

// TestExecutionsRefused: errors say what to do, never what an endpoint says.
func TestExecutionsRefused(t *testing.T) {
	for code, says := range map[string]string{
		"UnauthorizedOperation.CAM":         "needs the permission cls:SearchLog",
		"AuthFailure.UnauthorizedOperation": "needs the permission cls:SearchLog",
		"ResourceNotFound.TopicNotExist":    "log topic was deleted",
		"RequestLimitExceeded":              "try again later",
		"FailedOperation.QueryError":        "an index of SCF's fields",
		secret:                              "an error that is not Tencent's",
	} {
		var queries []string
		url := serve(t, searching(&queries, fmt.Sprintf(`"Error":{"Code":%q,"Message":%q}`, code, secret)))
		_, err := logOf(t, url, unpaced).Executions(t.Context(), "fn", time.UnixMilli(0), time.UnixMilli(1))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), secret) || len(queries) != 1 {
			t.Errorf("%s, asked %d times: %v", code, len(queries), err)
		}
	}
	url := serve(t, telling(map[string]string{"GetFunction": `"MemorySize":128,"Timeout":3,`}))
	if _, err := logOf(t, url, unpaced).Executions(t.Context(), "fn", time.UnixMilli(0), time.UnixMilli(1)); err == nil || !strings.Contains(err.Error(), "turn log delivery on") {
		t.Errorf("no topic: %v", err)
	}
	var asked atomic.Int64
	closed := errors.New("closed")
	pace := func(context.Context) error {
		if asked.Add(1) > 1 {
			return closed
		}
		return nil
	}
	var queries []string
	if _, err := logOf(t, serve(t, searching(&queries, `"Results":[]`)), pace).Executions(t.Context(), "fn", time.UnixMilli(0), time.UnixMilli(1)); !errors.Is(err, closed) || len(queries) != 0 {
		t.Errorf("out of turn: %v", err)
	}
}
