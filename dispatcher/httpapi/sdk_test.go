package httpapi

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

func TestSDKInvoke(t *testing.T) {
	s := always(executed(`{"ok":true}`), nil)
	d := open(t, s)
	out, err := d.sdk().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("resize"), Payload: []byte(`{"n":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if string(out.Payload) != `{"ok":true}` || out.StatusCode != 200 || aws.ToString(out.ExecutedVersion) != "v1" || out.FunctionError != nil || out.LogResult != nil {
		t.Errorf("got %+v", out)
	}
	raw := rawResponse(t, out.ResultMetadata)
	want := map[string]string{"X-Spillway-Invocation": testID, "X-Spillway-Pool": "onprem", "X-Spillway-Reason": "preferred",
		"X-Amzn-RequestId": testID, "Content-Type": "application/json", "X-Spillway-Decision": "outcome=executed reason=preferred pool=onprem"}
	for name, value := range want {
		if got := raw.Header.Get(name); got != value {
			t.Errorf("%s: got %q, want %q", name, got, value)
		}
	}
	ask := s.ran()[0]
	if ask.Caller != "signer" || ask.Function != (spillway.FunctionKey{Namespace: "web", Name: "resize"}) || string(ask.Payload) != `{"n":1}` ||
		ask.RequestKey == "" || ask.LogTail || !ask.Deadline.IsZero() {
		t.Errorf("asked %+v", ask)
	}
}

func TestSDKRequestFields(t *testing.T) {
	context := base64.StdEncoding.EncodeToString([]byte(`{"custom":{"a":"b"}}`))
	tests := []struct {
		name string
		in   lambda.InvokeInput
		want server.Ask // function, qualifier, context, tail and payload
	}{
		{"no payload", lambda.InvokeInput{FunctionName: aws.String("f")}, server.Ask{Payload: []byte("{}")}},
		{"qualifier", lambda.InvokeInput{FunctionName: aws.String("f"), Qualifier: aws.String("$LATEST")}, server.Ask{Qualifier: "$LATEST"}},
		{"qualified name", lambda.InvokeInput{FunctionName: aws.String("f:v2")}, server.Ask{Qualifier: "v2"}},
		{"same twice", lambda.InvokeInput{FunctionName: aws.String("f:v2"), Qualifier: aws.String("v2")}, server.Ask{Qualifier: "v2"}},
		{"partial ARN", lambda.InvokeInput{FunctionName: aws.String("123456789012:function:f")}, server.Ask{}},
		{"ARN", lambda.InvokeInput{FunctionName: aws.String("arn:aws:lambda:us-west-2:123456789012:function:f")}, server.Ask{}},
		{"qualified ARN", lambda.InvokeInput{FunctionName: aws.String("arn:aws:lambda:us-west-2:123456789012:function:f:$LATEST")}, server.Ask{Qualifier: "$LATEST"}},
		{"client context", lambda.InvokeInput{FunctionName: aws.String("f"), ClientContext: &context}, server.Ask{ClientContext: `{"custom":{"a":"b"}}`}},
		{"tail", lambda.InvokeInput{FunctionName: aws.String("f"), LogType: types.LogTypeTail}, server.Ask{LogTail: true}},
		{"explicit", lambda.InvokeInput{FunctionName: aws.String("f"), LogType: types.LogTypeNone, InvocationType: types.InvocationTypeRequestResponse}, server.Ask{}},
		{"largest", lambda.InvokeInput{FunctionName: aws.String("f"), Payload: jsonOf(pools.MaxPayload)}, server.Ask{Payload: jsonOf(pools.MaxPayload)}},
	}
	s := always(executed(`1`), nil)
	d := open(t, s)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(s.ran())
			if _, err := d.sdk().Invoke(t.Context(), &test.in); err != nil {
				t.Fatal(err)
			}
			asks := s.ran()[before:]
			if len(asks) != 1 {
				t.Fatalf("asked %d times", len(asks))
			}
			got := asks[0]
			if got.Function.String() != "web/f" || got.Qualifier != test.want.Qualifier || got.ClientContext != test.want.ClientContext || got.LogTail != test.want.LogTail {
				t.Errorf("asked %+v", got)
			}
			if test.want.Payload != nil && string(got.Payload) != string(test.want.Payload) {
				t.Errorf("payload of %d bytes", len(got.Payload))
			}
		})
	}
}

// jsonOf is a JSON string of n bytes.
func jsonOf(n int) []byte { return []byte(`"` + strings.Repeat("a", n-2) + `"`) }

func TestSDKFunctionErrorAndTail(t *testing.T) {
	a := functionFailed(spillway.FunctionHandled)
	a.LogTail = []byte(strings.Repeat("x", 5000) + "end")
	d := open(t, always(a, nil))
	out, err := d.sdk().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("resize"), LogType: types.LogTypeTail})
	if err != nil || aws.ToString(out.FunctionError) != "Handled" || string(out.Payload) != string(a.Payload) {
		t.Fatalf("got %+v, %v", out, err)
	}
	tail, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil || len(tail) != pools.MaxLogTail || !strings.HasSuffix(string(tail), "end") {
		t.Errorf("tail of %d bytes, %v", len(tail), err)
	}
}

func TestSDKDryRun(t *testing.T) {
	s := always(executed(""), nil)
	d := open(t, s)
	in := &lambda.InvokeInput{FunctionName: aws.String("resize"), InvocationType: types.InvocationTypeDryRun}
	out, err := d.sdk().Invoke(t.Context(), in)
	if err != nil || out.StatusCode != 204 || len(out.Payload) != 0 {
		t.Fatalf("got %+v, %v", out, err)
	}
	if got := rawResponse(t, out.ResultMetadata).Header.Get("X-Spillway-Pool"); got != "onprem" {
		t.Errorf("pool %q", got)
	}
	if len(s.ran()) != 0 || len(s.previews) != 1 {
		t.Errorf("%d calls, %d previews", len(s.ran()), len(s.previews))
	}
	s.answer = func(int, server.Ask) (*server.Answer, error) {
		return refusal(spillway.ReasonDenied, spillway.Limit{}), nil
	}
	_, err = d.sdk().Invoke(t.Context(), in)
	wantError(t, err, 403, "AccessDeniedException")
}

func wantError(t *testing.T, err error, status int, code string) {
	t.Helper()
	var api smithy.APIError
	var response *awshttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &response) {
		t.Fatalf("got %v; want an API error %s", err, code)
	}
	if api.ErrorCode() != code || response.HTTPStatusCode() != status || api.ErrorMessage() == "" {
		t.Errorf("got %d %s %q; want %d %s and a message", response.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage(), status, code)
	}
	if response.ServiceRequestID() == "" {
		t.Error("no request id")
	}
	if response.Response.Header.Get("X-Spillway-Reason") == "" {
		t.Error("no X-Spillway-Reason")
	}
}

func TestSDKRejectedRequests(t *testing.T) {
	tests := []struct {
		name   string
		in     lambda.InvokeInput
		status int
		code   string
	}{
		{"event", lambda.InvokeInput{InvocationType: types.InvocationTypeEvent}, 400, "InvalidParameterValueException"},
		{"other type", lambda.InvokeInput{InvocationType: "Later"}, 400, "InvalidParameterValueException"},
		{"other log type", lambda.InvokeInput{LogType: "All"}, 400, "InvalidParameterValueException"},
		{"tenant", lambda.InvokeInput{TenantId: aws.String("a")}, 400, "InvalidParameterValueException"},
		{"durable", lambda.InvokeInput{DurableExecutionName: aws.String("a")}, 400, "InvalidParameterValueException"},
		{"two qualifiers", lambda.InvokeInput{FunctionName: aws.String("resize:v1"), Qualifier: aws.String("v2")}, 400, "InvalidParameterValueException"},
		{"upper case", lambda.InvokeInput{FunctionName: aws.String("Resize")}, 400, "InvalidParameterValueException"},
		{"slash", lambda.InvokeInput{FunctionName: aws.String("a/b")}, 400, "InvalidParameterValueException"},
		{"context", lambda.InvokeInput{ClientContext: aws.String("e30")}, 400, "InvalidRequestContentException"},
		{"context no object", lambda.InvokeInput{ClientContext: aws.String("MQ==")}, 400, "InvalidRequestContentException"},
		{"context too long", lambda.InvokeInput{ClientContext: aws.String(strings.Repeat("a", 3584))}, 400, "InvalidRequestContentException"},
		{"not JSON", lambda.InvokeInput{Payload: []byte("{")}, 400, "InvalidRequestContentException"},
		{"too large", lambda.InvokeInput{Payload: jsonOf(pools.MaxPayload + 1)}, 413, "RequestTooLargeException"},
	}
	s := always(executed("1"), nil)
	d := open(t, s)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.in.FunctionName == nil {
				test.in.FunctionName = aws.String("resize")
			}
			_, err := d.sdk().Invoke(t.Context(), &test.in)
			wantError(t, err, test.status, test.code)
		})
	}
	if n := len(s.ran()); n != 0 {
		t.Errorf("%d of them ran", n)
	}
}

func TestSDKTypedErrors(t *testing.T) {
	d := open(t, always(refusal(spillway.ReasonQuotaExceeded, spillway.Limit{Kind: spillway.LimitQuota, Name: "team", Max: 4}), nil))
	_, err := d.sdk().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("resize")})
	var many *types.TooManyRequestsException
	if !errors.As(err, &many) || many.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded ||
		aws.ToString(many.RetryAfterSeconds) != "1" || !strings.Contains(many.ErrorMessage(), "quota team") || aws.ToString(many.Type) != "User" {
		t.Errorf("got %#v, %v", many, err)
	}
	d = open(t, always(nil, &server.UnknownFunctionError{Function: spillway.FunctionKey{Namespace: "web", Name: "nope"}}))
	_, err = d.sdk().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("nope")})
	var missing *types.ResourceNotFoundException
	if !errors.As(err, &missing) || !strings.Contains(missing.ErrorMessage(), "web/nope") {
		t.Errorf("got %v", err)
	}
}

func TestSDKOtherOperations(t *testing.T) {
	s := always(executed("1"), nil)
	c := open(t, s).sdk()
	_, err := c.ListFunctions(t.Context(), &lambda.ListFunctionsInput{})
	wantError(t, err, 400, "InvalidParameterValueException")
	_, err = c.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("resize")})
	wantError(t, err, 400, "InvalidParameterValueException")
	_, err = c.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: aws.String("resize")})
	wantError(t, err, 400, "InvalidParameterValueException")
	if !strings.Contains(err.Error(), "streaming") {
		t.Errorf("says %v", err)
	}
	if len(s.ran()) != 0 {
		t.Error("something ran")
	}
}

func rawResponse(t *testing.T, m middleware.Metadata) *http.Response {
	t.Helper()
	raw, ok := awsmiddleware.GetRawResponse(m).(*smithyhttp.Response)
	if !ok {
		t.Fatal("no raw response")
	}
	return raw.Response
}
