package peers

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/scf"
)

const (
	scfRegion = "ap-guangzhou"
	scfID     = "AKIDPEERSCALLER00001"
)

// scfAccount is a stand-in account with the probe under the shim, and SHELL, a
// custom runtime that is not ours.
const scfAccount = `provider: scf
region: ` + scfRegion + `
keys: [{id: ` + scfID + `, secret: ` + secret + `}]
functions:
  - {name: probe, dir: DIR/scf, command: [bootstrap], qualifiers: {live: "1"}, timeout: 20s}
  - {name: shut, dir: DIR/scf, command: [bootstrap], reserved: 0}
  - {name: shell, dir: SHELL, command: [bootstrap], memory: 256, timeout: 20s}
  - {name: hasty, dir: SHELL, command: [bootstrap], timeout: 5s}
`

// scfStandIn runs it and returns the address of its API.
func scfStandIn(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"bash", "curl", "awk"} {
		onPath(t, program)
	}
	shell, err := filepath.Abs("testdata/scf")
	must(t, err)
	api, _ := standIn(t, strings.ReplaceAll(scfAccount, "SHELL", shell))
	return api
}

// scfCall is one call of Tencent's Node SDK; what is empty is as it should be.
type scfCall struct {
	Endpoint string         `json:"endpoint"`
	Region   string         `json:"region"`
	ID       string         `json:"id"`
	Key      string         `json:"key"`
	Action   string         `json:"action"`
	Params   map[string]any `json:"params"`
}

// scfAnswer is what the SDK made of the answer: a result or an error.
type scfAnswer struct {
	Result                   *scfResult
	Code, Message, RequestID string
}

type scfResult struct {
	Log, RetMsg, ErrMsg, FunctionRequestID string
	MemUsage, Duration                     float64
	BillDuration, InvokeResult             int
}

// invokeFunction is a call with an Event, and with pairs of further parameters.
func invokeFunction(name, event string, more ...string) scfCall {
	return scfParams("InvokeFunction", "Event", name, event, more)
}

// invoke is a call with a ClientContext, which is the event of that action.
func invoke(name, event string, more ...string) scfCall {
	return scfParams("Invoke", "ClientContext", name, event, more)
}

func scfParams(action, field, name, event string, more []string) scfCall {
	params := map[string]any{"FunctionName": name, field: event}
	for i := 0; i+1 < len(more); i += 2 {
		params[more[i]] = more[i+1]
	}
	return scfCall{Action: action, Params: params}
}

func (c scfCall) as(id, key string) scfCall {
	c.ID, c.Key = id, key
	return c
}

func (c scfCall) in(region string) scfCall {
	c.Region = region
	return c
}

// nodeSDK makes the calls with tencentcloud-sdk-nodejs-scf.
func nodeSDK(t *testing.T, api string, calls []scfCall) []scfAnswer {
	t.Helper()
	npm(t, "tencentcloud-sdk-nodejs-scf/package.json")
	for i := range calls {
		c := &calls[i]
		c.Endpoint = strings.Replace(api, "http://127.0.0.1", "scf.localhost", 1)
		for field, usual := range map[*string]string{&c.Region: scfRegion, &c.ID: scfID, &c.Key: secret} {
			if *field == "" {
				*field = usual
			}
		}
	}
	in, err := json.Marshal(calls)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), onPath(t, "node"), "testdata/scf/client.js")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NODE_PATH=" + npm(t, "")}
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	must(t, err)
	var answers []scfAnswer
	must(t, json.Unmarshal(out, &answers))
	if len(answers) != len(calls) {
		t.Fatalf("%d answers to %d calls", len(answers), len(calls))
	}
	return answers
}

// TestTencentNodeSDK drives the stand-in with a client that is not ours.
func TestTencentNodeSDK(t *testing.T) {
	npm(t, "tencentcloud-sdk-nodejs-scf/package.json")
	api := scfStandIn(t)
	t.Run("results", func(t *testing.T) { scfResults(t, api) })
	t.Run("errors", func(t *testing.T) { scfErrors(t, api) })
}

func scfResults(t *testing.T, api string) {
	event := `{"n":1,"text":"日本 <&>"}`
	tests := []struct {
		name     string
		call     scfCall
		ret, err string // parts of RetMsg and ErrMsg; no ErrMsg if empty
		log      string // part of Log; none if empty
	}{
		{"InvokeFunction", invokeFunction("probe", event), event, "", ""},
		{"Invoke", invoke("probe", event, "InvocationType", "RequestResponse"), event, "", ""},
		{"qualifier", invokeFunction("probe", event, "Qualifier", "live", "Namespace", "default"), event, "", ""},
		{"tail", invokeFunction("probe", `{"do":"log","text":"written last"}`, "LogType", "Tail"), "written last", "", "\nwritten last\n"},
		{"error", invokeFunction("probe", `{"do":"fail","text":"no such order"}`), "430", "no such order", ""},
		{"exit", invokeFunction("shell", `{"do":"exit"}`), "439", "exit", ""},
		{"timeout", invokeFunction("hasty", `{"do":"hang"}`), "433", "timed out after 5 seconds", ""},
		{"over its quota", invoke("shut", "{}"), "432", "ResourceLimitReached", ""},
	}
	var calls []scfCall
	for _, test := range tests {
		calls = append(calls, test.call)
	}
	for i, a := range nodeSDK(t, api, calls) {
		test, r := tests[i], a.Result
		if r == nil {
			t.Errorf("%s: got %+v", test.name, a)
			continue
		}
		failed := test.err != ""
		if !strings.Contains(r.RetMsg, test.ret) || !strings.Contains(r.ErrMsg, test.err) || failed != (r.ErrMsg != "") || failed != (r.InvokeResult != 0) ||
			!strings.Contains(r.Log, test.log) || (test.log == "") != (r.Log == "") {
			t.Errorf("%s: got %+v", test.name, *r)
		}
		if test.name != "over its quota" && (r.Duration <= 0 || float64(r.BillDuration) < r.Duration || r.FunctionRequestID == "") {
			t.Errorf("%s: measured %+v", test.name, *r)
		}
	}
}

func scfErrors(t *testing.T, api string) {
	tests := map[string]scfCall{
		"AuthFailure.SignatureFailure":     invokeFunction("probe", "{}").as(scfID, "wrong"),
		"AuthFailure.SecretIdNotFound":     invokeFunction("probe", "{}").as("AKIDNOBODY0000000001", secret),
		"UnsupportedRegion":                invokeFunction("probe", "{}").in("ap-shanghai"),
		"ResourceNotFound.Function":        invokeFunction("nothing", "{}"),
		"ResourceNotFound.Qualifier":       invokeFunction("probe", "{}", "Qualifier", "nine"),
		"LimitExceeded.Quota":              invokeFunction("shut", "{}"),
		"InvalidParameter.RequestTooLarge": invokeFunction("probe", `"`+strings.Repeat("x", maxPayload)+`"`),
		"InvalidAction":                    {Action: "ListFunctions", Params: map[string]any{}},
		"UnsupportedOperation":             invoke("probe", "{}", "InvocationType", "Event"),
	}
	var codes []string
	var calls []scfCall
	for code, c := range tests {
		codes, calls = append(codes, code), append(calls, c)
	}
	for i, a := range nodeSDK(t, api, calls) {
		if a.Code != codes[i] || a.Message == "" || a.RequestID == "" {
			t.Errorf("want %s, got %+v", codes[i], a)
		}
	}
}

// TestShellRuntime runs a custom runtime in the shell on the stand-in, called by our
// own pool.
func TestShellRuntime(t *testing.T) {
	p := scfPool(t, scfStandIn(t))
	for name, test := range map[string]struct {
		function, payload, want string
		cause                   spillway.Cause
		failed                  spillway.FunctionError
	}{
		"success": {"shell", `{"n":1,"text":"日本"}`, `"memory":"256","limit":"20000","event":{"n":1,"text":"日本"}`, spillway.CauseNone, spillway.FunctionOK},
		"again":   {"shell", `{"do":"again"}`, `"event":{"do":"again"}`, spillway.CauseNone, spillway.FunctionOK},
		"error":   {"shell", `{"do":"fail"}`, "no such order", spillway.CauseNone, spillway.FunctionUnhandled},
		"exit":    {"shell", `{"do":"exit"}`, "exit", spillway.CauseCrashed, spillway.FunctionUnhandled},
		"timeout": {"hasty", `{"do":"hang"}`, "timed out", spillway.CauseTimeout, spillway.FunctionUnhandled},
	} {
		t.Run(name, func(t *testing.T) {
			r := sendSCF(t, p, test.function, test.payload, "")
			if o := r.Outcome; o.Class != spillway.Executed || o.Cause != test.cause || o.FunctionError != test.failed || !strings.Contains(string(r.Payload), test.want) {
				t.Errorf("got %s and %+v", r.Payload, o)
			}
			if !strings.Contains(string(r.LogTail), "event of ") {
				t.Errorf("log %q", r.LogTail)
			}
			if u := r.Outcome.Usage; u.Estimated || u.BilledMillis < 1 {
				t.Errorf("usage %+v", u)
			}
		})
	}
}

func scfPool(t *testing.T, api string) *scf.Pool {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	write(t, file, "[default]\nsecret_id = "+scfID+"\nsecret_key = "+secret+"\n", 0o600)
	p, err := scf.New(t.Context(), &spillway.Pool{Name: "scf", Kind: spillway.PoolSCF, Region: scfRegion, InitTimeout: 10 * time.Second,
		SCF: spillway.SCFEndpoint{Endpoint: api, CredentialsFrom: "file:" + file}})
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

// sendSCF runs one attempt, with a client context if there is one.
func sendSCF(t *testing.T, p *scf.Pool, name, payload, context string) pools.Result {
	t.Helper()
	f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "peers", Name: name}, Timeout: 20 * time.Second}
	f.Bindings[0] = spillway.Binding{Name: name, MiB: 256, Timeout: 20 * time.Second}
	return p.Invoke(t.Context(), pools.Request{Invocation: uuid.NewString(), Attempt: 1, Function: f, Payload: []byte(payload),
		ClientContext: context, LogTail: true, Deadline: time.Now().Add(time.Minute)})
}
