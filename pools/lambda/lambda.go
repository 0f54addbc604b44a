// Package lambda runs attempts on AWS Lambda, through its SDK with every retry
// turned off: whether an attempt may be repeated is the Engine's decision.
package lambda

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go/logging"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

const (
	// maxClientContext is Lambda's limit on X-Amz-Client-Context, encoded.
	maxClientContext = 3583
	// slack is added to the provider's own time limits: the way there and back.
	slack = 2 * time.Second
)

// Pool is one account and region of Lambda. It is safe for concurrent use.
type Pool struct {
	index  int
	init   time.Duration
	client *lambda.Client
	http   *http.Transport
}

// New returns a pool for p. Credentials are read where p says: "environment" is
// the SDK's default chain, "file:PATH" a shared credentials file with a profile
// named default.
func New(ctx context.Context, p *spillway.Pool) (*Pool, error) {
	load := []func(*config.LoadOptions) error{
		config.WithRegion(p.Region),
		config.WithLogger(logging.Nop{}), // it may quote requests
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	from, err := credentialSource(p.Lambda.CredentialsFrom)
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", p.Name, err)
	}
	// The SDK's own errors quote the file and what a credential_process printed.
	cfg, err := config.LoadDefaultConfig(ctx, append(load, from...)...)
	if err != nil {
		return nil, badCredentials(p)
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, badCredentials(p)
	}
	transport := tuned(cfg.HTTPClient)
	client := lambda.NewFromConfig(cfg, func(o *lambda.Options) {
		o.HTTPClient = &http.Client{Transport: bounded{transport}, CheckRedirect: noRedirect}
		o.Retryer = aws.NopRetryer{} // also against AWS_MAX_ATTEMPTS and the like
		o.BaseEndpoint = nil         // AWS_ENDPOINT_URL must not send a call out of its region
		if p.Lambda.Endpoint != "" {
			o.BaseEndpoint = aws.String(p.Lambda.Endpoint)
		}
	})
	return &Pool{index: p.Index, init: p.InitTimeout, client: client, http: transport}, nil
}

func badCredentials(p *spillway.Pool) error {
	return fmt.Errorf("pool %s: no AWS credentials from %s: want aws_access_key_id and aws_secret_access_key, in a file under [default]",
		p.Name, p.Lambda.CredentialsFrom)
}

// Close drops idle connections.
func (p *Pool) Close() { p.http.CloseIdleConnections() }

// Invoke implements pools.Pool.
func (p *Pool) Invoke(ctx context.Context, r pools.Request) pools.Result {
	if r.Function == nil || p.index >= len(r.Function.Bindings) || r.Function.Bindings[p.index].Name == "" {
		return notExecuted(spillway.CauseRejected, "the function has no binding on this pool")
	}
	b := &r.Function.Bindings[p.index]
	in, result := request(b, r)
	if in == nil {
		return result
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
	ctx, sent := watch(ctx)
	out, err := p.client.Invoke(ctx, in)
	elapsed := time.Since(started)
	if err != nil {
		return failed(ctx, err, sent.Load())
	}
	return succeeded(out, b, r.LogTail, started, elapsed)
}

// request builds the SDK's input, or says why it must not be sent.
func request(b *spillway.Binding, r pools.Request) (*lambda.InvokeInput, pools.Result) {
	if len(r.Payload) > pools.MaxPayload {
		return nil, notExecuted(spillway.CauseRejected, "the payload is over Lambda's 6 MiB")
	}
	in := &lambda.InvokeInput{
		FunctionName: aws.String(b.Name), InvocationType: types.InvocationTypeRequestResponse,
		LogType: types.LogTypeTail, Payload: r.Payload,
	}
	if b.Qualifier != "" {
		in.Qualifier = aws.String(b.Qualifier)
	}
	if r.ClientContext != "" {
		encoded := base64.StdEncoding.EncodeToString([]byte(r.ClientContext))
		if len(encoded) > maxClientContext {
			return nil, notExecuted(spillway.CauseRejected, "the client context is over Lambda's 3,583 bytes with the invocation's own keys")
		}
		in.ClientContext = aws.String(encoded)
	}
	return in, pools.Result{}
}

func notExecuted(cause spillway.Cause, detail string) pools.Result {
	return pools.Result{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: cause, Detail: detail}}
}

func unknown(cause spillway.Cause, detail string) pools.Result {
	return pools.Result{Outcome: spillway.Outcome{Class: spillway.Unknown, Cause: cause, Detail: detail}}
}
