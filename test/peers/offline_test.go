package peers

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/internal/freeport"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/lambda"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

// TestServerlessOffline runs our Lambda pool against another's stand-in of Lambda.
// It checks no signatures and gives no request ids, logs or versions.
func TestServerlessOffline(t *testing.T) {
	endpoint := serverlessOffline(t)
	t.Run("as it is", func(t *testing.T) { withoutIDs(t, lambdaPool(t, endpoint)) })
	t.Run("too large", func(t *testing.T) { tooLarge(t, endpoint) })
	t.Run("with request ids", func(t *testing.T) { withIDs(t, lambdaPool(t, identified(t, endpoint))) })
}

// serverlessOffline starts it with the service in testdata. It takes no port 0, so
// its ports are chosen here.
func serverlessOffline(t *testing.T) string {
	t.Helper()
	command := npm(t, "serverless/bin/serverless.js")
	npm(t, "serverless-offline/package.json")
	dir := testbed.OpenDir(t)
	for _, name := range []string{"serverless.yml", "handler.js"} {
		text, err := os.ReadFile(filepath.Join("testdata/serverless", name))
		must(t, err)
		write(t, filepath.Join(dir, name), string(text), 0o644)
	}
	must(t, os.Symlink(npm(t, ""), filepath.Join(dir, "node_modules")))
	ports := freeport.Of(t, 4)
	cmd := exec.Command(onPath(t, "node"), command, "offline", "start", "--host", "127.0.0.1",
		"--lambdaPort", ports[0], "--httpPort", ports[1], "--websocketPort", ports[2], "--albPort", ports[3])
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SLS_TELEMETRY_DISABLED=1", "SLS_NOTIFICATIONS_MODE=off",
		"AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y"}
	start(t, cmd, `Offline \[http for lambda\] listening on (\S+)`)
	return "http://127.0.0.1:" + ports[0]
}

// identified relays to the endpoint and adds the request ids that it does not give.
func identified(t *testing.T, endpoint string) string {
	t.Helper()
	target, err := url.Parse(endpoint)
	must(t, err)
	transport := &http.Transport{}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("X-Amzn-RequestId", uuid.NewString())
			return nil
		},
	})
	t.Cleanup(func() { s.Close(); transport.CloseIdleConnections() })
	return s.URL
}

func lambdaPool(t *testing.T, endpoint string) *lambda.Pool {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	write(t, file, credentials(), 0o600)
	p, err := lambda.New(t.Context(), &spillway.Pool{Name: "lambda", Kind: spillway.PoolLambda, Region: region, InitTimeout: 30 * time.Second,
		Lambda: spillway.LambdaEndpoint{Endpoint: endpoint, CredentialsFrom: "file:" + file}})
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

// send runs one attempt of a function of the service, which is called SERVICE-STAGE-NAME.
func send(t *testing.T, p *lambda.Pool, name, payload string) pools.Result {
	t.Helper()
	f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "peers", Name: name}, Timeout: 20 * time.Second}
	f.Bindings[0] = spillway.Binding{Name: "peers-dev-" + name, Qualifier: "live", MiB: 1024, Timeout: 20 * time.Second}
	return p.Invoke(t.Context(), pools.Request{Invocation: uuid.NewString(), Attempt: 1, Function: f, Payload: []byte(payload),
		ClientContext: `{"custom":{"order":"7"}}`, LogTail: true, Deadline: time.Now().Add(time.Minute)})
}

// withoutIDs: a 200 without a request id is not Lambda's, so the pool does not
// believe it. Refusals need none.
func withoutIDs(t *testing.T, p *lambda.Pool) {
	r := send(t, p, "probe", `{"n":1}`)
	if r.Outcome.Class != spillway.Unknown || r.Outcome.Cause != spillway.CauseProvider || !strings.Contains(r.Outcome.Detail, "request id") {
		t.Errorf("an answer without a request id: %+v", r.Outcome)
	}
	r = send(t, p, "nothing", `{}`)
	if r.Outcome.Class != spillway.NotExecuted || r.Outcome.Cause != spillway.CauseRejected || !strings.Contains(r.Outcome.Detail, "404 ResourceNotFoundException") {
		t.Errorf("an unknown function: %+v", r.Outcome)
	}
}

func withIDs(t *testing.T, p *lambda.Pool) {
	for name, test := range map[string]struct {
		function, payload, want string // want: part of the answer
		failed                  spillway.FunctionError
	}{
		"success":        {"probe", `{"n":1,"text":"日本"}`, `{"n":1,"text":"日本"}`, spillway.FunctionOK},
		"client context": {"probe", `{"do":"context"}`, `"order":"7"`, spillway.FunctionOK},
		"throw":          {"probe", `{"do":"fail","text":"no such order"}`, "no such order", spillway.FunctionUnhandled},
		// Lambda says "Task timed out after 1.00 seconds", which is what the pool knows.
		"timeout": {"hasty", `{"do":"hang"}`, "Lambda timeout", spillway.FunctionUnhandled},
	} {
		t.Run(name, func(t *testing.T) {
			r := send(t, p, test.function, test.payload)
			o := r.Outcome
			if o.Class != spillway.Executed || o.Cause != spillway.CauseNone || o.FunctionError != test.failed || !strings.Contains(string(r.Payload), test.want) {
				t.Errorf("got %s and %+v", r.Payload, o)
			}
			if !o.Usage.Estimated || o.Usage.BilledMillis < 1 || o.Usage.MemoryMiB != 1024 || len(r.LogTail)+len(r.ExecutedVersion) > 0 {
				t.Errorf("it gives no log and no version, so usage is estimated: %+v", o.Usage)
			}
		})
	}
	t.Run("6 MiB", func(t *testing.T) {
		event := `"` + strings.Repeat("x", pools.MaxPayload-2) + `"`
		if r := send(t, p, "probe", event); r.Outcome.Class != spillway.Executed || string(r.Payload) != event {
			t.Errorf("got %d bytes and %+v", len(r.Payload), r.Outcome)
		}
	})
}

// tooLarge: both refuse an event over 6 MiB; the pool before it is sent.
func tooLarge(t *testing.T, endpoint string) {
	event := `"` + strings.Repeat("x", pools.MaxPayload-1) + `"`
	r := send(t, lambdaPool(t, endpoint), "probe", event)
	if r.Outcome.Class != spillway.NotExecuted || r.Outcome.Cause != spillway.CauseRejected || strings.Contains(r.Outcome.Detail, "answered") {
		t.Errorf("the pool: %+v", r.Outcome)
	}
	resp, err := http.Post(endpoint+"/2015-03-31/functions/peers-dev-probe/invocations", "application/json", strings.NewReader(event))
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("the peer answered %d", resp.StatusCode)
	}
}
