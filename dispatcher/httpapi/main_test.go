package httpapi

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/auth/sigv4"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

// net/http lingers for half a second on a connection that it ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

var (
	_ Invoker       = (*server.Server)(nil)
	_ Explainer     = (*server.Server)(nil)
	_ Authenticator = (*auth.Authenticator)(nil)
)

const (
	testKey     = "AKIDEXAMPLE"
	testSecret  = "0123456789abcdef-secret"
	testToken   = "0123456789abcdef-token"
	narrowToken = "0123456789abcdef-narrow"
	pageToken   = "0123456789abcdef-paged"
	testID      = "01934d3e-0000-7000-8000-000000000001"
)

// script is an Invoker that answers as told and remembers what it was asked.
type script struct {
	answer func(n int, ask server.Ask) (*server.Answer, error) // n from 1

	mu       sync.Mutex
	asks     []server.Ask
	previews []server.Ask
}

// Contract makes functions named page web functions.
func (s *script) Contract(key spillway.FunctionKey) (spillway.Contract, error) {
	if key.Name == "page" {
		return spillway.ContractHTTP, nil
	}
	return spillway.ContractLambda, nil
}

func (s *script) Invoke(_ context.Context, ask server.Ask) (*server.Answer, error) {
	s.mu.Lock()
	s.asks = append(s.asks, ask)
	n := len(s.asks)
	s.mu.Unlock()
	return s.answer(n, ask)
}

func (s *script) Preview(_ context.Context, ask server.Ask) (*server.Answer, error) {
	s.mu.Lock()
	s.previews = append(s.previews, ask)
	n := len(s.previews)
	s.mu.Unlock()
	return s.answer(n, ask)
}

func (s *script) ran() []server.Ask {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]server.Ask(nil), s.asks...)
}

// always answers every call alike.
func always(a *server.Answer, err error) *script {
	return &script{answer: func(int, server.Ask) (*server.Answer, error) { return a, err }}
}

// executed is the answer of a call that ran on premises.
func executed(payload string) *server.Answer {
	d := &dispatcher.Decision{Tries: 1, Reason: spillway.ReasonPreferred}
	d.Attempts[0].Outcome.Class = spillway.Executed
	return &server.Answer{Decision: d, Payload: []byte(payload), ExecutedVersion: "v1", Explanation: &dispatcher.Explanation{
		Invocation: testID, Function: "web/resize", Outcome: "executed", Pool: "onprem", Reason: spillway.ReasonPreferred}}
}

func functionFailed(kind spillway.FunctionError) *server.Answer {
	a := executed(`{"errorType":"Boom","errorMessage":"bad"}`)
	a.FunctionError = kind
	return a
}

func unknownAnswer() *server.Answer {
	a := executed("")
	a.Decision.Attempts[0].Outcome.Class = spillway.Unknown
	a.Explanation.Outcome = "unknown"
	return a
}

func refusal(r spillway.Reason, l spillway.Limit) *server.Answer {
	return &server.Answer{
		Decision: &dispatcher.Decision{Refusal: r, Limit: l, Pool: -1},
		Explanation: &dispatcher.Explanation{Invocation: testID, Function: "web/resize", Outcome: "refused", Reason: r,
			Limit: &dispatcher.LimitText{Kind: l.Kind, Reads: l.String()},
			Pools: []dispatcher.PoolText{{Name: "cloud", Filter: "excluded", Detail: "burst is denied"}}},
	}
}

func authenticator(t testing.TB, anonymous bool) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(auth.Config{
		Keys: []auth.Key{{AccessKeyID: testKey, Secret: testSecret, Identity: auth.Identity{Name: "signer", Invoke: []string{"web/*"}}}},
		Tokens: []auth.Token{
			{Token: testToken, Identity: auth.Identity{Name: "bearer", Invoke: []string{"*"}}},
			{Token: narrowToken, Identity: auth.Identity{Name: "narrow", Invoke: []string{"web/resize"}}},
			{Token: pageToken, Identity: auth.Identity{Name: "paged", Invoke: []string{"web/page"}}},
		},
		SigV4: sigv4.New("", "lambda"), Anonymous: anonymous,
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// door is a running front door.
type door struct {
	front    *Front
	registry *prometheus.Registry
	addr     string
	client   *http.Client
	server   *http.Server
}

// settle waits until every handler has returned, which is after its answer.
func (d *door) settle(t testing.TB) {
	t.Helper()
	if err := d.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, s Invoker) *door {
	return openWith(t, s, func(*Config) {}, func(*http.Server) {})
}

func openWith(t testing.TB, s Invoker, configure func(*Config), limit func(*http.Server)) *door {
	t.Helper()
	registry := prometheus.NewRegistry()
	c := Config{Server: s, Auth: authenticator(t, false), Registerer: registry}
	configure(&c)
	front, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	l, err := plain.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	httpServer := front.Server()
	limit(httpServer)
	done := make(chan struct{})
	go func() { defer close(done); _ = httpServer.Serve(front.Listen(l)) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = httpServer.Close()
		<-done
	})
	return &door{front, registry, l.Addr().String(), &http.Client{Transport: transport}, httpServer}
}

// sdk is an unmodified client whose retries do not wait.
func (d *door) sdk(change ...func(*lambda.Options)) *lambda.Client {
	o := lambda.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String("http://" + d.addr + "/namespaces/web"),
		Credentials: credentials.NewStaticCredentialsProvider(testKey, testSecret, ""), HTTPClient: d.client,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	}
	return lambda.New(o, change...)
}

// post sends a request with the wide token to a path and returns the answer with
// its body read.
func (d *door) post(t *testing.T, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	return d.do(t, http.MethodPost, path, body, append([]string{"Authorization", "Bearer " + testToken}, headers...)...)
}

func (d *door) do(t *testing.T, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := d.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}
