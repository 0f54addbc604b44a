package lambda_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/pools/lambda"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// unpaced lets every request go at once.
func unpaced(ctx context.Context) error { return ctx.Err() }

// handled is a function of the stand-in that nothing may run.
func handled(t *testing.T, name string) cloud.Function {
	return cloud.Function{Name: name, Qualifiers: map[string]string{"live": "7"}, MiB: 256, Timeout: 4 * time.Second, Architecture: "arm64",
		CodeSHA256: "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", Env: []string{"PASSWORD=" + secret},
		Handle: func(context.Context, cloud.Event) ([]byte, error) { t.Error("a function was run"); return nil, nil }}
}

// inspected is an Inspector of a stand-in that has functions.
func inspected(t *testing.T, functions ...cloud.Function) *lambda.Inspector {
	t.Helper()
	var turns atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(turns.Load()) * time.Second / 15) } // the control plane's rate
	s, err := cloud.New(cloud.Config{Keys: map[string]string{keyID: secret}, Functions: functions, Concurrency: 500, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() { web.Close(); s.Close() })
	return newPool(t, web.URL).Inspector(func(context.Context) error { turns.Add(1); return nil })
}

func TestInspect(t *testing.T) {
	kept := handled(t, "kept")
	five := 5
	kept.Reserved = &five
	i := inspected(t, handled(t, "fn"), kept)
	for name, want := range map[string]clouddrift.Found{
		"fn live":                       {Version: "7"},
		"fn $LATEST":                    {Version: "$LATEST"},
		"fn ":                           {Version: "$LATEST"},
		"fn old":                        {Missing: clouddrift.MissingQualifier},
		"fn 9":                          {Missing: clouddrift.MissingQualifier},
		"nobody live":                   {Missing: clouddrift.MissingFunction},
		"nobody $LATEST":                {Missing: clouddrift.MissingFunction},
		"123456789012:function:fn live": {Version: "7"},
	} {
		function, qualifier, _ := strings.Cut(name, " ")
		if want.Missing == "" {
			want.MiB, want.Timeout, want.Architecture = 256, 4*time.Second, clouddrift.ARM
			want.Digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
		}
		if got, err := i.Function(t.Context(), function, qualifier); err != nil || got != want {
			t.Errorf("%s: %v: %+v, want %+v", name, err, got, want)
		}
	}
	if got, err := i.Function(t.Context(), "kept", "live"); err != nil || got.Reserved == nil || *got.Reserved != 5 {
		t.Errorf("%v: %+v", err, got)
	}
	if got, err := i.Account(t.Context()); err != nil || got != (clouddrift.Account{Concurrency: 500, Unreserved: 495}) {
		t.Errorf("%v: %+v", err, got)
	}
}

// TestInspectAnswers: odd configurations, as an endpoint tells them.
func TestInspectAnswers(t *testing.T) {
	for body, want := range map[string]clouddrift.Found{
		`{"MemorySize":128,"Timeout":3,"PackageType":"Image","CodeSha256":"x"}`:                         {NoDigest: "its code in the cloud is a container image"},
		`{"MemorySize":128,"Timeout":3,"State":"Failed","Architectures":["arm64","x86_64"]}`:            {State: "Failed", NoDigest: "the cloud told no digest of the code"},
		`{"MemorySize":128,"Timeout":3,"State":"canary","Version":"canary","Architectures":["canary"]}`: {State: "a state that is not documented", NoDigest: "the cloud told no digest of the code"},
	} {
		got, err := inspectAt(t, func(w http.ResponseWriter, r *http.Request) { answer(w, r, body) })
		want.MiB, want.Timeout, want.Split = 128, 3*time.Second, true
		if err != nil || got != want {
			t.Errorf("%s: %v: %+v, want %+v", body, err, got, want)
		}
	}
}

// answer tells body as the configuration, and of the alias that it splits.
func answer(w http.ResponseWriter, r *http.Request, body string) {
	switch {
	case strings.Contains(r.URL.Path, "/aliases/"):
		body = `{"Name":"live","FunctionVersion":"1","RoutingConfig":{"AdditionalVersionWeights":{"2":0.1}}}`
	case strings.HasSuffix(r.URL.Path, "/concurrency"):
		body = `{}`
	}
	fmt.Fprint(w, body)
}

func inspectAt(t *testing.T, h http.HandlerFunc) (clouddrift.Found, error) {
	return newPool(t, serve(t, h)).Inspector(unpaced).Function(t.Context(), "fn", "live")
}

// TestInspectFailures: errors name the operation and Lambda's code, never what an
// endpoint says, and nothing is asked twice.
func TestInspectFailures(t *testing.T) {
	refuse := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-ErrorType", code)
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"message":"%s"}`, secret)
		}
	}
	for name, test := range map[string]struct {
		h    http.HandlerFunc
		says string
	}{
		"denied":    {refuse(403, "AccessDeniedException"), "403 AccessDeniedException: the pool's credentials need the permission lambda:GetFunctionConfiguration"},
		"other key": {refuse(403, "InvalidSignatureException"), "403 InvalidSignatureException: the pool's credentials are wrong"},
		"throttled": {refuse(429, "TooManyRequestsException"), "429 TooManyRequestsException"},
		"broken":    {refuse(500, "ServiceException"), "500 ServiceException"},
		"invented":  {refuse(400, secret), "with 400"},
		"no memory": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) }, "not Lambda's"},
		"garbage":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, secret) }, "could not be read"},
		"redirect":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/"+secret, http.StatusFound) }, "302"},
		"hang up":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "could not be read"},
	} {
		var asked atomic.Int64
		_, err := inspectAt(t, func(w http.ResponseWriter, r *http.Request) { asked.Add(1); test.h(w, r) })
		if err == nil || errors.Is(err, clouddrift.ErrNoAnswer) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "GetFunctionConfiguration") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
	if _, err := newPool(t, "http://127.0.0.1:1").Inspector(unpaced).Account(t.Context()); !errors.Is(err, clouddrift.ErrNoAnswer) || !strings.Contains(err.Error(), "no connection to Lambda for GetAccountSettings") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestInspectIsPaced: each request has its turn, and none goes without.
func TestInspectIsPaced(t *testing.T) {
	var asked atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r, `{"MemorySize":128,"Timeout":3}`)
	})
	turns, closed := 0, errors.New("closed")
	i := newPool(t, url).Inspector(func(context.Context) error {
		if turns++; turns == 3 {
			return closed
		}
		return nil
	})
	if _, err := i.Function(t.Context(), "fn", "live"); !errors.Is(err, closed) || asked.Load() != 2 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}
