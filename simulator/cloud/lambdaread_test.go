package cloud

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// described is a function with everything that reads tell.
func described() Function {
	f := handled("resize", echo)
	two := 2
	f.Qualifiers, f.MiB, f.Timeout, f.Reserved = map[string]string{"live": "7", "7": "7"}, 512, 30*time.Second, &two
	f.Env, f.Architecture, f.CodeSHA256 = []string{"MODE=fast"}, "arm64", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
	return f
}

func TestLambdaReads(t *testing.T) {
	_, web := serve(t, Config{Functions: []Function{described(), handled("plain", echo)}, Concurrency: 100})
	c, ctx := client(t, web), context.Background()
	for qualifier, version := range map[string]string{"": latest, "$LATEST": latest, "live": "7", "7": "7"} {
		in := &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("arn:aws:lambda:us-east-1:123456789012:function:resize")}
		if qualifier != "" {
			in.Qualifier = &qualifier
		}
		out, err := c.GetFunctionConfiguration(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		if *out.MemorySize != 512 || *out.Timeout != 30 || *out.CodeSha256 != described().CodeSHA256 || *out.Version != version ||
			out.Architectures[0] != types.ArchitectureArm64 || out.State != types.StateActive || out.PackageType != types.PackageTypeZip || out.Environment.Variables["MODE"] != "fast" {
			t.Errorf("%q: %+v", qualifier, out)
		}
		if qualified := strings.HasSuffix(*out.FunctionArn, ":"+qualifier); qualified != (qualifier != "") && qualifier != "" {
			t.Errorf("%q: %s", qualifier, *out.FunctionArn)
		}
	}
	whole, err := c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: aws.String("resize")})
	if err != nil || *whole.Configuration.MemorySize != 512 || *whole.Concurrency.ReservedConcurrentExecutions != 2 || whole.Code.Location != nil {
		t.Errorf("%v: %+v", err, whole)
	}
	alias, err := c.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: aws.String("resize"), Name: aws.String("live")})
	if err != nil || *alias.FunctionVersion != "7" || alias.RoutingConfig != nil || !strings.HasSuffix(*alias.AliasArn, ":function:resize:live") {
		t.Errorf("%v: %+v", err, alias)
	}
	for name, want := range map[string]*int32{"resize": aws.Int32(2), "plain": nil} {
		out, err := c.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &name})
		if err != nil || aws.ToInt32(out.ReservedConcurrentExecutions) != aws.ToInt32(want) || (out.ReservedConcurrentExecutions == nil) != (want == nil) {
			t.Errorf("%s: %v: %+v", name, err, out)
		}
	}
	plain, err := c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("plain")})
	if err != nil || plain.Architectures[0] != types.ArchitectureX8664 || len(*plain.CodeSha256) != 44 || plain.Environment != nil {
		t.Errorf("%v: %+v", err, plain)
	}
}

func TestLambdaReadsRefuse(t *testing.T) {
	now := newClock()
	_, web := serve(t, Config{Functions: []Function{described()}, Clock: now.Now})
	c, ctx := client(t, web), context.Background()
	configuration := func(c *lambda.Client, name, qualifier string) error {
		_, err := c.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name, Qualifier: &qualifier})
		return err
	}
	alias := func(name, alias string) error {
		_, err := c.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &name, Name: &alias})
		return err
	}
	concurrency := func(name string) error {
		_, err := c.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &name})
		return err
	}
	wrong := client(t, web, func(o *lambda.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(testKey, "another secret", "")
	})
	isError(t, configuration(wrong, "resize", "live"), 403, "InvalidSignatureException", nil)
	isError(t, configuration(c, "nobody", "live"), 404, "ResourceNotFoundException", &types.ResourceNotFoundException{})
	isError(t, configuration(c, "resize", "old"), 404, "ResourceNotFoundException", &types.ResourceNotFoundException{})
	isError(t, configuration(c, "resize", "a.b"), 400, "InvalidParameterValueException", &types.InvalidParameterValueException{})
	isError(t, alias("resize", "old"), 404, "ResourceNotFoundException", &types.ResourceNotFoundException{})
	isError(t, alias("resize", "7"), 400, "InvalidParameterValueException", &types.InvalidParameterValueException{})
	isError(t, alias("resize:live", "live"), 400, "InvalidParameterValueException", &types.InvalidParameterValueException{})
	isError(t, alias("nobody", "live"), 404, "ResourceNotFoundException", &types.ResourceNotFoundException{})
	isError(t, concurrency("resize:live"), 400, "InvalidParameterValueException", &types.InvalidParameterValueException{})
	isError(t, concurrency("nobody"), 404, "ResourceNotFoundException", &types.ResourceNotFoundException{})
}

// TestReadRate: the control plane takes 15 requests at once and 15 a second.
func TestReadRate(t *testing.T) {
	now := newClock()
	_, web := serve(t, Config{Functions: []Function{described()}, Clock: now.Now})
	c := client(t, web)
	ask := func() error {
		_, err := c.GetAccountSettings(context.Background(), &lambda.GetAccountSettingsInput{})
		return err
	}
	for i := range readRate {
		if err := ask(); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	isError(t, ask(), http.StatusTooManyRequests, "TooManyRequestsException", &types.TooManyRequestsException{})
	now.Advance(time.Second / readRate)
	if err := ask(); err != nil {
		t.Error(err)
	}
	isError(t, ask(), http.StatusTooManyRequests, "TooManyRequestsException", &types.TooManyRequestsException{})
}

// TestReadPaths: what looks nearly like a read is none.
func TestReadPaths(t *testing.T) {
	s, _ := serve(t, Config{Functions: []Function{described()}})
	l := s.front.(*lambdaFront)
	for _, path := range []string{"/", "/2015-03-31/functions/", "/2015-03-31/functions/resize/aliases", "/2015-03-31/functions/resize/aliases/",
		"/2015-03-31/functions/resize/aliases/a/b", "/2015-03-31/functions/resize/code", "/2019-09-30/functions/resize", "/2015-03-31/functions/resize/configuration/x"} {
		if refused := l.read(nil, nil, path); refused == nil || refused.status != 404 {
			t.Errorf("%s: %v", path, refused)
		}
	}
}

// FuzzReadPath: no path makes a read panic, and what is answered names a function
// of the account or none.
func FuzzReadPath(f *testing.F) {
	for _, path := range []string{"/2015-03-31/functions/resize/configuration", "/2015-03-31/functions/resize", "/2015-03-31/functions/resize/aliases/live",
		"/2019-09-30/functions/resize/concurrency", "/2016-08-19/account-settings/", "/2015-03-31/functions/%00/aliases/%ff", "/2015-03-31/functions/a%3Ab%3Ac"} {
		f.Add(path, "live")
	}
	s, err := New(Config{Keys: map[string]string{testKey: testSecret}, Functions: []Function{described()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	front := &lambdaFront{Server: s, reads: newMeter(1_000_000_000, time.Second)}
	f.Fuzz(func(t *testing.T, path, qualifier string) {
		w := httptest.NewRecorder()
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: url.Values{"Qualifier": {qualifier}}.Encode()}}
		refused := front.read(w, r, path)
		if refused == nil && !strings.Contains(path, "account-settings") && !strings.Contains(path, "resize") && !strings.Contains(path, "%") {
			t.Errorf("%q is answered with %s", path, w.Body)
		}
		if refused != nil && (refused.status < 400 || refused.status > 499 || refused.kind == "") {
			t.Errorf("%q is refused with %+v", path, refused)
		}
	})
}
