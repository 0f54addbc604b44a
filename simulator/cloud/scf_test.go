package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tcerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"
)

// tencent is Tencent's own client of a stand-in.
func tencent(t testing.TB, web *httptest.Server) *api.Client {
	t.Helper()
	p := profile.NewClientProfile()
	p.HttpProfile.Scheme, p.HttpProfile.Endpoint = "HTTP", strings.TrimPrefix(web.URL, "http://")
	c, err := api.NewClient(common.NewCredential(testKey, testSecret), "ap-guangzhou", p)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c.WithHttpTransport(transport)
	return c
}

func serveSCF(t testing.TB, c Config) (*Server, *api.Client) {
	t.Helper()
	c.Provider = SCF
	s, web := serve(t, c)
	return s, tencent(t, web)
}

func invokeSCF(c *api.Client, name, event string) (*api.Result, error) {
	q := api.NewInvokeFunctionRequest()
	q.FunctionName, q.Event, q.LogType = &name, &event, common.StringPtr("Tail")
	out, err := c.InvokeFunction(q)
	if err != nil {
		return nil, err
	}
	return out.Response.Result, nil
}

// codeOf is the code of an API error, also of those that the SDK makes up.
func codeOf(err error) string {
	var e *tcerrors.TencentCloudSDKError
	errors.As(err, &e)
	if e == nil {
		return ""
	}
	return e.Code
}

func TestSCFInvoke(t *testing.T) {
	s, c := serveSCF(t, Config{Functions: []Function{handled("echo", echo), handled("fails", func(context.Context, Event) ([]byte, error) { return nil, errors.New("no luck") })}})
	for _, event := range []string{`{"a": "<&>"}`, `null`, `{"$spillway":{"custom":{"spillway-invocation":"inv-7","spillway-attempt":"2"}},"a":1}`} {
		r, err := invokeSCF(c, "echo", event)
		if err != nil || *r.RetMsg != event || *r.ErrMsg != "" || *r.InvokeResult != 0 || *r.BillDuration < 1 || *r.Duration <= 0 {
			t.Fatalf("%s: %v %+v", event, err, r)
		}
		if !strings.HasPrefix(*r.Log, "START RequestId: "+*r.FunctionRequestId) || !strings.Contains(*r.Log, "Report RequestId: ") {
			t.Errorf("log %q", *r.Log)
		}
	}
	r, err := invokeSCF(c, "fails", `{}`)
	if err != nil || !strings.Contains(*r.ErrMsg, "no luck") || !strings.Contains(*r.RetMsg, `"statusCode":430`) || *r.InvokeResult != 430 {
		t.Fatalf("%v %+v", err, r)
	}
	q := api.NewInvokeRequest()
	q.FunctionName, q.ClientContext, q.InvocationType = common.StringPtr("echo"), common.StringPtr(`[1]`), common.StringPtr("RequestResponse")
	if out, err := c.Invoke(q); err != nil || *out.Response.Result.RetMsg != "[1]" || *out.Response.Result.Log != "" {
		t.Errorf("Invoke: %v %+v", err, out)
	}
	bill := s.Bill()
	if line := bill.Lines[2]; bill.Currency != "CNY" || bill.Executions != 5 || line.Invocation != "inv-7" || line.Attempt != 2 || line.Status != "success" || bill.Lines[3].Status != "error" {
		t.Errorf("%+v", bill)
	}
}

// TestSCFBill rates one execution by hand: 256 MB for 1,760 ms is 0.44 GBs.
func TestSCFBill(t *testing.T) {
	b, err := newBooks(Config{Provider: SCF}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	b.post(Line{BilledMs: 1760, MiB: 256})
	if got, want := b.bill(true), "0.0000502052"; got.Total != want || got.Lines[0].Cost != want || got.Currency != "CNY" {
		t.Errorf("%+v, want %s", got, want) // 0.44 × 0.00011108 + 0.00000133
	}
}

func TestSCFRefuses(t *testing.T) {
	_, c := serveSCF(t, Config{Functions: []Function{{Name: "echo", Namespace: "tools", Handle: echo, Qualifiers: map[string]string{"live": "3", "3": "3"}}}})
	text := func(s string) *string { return &s }
	type request = api.InvokeFunctionRequest
	for name, test := range map[string]struct {
		change func(*request)
		code   string
	}{
		"good":       {func(*request) {}, ""},
		"alias":      {func(r *request) { r.Qualifier = text("live") }, ""},
		"version":    {func(r *request) { r.Qualifier = text("3") }, ""},
		"latest":     {func(r *request) { r.Qualifier = text("$LATEST") }, ""},
		"default":    {func(r *request) { r.Qualifier = text("$DEFAULT") }, ""},
		"routing":    {func(r *request) { r.RoutingKey = text(`{"k":"v"}`) }, ""},
		"no name":    {func(r *request) { r.FunctionName = nil }, "MissingParameter"},
		"odd name":   {func(r *request) { r.FunctionName = text("a b") }, "InvalidParameter.FunctionName"},
		"function":   {func(r *request) { r.FunctionName = text("nobody") }, "ResourceNotFound.Function"},
		"namespace":  {func(r *request) { r.Namespace = nil }, "ResourceNotFound.Function"},
		"qualifier":  {func(r *request) { r.Qualifier = text("4") }, "ResourceNotFound.Qualifier"},
		"log type":   {func(r *request) { r.LogType = text("All") }, "InvalidParameterValue.Param"},
		"bad route":  {func(r *request) { r.RoutingKey = text(`{"k":1}`) }, "InvalidParameterValue.Param"},
		"long route": {func(r *request) { r.RoutingKey = text(`{"k":"` + strings.Repeat("x", 1024) + `"}`) }, "InvalidParameterValue.Param"},
		"not JSON":   {func(r *request) { r.Event = text(`{`) }, "InvalidParameterValue.Param"},
	} {
		q := api.NewInvokeFunctionRequest()
		q.FunctionName, q.Namespace, q.Event = text("echo"), text("tools"), text(`{}`)
		test.change(q)
		if _, err := c.InvokeFunction(q); codeOf(err) != test.code {
			t.Errorf("%s: %.200v, want %q", name, err, test.code)
		}
	}
	q := api.NewInvokeRequest()
	q.FunctionName, q.InvocationType = text("echo"), text("Event")
	if _, err := c.Invoke(q); codeOf(err) != "UnsupportedOperation" {
		t.Errorf("Event: %v", err)
	}
	if _, err := c.ListFunctions(api.NewListFunctionsRequest()); codeOf(err) != "InvalidAction" {
		t.Errorf("another action: %v", err)
	}
}

func FuzzSCFRequest(f *testing.F) {
	s, err := New(Config{Provider: SCF, Keys: map[string]string{testKey: testSecret}, Functions: []Function{handled("echo", echo)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Add("InvokeFunction", []byte(`{"FunctionName":"echo","Event":"{}","LogType":"Tail","RoutingKey":"{\"k\":\"v\"}"}`))
	f.Add("Invoke", []byte(`{"FunctionName":"echo","ClientContext":"{\"$spillway\":{\"custom\":{\"spillway-attempt\":\"x\"}},\"a\":1}","InvocationType":"RequestResponse"}`))
	f.Add("Invoke", []byte(`{"FunctionName":1}{}`))
	f.Fuzz(func(t *testing.T, action string, body []byte) {
		q, refused := s.front.(*scfFront).parse(action, body)
		if refused == nil && (q.call.function == nil || !json.Valid(q.call.payload)) {
			t.Errorf("%q became %+v", body, q)
		}
	})
}

// TestSCFWire speaks to the stand-in without an SDK.
func TestSCFWire(t *testing.T) {
	_, web := serve(t, Config{Provider: SCF, Functions: []Function{handled("echo", echo)}})
	const body = `{"FunctionName":"echo"}`
	for name, c := range map[string]struct {
		change func(*http.Request)
		says   string
	}{
		"good":    {func(*http.Request) {}, `"RetMsg":"{}"`},
		"get":     {func(r *http.Request) { r.Method = http.MethodGet }, "InvalidRequest"},
		"path":    {func(r *http.Request) { r.URL.Path = "/x" }, "InvalidRequest"},
		"type":    {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, "InvalidRequest"},
		"version": {func(r *http.Request) { r.Header.Set("X-TC-Version", "2017-03-12") }, "NoSuchVersion"},
		"region":  {func(r *http.Request) { r.Header.Set("X-TC-Region", "ap-beijing") }, "UnsupportedRegion"},
		"unknown": {func(r *http.Request) {
			const odd = `{"FunctionName":"echo","Odd":1}`
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(odd)), int64(len(odd))
			signTC3(r, odd, r.Host, testKey, testSecret, time.Now(), "content-type", "host")
		}, "UnknownParameter"},
		"types": {func(r *http.Request) {
			const odd = `{"FunctionName":7}`
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(odd)), int64(len(odd))
			signTC3(r, odd, r.Host, testKey, testSecret, time.Now(), "content-type", "host")
		}, `"Code":"InvalidParameter"`},
	} {
		answer, text := post(t, web, body, c.change)
		if answer.StatusCode != http.StatusOK || !strings.Contains(string(text), c.says) || !strings.Contains(string(text), `"RequestId":"`) {
			t.Errorf("%s: %d %.300s", name, answer.StatusCode, text)
		}
	}
}

// post sends a signed InvokeFunction, without an SDK; change may be nil.
func post(t testing.TB, web *httptest.Server, body string, change func(*http.Request)) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, web.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = strings.TrimPrefix(web.URL, "http://")
	for header, value := range map[string]string{"Content-Type": "application/json", "X-TC-Action": "InvokeFunction", "X-TC-Version": scfVersion, "X-TC-Region": "ap-guangzhou"} {
		r.Header.Set(header, value)
	}
	signTC3(r, body, "127.0.0.1", testKey, testSecret, time.Now(), "content-type", "host")
	if change != nil {
		change(r)
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, text
}

// TestSCFSizes: an event may have 6 MiB, and a request 10 MiB.
func TestSCFSizes(t *testing.T) {
	_, web := serve(t, Config{Provider: SCF, Functions: []Function{handled("echo", func(context.Context, Event) ([]byte, error) { return []byte("1"), nil })}})
	for name, c := range map[string]struct{ event, says string }{
		"6 MiB":     {`\"` + strings.Repeat("x", 6<<20-2) + `\"`, `"RetMsg":"1"`},
		"too large": {`\"` + strings.Repeat("x", 6<<20-1) + `\"`, "InvalidParameter.RequestTooLarge"},
		"10 MiB":    {strings.Repeat(`\n`, 5<<20), "RequestSizeLimitExceeded"},
	} {
		if _, text := post(t, web, `{"FunctionName":"echo","Event":"`+c.event+`"}`, nil); !strings.Contains(string(text), c.says) {
			t.Errorf("%s: %.200s", name, text)
		}
	}
}

// TestSCFReplySize: a function may answer 6 MiB.
func TestSCFReplySize(t *testing.T) {
	reply := 6 << 20
	s, web := serve(t, Config{Provider: SCF, Functions: []Function{handled("echo", func(context.Context, Event) ([]byte, error) {
		return []byte(strings.Repeat("1", reply)), nil
	})}})
	if _, text := post(t, web, `{"FunctionName":"echo"}`, nil); len(text) < reply {
		t.Errorf("%.200s", text)
	}
	reply++
	if _, text := post(t, web, `{"FunctionName":"echo"}`, nil); !strings.Contains(string(text), `\"statusCode\":407`) {
		t.Errorf("%.200s", text)
	}
	if lines := s.Bill().Lines; len(lines) != 2 || lines[1].Status != "error" {
		t.Errorf("%+v", lines)
	}
}
