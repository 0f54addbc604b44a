// Package scf runs attempts on Tencent Serverless Cloud Function, through its SDK
// with every retry turned off: whether an attempt may be repeated is the Engine's
// decision.
//
// The API has no place for a Lambda client context, so an attempt that has one
// carries it inside the event, as package agent/scf/envelope says; the shim that
// runs Lambda binaries on SCF takes it out again. A function written for SCF gets
// an event that is an object with one more field, "$spillway".
//
// The API answers within 300 s, whatever the time limit of the function: an
// execution that takes longer ends Unknown here.
package scf

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/scf/envelope"
	"github.com/spillway-dev/spillway/pools"
)

// slack is added to the provider's own time limits: the way there and back.
const slack = 2 * time.Second

// Pool is one account and region of SCF. It is safe for concurrent use.
type Pool struct {
	index     int
	init      time.Duration
	namespace string
	client    *api.Client
	http      *http.Transport
}

// New returns a pool for p. Credentials are read where p says: "environment" is
// TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, "file:PATH" a file with
// secret_id and secret_key under [default]. It does not connect.
func New(_ context.Context, p *spillway.Pool) (*Pool, error) {
	key, err := readCredentials(p.SCF.CredentialsFrom)
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", p.Name, err)
	}
	settings := profile.NewClientProfile()
	settings.HttpProfile.ReqTimeout = 0 // none: each call brings its own deadline
	settings.NetworkFailureMaxRetries, settings.RateLimitExceededMaxRetries = 0, 0
	settings.UnsafeRetryOnConnectionFailure = false
	settings.DisableRegionBreaker = true // a call must not leave its region
	settings.Language = "en-US"
	if err := aim(settings.HttpProfile, p.SCF.Endpoint); err != nil {
		return nil, fmt.Errorf("pool %s: %w", p.Name, err)
	}
	client, err := api.NewClient(common.NewCredential(key.id, key.secret), p.Region, settings)
	if err != nil {
		return nil, fmt.Errorf("pool %s: the SDK refuses its settings", p.Name)
	}
	transport := newTransport()
	client.WithHttpTransport(newBounded(transport))
	return &Pool{index: p.Index, init: p.InitTimeout, namespace: p.SCF.Namespace, client: client, http: transport}, nil
}

// aim points the SDK at an endpoint, which it wants in pieces. Empty is the public one.
func aim(h *profile.HttpProfile, endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("the SCF endpoint is not a plain URL; allowed: http://HOST:PORT or https://HOST, without user, path and query")
	}
	h.Scheme, h.Endpoint = strings.ToUpper(u.Scheme), u.Host
	return nil
}

// Close drops idle connections.
func (p *Pool) Close() { p.http.CloseIdleConnections() }

// Invoke implements pools.Pool. Result.ExecutedVersion stays empty: SCF does not tell.
func (p *Pool) Invoke(ctx context.Context, r pools.Request) pools.Result {
	if r.Function == nil || p.index >= len(r.Function.Bindings) || r.Function.Bindings[p.index].Name == "" {
		return notExecuted(spillway.CauseRejected, "the function has no binding on this pool")
	}
	b := &r.Function.Bindings[p.index]
	in, refusal := p.request(b, r)
	if in == nil {
		return notExecuted(spillway.CauseRejected, refusal)
	}
	started := time.Now()
	deadline := started.Add(b.Timeout + p.init + slack)
	if !r.Deadline.IsZero() && r.Deadline.Before(deadline) {
		deadline = r.Deadline
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if ctx.Err() != nil {
		return notExecuted(spillway.CauseCancelled, "cancelled or past its deadline before it was sent")
	}
	ctx, seen := watch(ctx)
	out, err := p.client.InvokeFunctionWithContext(ctx, in)
	if err != nil {
		return failed(ctx, err, seen)
	}
	return answered(out.Response, b, r.LogTail, started, time.Since(started))
}

// request builds the SDK's input, or says why it must not be sent.
func (p *Pool) request(b *spillway.Binding, r pools.Request) (in *api.InvokeFunctionRequest, refusal string) {
	payload := r.Payload
	if len(payload) == 0 {
		payload = []byte("{}") // as Lambda does
	}
	switch {
	case !utf8.Valid(payload) || !utf8.ValidString(r.ClientContext):
		return nil, "the payload is not UTF-8, and SCF takes nothing else"
	case r.ClientContext != "" && !isObject(r.ClientContext):
		return nil, "the client context is not a JSON object"
	}
	event := envelope.Wrap(payload, r.ClientContext)
	if len(event) > pools.MaxPayload {
		return nil, "the payload, with the client context, is over SCF's 6 MiB"
	}
	in = api.NewInvokeFunctionRequest()
	in.FunctionName, in.Event = common.StringPtr(b.Name), common.StringPtr(string(event))
	if b.Qualifier != "" {
		in.Qualifier = common.StringPtr(b.Qualifier)
	}
	if p.namespace != "" {
		in.Namespace = common.StringPtr(p.namespace)
	}
	if r.LogTail {
		in.LogType = common.StringPtr("Tail")
	}
	return in, ""
}

func isObject(text string) bool { return strings.HasPrefix(text, "{") && json.Valid([]byte(text)) }

func notExecuted(cause spillway.Cause, detail string) pools.Result {
	return pools.Result{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: cause, Detail: detail}}
}

func unknown(cause spillway.Cause, detail string) pools.Result {
	return pools.Result{Outcome: spillway.Outcome{Class: spillway.Unknown, Cause: cause, Detail: detail}}
}
