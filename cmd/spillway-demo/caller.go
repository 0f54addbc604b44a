package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// kind is how a call ended, as its client was told.
type kind uint8

const (
	succeeded kind = iota
	failed         // the function answered with an error
	refused        // it did not run
	unknown        // nobody knows whether it ran
	broken         // not an answer of Spillway: always a miss
	kindCount
)

func (k kind) String() string {
	return [kindCount]string{"succeeded", "failed", "refused", "unknown", "broken"}[k]
}

// answer is what one call came back with.
type answer struct {
	ID                  string
	Namespace, Function string
	Phase               int
	Kind                kind
	Pool, Reason        string
	Detail              string // of broken
	Sent                time.Time
	Took                time.Duration
	web                 *echoed // of a call of a web function
}

func (a *answer) function() string { return a.Namespace + "/" + a.Function }

// invoker makes one call and waits for its end.
type invoker interface {
	call(ctx context.Context, function, event string) answer
}

// caller is an unmodified AWS SDK client of one namespace.
type caller struct {
	namespace string
	client    *lambda.Client
}

// newCaller makes a client that sends each call once.
func newCaller(front, namespace string, key accessKey) *caller {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	return &caller{namespace, lambda.New(lambda.Options{
		Region: region, BaseEndpoint: aws.String(front + "/namespaces/" + namespace), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(key.ID, key.Secret, ""),
		HTTPClient:  &http.Client{Transport: transport, Timeout: callLimit},
	})}
}

// callLimit is far beyond every deadline of the configuration: a call that needs
// it was not answered.
const callLimit = time.Minute

func (c *caller) call(ctx context.Context, function, event string) answer {
	began := time.Now()
	out, err := c.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(function), Payload: []byte(event)})
	a := answer{Namespace: c.namespace, Function: function, Sent: began, Took: time.Since(began)}
	var refusal *smithyhttp.ResponseError
	switch {
	case err == nil:
		if raw, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response); ok {
			a.read(raw.Header)
		}
		a.Kind = ending(out)
	case errors.As(err, &refusal) && refusal.Response.Header.Get("X-Spillway-Invocation") != "":
		a.read(refusal.Response.Header)
		a.Kind = refused
	default:
		a.Kind, a.Detail = broken, err.Error()
	}
	return a
}

func (a *answer) read(h http.Header) {
	a.ID, a.Pool, a.Reason = h.Get("X-Spillway-Invocation"), h.Get("X-Spillway-Pool"), h.Get("X-Spillway-Reason")
}

func ending(out *lambda.InvokeOutput) kind {
	if out.FunctionError == nil {
		return succeeded
	}
	var body struct{ ErrorType string }
	if json.Unmarshal(out.Payload, &body) == nil && body.ErrorType == "Spillway.OutcomeUnknown" {
		return unknown
	}
	return failed
}
