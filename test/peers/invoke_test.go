package peers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const maxPayload = 6 << 20

// lambdaAccount is a stand-in account with the probe, under several names.
const lambdaAccount = `region: us-east-1
keys: [{id: ` + keyID + `, secret: ` + secret + `}]
functions:
  - {name: probe, dir: DIR/probe, command: [bootstrap], qualifiers: {v1: "1"}, timeout: 20s}
  - {name: hasty, dir: DIR/probe, command: [bootstrap], timeout: 1s}
  - {name: unstarted, dir: DIR/probe, command: [bootstrap], env: {PROBE_START: exit}}
  - {name: shut, dir: DIR/probe, command: [bootstrap], reserved: 0}
`

// door is an endpoint that speaks the Invoke API.
type door struct {
	url     string
	shut    string // endpoint of the function shut, which is over its quota
	version string // what the qualifier v1 means
	denied  call   // a call that is authenticated and not allowed
}

// TestInvoke sends the same calls with clients of AWS's to the front door and to the
// stand-in: both must look like Lambda.
func TestInvoke(t *testing.T) {
	api, _ := standIn(t, lambdaAccount)
	front := up(t, functionObject("probe", "peers", "DIR/probe", "20s", "")+
		functionObject("hasty", "peers", "DIR/probe", "1s", "")+
		functionObject("unstarted", "peers", "DIR/probe", "1s", "  env: {PROBE_START: exit}\n")+
		functionObject("shut", "shut", "DIR/probe", "1s", "  maxWait: 0s\n")+`---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: shut}
spec: {namespaces: [shut], nominal: {onPrem: {slots: 0}}}
`)
	doors := map[string]door{
		"front door": {url: front + "/namespaces/peers", shut: front + "/namespaces/shut", version: "v1",
			denied: call{function: "probe", payload: "{}", keyID: otherID}},
		"stand-in": {url: api, shut: api, version: "1",
			denied: call{function: "arn:aws:lambda:us-east-1:999999999999:function:probe", payload: "{}"}},
	}
	for client, invoke := range map[string]client{"sdk": sdk, "awscli": awscli} {
		t.Run(client, func(t *testing.T) {
			if client == "awscli" {
				debianAWS(t)
			}
			for name, d := range doors {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					t.Run("answers", func(t *testing.T) { d.answers(t, invoke) })
					t.Run("function errors", func(t *testing.T) { d.functionErrors(t, invoke) })
					t.Run("refusals", func(t *testing.T) { d.refusals(t, invoke) })
				})
			}
		})
	}
}

func (d door) answers(t *testing.T, invoke client) {
	event := `{"n":1,"text":"日本 <&>","list":[null,1.5e3]}`
	want := reply{status: 200, payload: event, version: d.version}
	for name, function := range map[string]call{
		"qualifier":   {function: "probe", qualifier: "v1", payload: event},
		"in the name": {function: "probe:v1", payload: event},
	} {
		if got := invoke(t, d.url, function); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	if got := invoke(t, d.url, call{function: "probe", kind: "DryRun", payload: `{"do":"exit"}`}); got.status != 204 || got.payload+got.refused != "" {
		t.Errorf("dry run: got %+v", got)
	}
	got := invoke(t, d.url, call{function: "probe", context: `{"custom":{"order":"7"}}`, payload: `{"do":"context"}`})
	if got.status != 200 || !strings.Contains(got.payload, `"order":"7"`) {
		t.Errorf("client context: got %+v", got)
	}
	got = invoke(t, d.url, call{function: "probe", tail: true, payload: `{"do":"log","bytes":5000,"text":"written last"}`})
	if got.status != 200 || len(got.log) > 4<<10 || !strings.Contains(got.log, "written last") || !strings.Contains(got.log, "\nREPORT RequestId: ") {
		t.Errorf("log: got %+v", got)
	}
	largest := `"` + strings.Repeat("x", maxPayload-2) + `"`
	if got := invoke(t, d.url, call{function: "probe", payload: largest}); got.status != 200 || got.payload != largest {
		t.Errorf("6 MiB each way: got %d and %d bytes, %s", got.status, len(got.payload), got.refused)
	}
}

func (d door) functionErrors(t *testing.T, invoke client) {
	held := oracle(t)
	for name, test := range map[string]struct {
		call
		says string
	}{
		"error":    {call{function: "probe", payload: `{"do":"fail","text":"no such order"}`}, "no such order"},
		"no start": {call{function: "unstarted", payload: "{}"}, `"errorType":"Runtime.ExitError"`},
		"exit":     {call{function: "probe", payload: `{"do":"exit"}`}, `"errorType":"Runtime.ExitError"`},
		"timeout":  {call{function: "hasty", payload: `{"do":"hang"}`, context: held}, "Task timed out after 1.00 seconds"},
		"too long": {call{function: "probe", payload: fmt.Sprintf(`{"do":"big","bytes":%d}`, maxPayload+1)}, "Function.ResponseSizeTooLarge"},
	} {
		got := invoke(t, d.url, test.call)
		if got.status != 200 || got.functionError != "Unhandled" || !strings.Contains(got.payload, test.says) {
			t.Errorf("%s: got %+v, want it to say %q", name, got, test.says)
		}
	}
}

func (d door) refusals(t *testing.T, invoke client) {
	for name, test := range map[string]struct {
		at string
		call
		code   string
		status int
	}{
		"no such function":  {d.url, call{function: "nothing", payload: "{}"}, "ResourceNotFoundException", 404},
		"no such qualifier": {d.url, call{function: "probe", qualifier: "v9", payload: "{}"}, "ResourceNotFoundException", 404},
		"not JSON":          {d.url, call{function: "probe", payload: "{"}, "InvalidRequestContentException", 400},
		"too large":         {d.url, call{function: "probe", payload: `"` + strings.Repeat("x", maxPayload) + `"`}, "RequestTooLargeException", 413},
		"asynchronous":      {d.url, call{function: "probe", kind: "Event", payload: "{}"}, "InvalidParameterValueException", 400},
		"throttled":         {d.shut, call{function: "shut", payload: "{}"}, "TooManyRequestsException", 429},
		"denied":            {d.url, d.denied, "AccessDeniedException", 403},
		"wrong secret":      {d.url, call{function: "probe", payload: "{}", secret: "wrong"}, "InvalidSignatureException", 403},
		"unknown key":       {d.url, call{function: "probe", payload: "{}", keyID: strangeID}, "UnrecognizedClientException", 403},
	} {
		got := invoke(t, test.at, test.call)
		if got.refused != test.code || got.status != 0 && got.status != test.status {
			t.Errorf("%s: got %+v, want %d %s", name, got, test.status, test.code)
		}
	}
}

// oracle is what the probe reports to and hangs on, as a client context.
func oracle(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-r.Context().Done() // the probe was killed
		}
	}))
	t.Cleanup(s.Close)
	return `{"custom":{"oracle":"` + s.URL + `"}}`
}

// TestNotRepeated has clients that repeat what failed call functions that are in the
// cloud only. What may have run, and what no money is left for, must not be repeated.
func TestNotRepeated(t *testing.T) {
	api, admin := standIn(t, lambdaAccount)
	away := `  burst: allow
  burstPolicy: away
  cloud: [{pool: lambda, function: probe, timeout: 20s}]
`
	front := up(t, functionObject("probe", "peers", "DIR/probe", "20s", away)+functionObject("probe", "shut", "DIR/probe", "20s", away)+
		fmt.Sprintf(cloudObjects, api))
	for name, invoke := range map[string]client{"sdk": sdk, "awscli": awscli} {
		t.Run(name, func(t *testing.T) {
			before := executions(t, admin)
			spoil(t, admin, map[string]any{"kind": "reset_after", "count": 1})
			got := invoke(t, front+"/namespaces/peers", call{function: "probe", payload: `{"n":1}`, repeat: true})
			if got.status != 200 || got.functionError != "Unhandled" || !strings.Contains(got.payload, "Spillway.OutcomeUnknown") {
				t.Errorf("a lost answer: got %+v", got)
			}
			got = invoke(t, front+"/namespaces/shut", call{function: "probe", payload: `{"n":1}`, repeat: true})
			if got.refused != "Spillway.BudgetExceeded" || got.status != 0 && got.status != 402 {
				t.Errorf("no money: got %+v", got)
			}
			if n := executions(t, admin) - before; n != 1 {
				t.Errorf("the cloud ran %d calls, want 1", n)
			}
			got = invoke(t, front+"/namespaces/peers", call{function: "probe", payload: `{"n":2}`, repeat: true})
			if got.status != 200 || got.payload != `{"n":2}` {
				t.Errorf("afterwards: got %+v", got)
			}
		})
	}
}

// cloudObjects are a Lambda pool with an endpoint, a policy that uses nothing else,
// and money for one of two namespaces.
const cloudObjects = `---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: lambda}
spec: {kind: lambda, region: us-east-1, lambda: {endpoint: %q, credentials: {file: credentials}}}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: away}
spec: {mode: CloudOnly, order: [lambda]}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: peers}
spec: {namespaces: [peers], budgets: [{window: day, amount: "10", currency: USD, atLimit: reject}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: shut}
spec: {namespaces: [shut], budgets: [{window: day, amount: "0", currency: USD, atLimit: reject}]}
`
