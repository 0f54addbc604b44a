package cloud

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

func TestInvoke(t *testing.T) {
	f := handled("echo", echo)
	f.Qualifiers = map[string]string{"7": "7", "live": "7"}
	_, web := serve(t, Config{Functions: []Function{f}})
	c := client(t, web)
	for name, version := range map[string]string{
		"echo": latest, "echo:live": "7", "echo:7": "7", "echo:$LATEST": latest,
		"123456789012:function:echo":                               latest,
		"arn:aws:lambda:us-east-1:123456789012:function:echo":      latest,
		"arn:aws:lambda:us-east-1:123456789012:function:echo:live": "7",
	} {
		out, err := c.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{"n":1}`)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if out.StatusCode != 200 || string(out.Payload) != `{"n":1}` || *out.ExecutedVersion != version || out.FunctionError != nil || out.LogResult != nil {
			t.Errorf("%s: %d %s version %s", name, out.StatusCode, out.Payload, *out.ExecutedVersion)
		}
		if id, ok := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata); !ok || len(id) != 36 {
			t.Errorf("%s: request id %q", name, id)
		}
	}
}

func TestDryRunRunsNothing(t *testing.T) {
	s, web := serve(t, Config{Functions: []Function{handled("echo", echo)}})
	out, err := client(t, web).Invoke(context.Background(), &lambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: types.InvocationTypeDryRun})
	if err != nil || out.StatusCode != 204 {
		t.Fatalf("got %+v, %v", out, err)
	}
	if s.Bill().Executions != 0 {
		t.Error("a dry run was executed")
	}
}

// TestRefusals drives every documented refusal through the real client: type,
// status and message must decode, and nothing may run.
func TestRefusals(t *testing.T) {
	var ran atomic.Int32
	s, web := serve(t, Config{Functions: []Function{handled("echo", func(context.Context, Event) ([]byte, error) {
		ran.Add(1)
		return nil, nil
	})}})
	c := client(t, web)
	encode := func(text string) *string { return aws.String(base64.StdEncoding.EncodeToString([]byte(text))) }
	tests := []struct {
		name   string
		in     lambda.InvokeInput
		status int
		code   string
		typed  error
	}{
		{"unknown function", lambda.InvokeInput{FunctionName: aws.String("nobody")}, 404, "ResourceNotFoundException", &types.ResourceNotFoundException{}},
		{"unknown qualifier", lambda.InvokeInput{FunctionName: aws.String("echo"), Qualifier: aws.String("9")}, 404, "ResourceNotFoundException", &types.ResourceNotFoundException{}},
		{"other region", lambda.InvokeInput{FunctionName: aws.String("arn:aws:lambda:eu-west-1:123456789012:function:echo")}, 404, "ResourceNotFoundException", &types.ResourceNotFoundException{}},
		{"other account", lambda.InvokeInput{FunctionName: aws.String("arn:aws:lambda:us-east-1:999999999999:function:echo")}, 403, "AccessDeniedException", nil},
		{"two qualifiers", lambda.InvokeInput{FunctionName: aws.String("echo:1"), Qualifier: aws.String("2")}, 400, "InvalidParameterValueException", &types.InvalidParameterValueException{}},
		{"bad name", lambda.InvokeInput{FunctionName: aws.String("a b")}, 400, "InvalidParameterValueException", &types.InvalidParameterValueException{}},
		{"long name", lambda.InvokeInput{FunctionName: aws.String(strings.Repeat("a", 65))}, 400, "InvalidParameterValueException", &types.InvalidParameterValueException{}},
		{"bad qualifier", lambda.InvokeInput{FunctionName: aws.String("echo"), Qualifier: aws.String("a.b")}, 400, "InvalidParameterValueException", &types.InvalidParameterValueException{}},
		{"not JSON", lambda.InvokeInput{FunctionName: aws.String("echo"), Payload: []byte("{")}, 400, "InvalidRequestContentException", &types.InvalidRequestContentException{}},
		{"too large", lambda.InvokeInput{FunctionName: aws.String("echo"), Payload: []byte(`"` + strings.Repeat("a", maxRequest) + `"`)}, 413, "RequestTooLargeException", &types.RequestTooLargeException{}},
		{"event", lambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: types.InvocationTypeEvent}, 400, "InvalidParameterValueException", &types.InvalidParameterValueException{}},
		{"invocation type", lambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: "Later"}, 400, "InvalidParameterValueException", &types.InvalidParameterValueException{}},
		{"log type", lambda.InvokeInput{FunctionName: aws.String("echo"), LogType: "Head"}, 400, "InvalidParameterValueException", &types.InvalidParameterValueException{}},
		{"tenant", lambda.InvokeInput{FunctionName: aws.String("echo"), TenantId: aws.String("t")}, 400, "InvalidParameterValueException", &types.InvalidParameterValueException{}},
		{"context not base64", lambda.InvokeInput{FunctionName: aws.String("echo"), ClientContext: aws.String("{}")}, 400, "InvalidRequestContentException", &types.InvalidRequestContentException{}},
		{"context not JSON", lambda.InvokeInput{FunctionName: aws.String("echo"), ClientContext: encode("x")}, 400, "InvalidRequestContentException", &types.InvalidRequestContentException{}},
		{"context too long", lambda.InvokeInput{FunctionName: aws.String("echo"), ClientContext: encode(`{"a":"` + strings.Repeat("x", 2700) + `"}`)}, 400, "InvalidParameterValueException", &types.InvalidParameterValueException{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.Invoke(context.Background(), &test.in)
			isError(t, err, test.status, test.code, test.typed)
		})
	}
	if ran.Load() != 0 || s.Bill().Total != "0" {
		t.Errorf("%d refused calls ran, bill %s", ran.Load(), s.Bill().Total)
	}
}

func isError(t *testing.T, err error, status int, code string, typed error) {
	t.Helper()
	var api smithy.APIError
	var response *awshttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &response) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if api.ErrorCode() != code || response.HTTPStatusCode() != status || api.ErrorMessage() == "" {
		t.Errorf("got %d %s %q; want %d %s", response.HTTPStatusCode(), api.ErrorCode(), api.ErrorMessage(), status, code)
	}
	if response.ServiceRequestID() == "" {
		t.Error("no request id")
	}
	if typed != nil && reflect.TypeOf(api) != reflect.TypeOf(typed) {
		t.Errorf("decoded as %T, want %T", api, typed)
	}
}

func TestCredentials(t *testing.T) {
	now := newClock()
	s, web := serve(t, Config{Functions: []Function{handled("echo", echo)}, Clock: now.Now})
	invoke := func(change ...func(*lambda.Options)) error {
		_, err := client(t, web, change...).Invoke(context.Background(), &lambda.InvokeInput{FunctionName: aws.String("echo")})
		return err
	}
	key := func(id, secret, token string) func(*lambda.Options) {
		return func(o *lambda.Options) { o.Credentials = credentials.NewStaticCredentialsProvider(id, secret, token) }
	}
	isError(t, invoke(key(testKey, "another secret", "")), 403, "InvalidSignatureException", nil)
	isError(t, invoke(key("AKIDNOBODY", testSecret, "")), 403, "UnrecognizedClientException", nil)
	isError(t, invoke(key(testKey, testSecret, "session")), 403, "UnrecognizedClientException", nil)
	isError(t, invoke(func(o *lambda.Options) { o.Region = "eu-west-1" }), 403, "InvalidSignatureException", nil)
	isError(t, invoke(func(o *lambda.Options) { o.Credentials = aws.AnonymousCredentials{} }), 403, "MissingAuthenticationTokenException", nil)
	now.Advance(10 * time.Minute)
	isError(t, invoke(), 403, "InvalidSignatureException", nil)
	if n := s.Bill().Executions; n != 0 {
		t.Errorf("%d executions", n)
	}
}

func TestUnknownOperation(t *testing.T) {
	_, web := serve(t, Config{Functions: []Function{handled("echo", echo)}})
	_, err := client(t, web).ListFunctions(context.Background(), &lambda.ListFunctionsInput{})
	isError(t, err, 404, "UnknownOperationException", nil)
}

func TestAccountSettings(t *testing.T) {
	three := 3
	f := handled("echo", echo)
	f.Reserved = &three
	_, web := serve(t, Config{Functions: []Function{f}, Concurrency: 10})
	out, err := client(t, web).GetAccountSettings(context.Background(), &lambda.GetAccountSettingsInput{})
	if err != nil {
		t.Fatal(err)
	}
	if l := out.AccountLimit; l.ConcurrentExecutions != 10 || *l.UnreservedConcurrentExecutions != 7 || out.AccountUsage.FunctionCount != 1 {
		t.Errorf("got %+v, %+v", out.AccountLimit, out.AccountUsage)
	}
}

func TestClosedServerRefuses(t *testing.T) {
	s, web := serve(t, Config{Functions: []Function{handled("echo", echo)}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := client(t, web).Invoke(context.Background(), &lambda.InvokeInput{FunctionName: aws.String("echo")})
	isError(t, err, http.StatusInternalServerError, "ServiceException", &types.ServiceException{})
}
