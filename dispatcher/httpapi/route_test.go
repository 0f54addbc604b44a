package httpapi

import (
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway"
)

func TestRoute(t *testing.T) {
	tests := []struct {
		target string
		api    api
		want   string // namespace/name:qualifier; empty if refused
		status int
	}{
		{"/namespaces/web/functions/resize/invoke", apiURL, "web/resize:", 0},
		{"/namespaces/web/functions/resize/invoke?qualifier=v2&x=y", apiURL, "web/resize:v2", 0},
		{"/namespaces/web/functions/resize/invoke?qualifier=", apiURL, "web/resize:", 0},
		{"/namespaces/web/functions/resize:v2/invoke", apiURL, "", 400},
		{"/namespaces/web/2015-03-31/functions/resize/invocations?Qualifier=%24LATEST", apiLambda, "web/resize:$LATEST", 0},
		{"/namespaces/web/2015-03-31/functions/resize%3A%24LATEST/invocations?Qualifier=%24LATEST", apiLambda, "web/resize:$LATEST", 0},
		{"/namespaces/web/2015-03-31/functions/resize:a/invocations?Qualifier=b", apiLambda, "", 400},
		{"/namespaces/web/2015-03-31/functions/resize/invocations/", apiLambda, "", 400},
		{"/namespaces/web/2015-03-31/functions/", apiLambda, "", 400},
		{"/namespaces/web/2021-11-15/functions/resize/response-streaming-invocations", apiLambda, "", 400},
		{"/namespaces/web/2015-03-31/functions/invocations", apiLambda, "", 400},
		{"/namespaces/web/functions/invoke", apiOther, "", 404},
		{"/namespaces/web", apiOther, "", 404},
		{"/", apiOther, "", 404},
		{"", apiOther, "", 400},
		{"*", apiOther, "", 400},
		{"/namespaces/web/functions/" + strings.Repeat("a", 63) + "/invoke", apiURL, "web/" + strings.Repeat("a", 63) + ":", 0},
		{"/namespaces/web/functions/" + strings.Repeat("a", 64) + "/invoke", apiURL, "", 400},
		{"/namespaces/-web/functions/resize/invoke", apiURL, "", 400},
		{"/namespaces/web/functions/resize-/invoke", apiURL, "", 400},
	}
	for _, test := range tests {
		got, p := route(http.MethodPost, test.target)
		if got.api != test.api {
			t.Errorf("%s: API %s, want %s", test.target, got.api, test.api)
		}
		switch {
		case test.want == "" && (p == nil || p.lambda != test.status):
			t.Errorf("%s: got %+v, want %d", test.target, p, test.status)
		case test.want != "" && (p != nil || got.function.String()+":"+got.qualifier != test.want):
			t.Errorf("%s: got %+v, %+v", test.target, got, p)
		}
	}
}

func TestRouteAllocatesNothing(t *testing.T) {
	for _, target := range []string{urlPath, lambdaPath} {
		if n := testing.AllocsPerRun(100, func() {
			if _, p := route(http.MethodPost, target); p != nil {
				t.Fatal(p.text)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", target, n)
		}
	}
}

// awsName is how AWS describes a FunctionName.
var awsName = regexp.MustCompile(`^(?:arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:|\d{12}:function:)?([a-zA-Z0-9-_]+)(?::(\$LATEST|[a-zA-Z0-9-_.$]+))?$`)

func FuzzFunctionName(f *testing.F) {
	for _, seed := range []string{"resize", "resize:v1", "resize%3A%24LATEST", "123456789012:function:resize", "function:x", "function:function",
		"arn:aws:lambda:eu-west-1:123456789012:function:resize:v1", "arn%3aaws-cn%3Alambda:x:123456789012:function:a", "a:function:b", "a%2Fb", "%", "a::b", ":a", "a:", "arn:aws0:lambda:x:123456789012:function:a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, segment string) {
		name, qualifier, ok := parseFunctionName(segment)
		if !ok {
			return
		}
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			t.Fatalf("%q accepted, and is not a path segment: %v", segment, err)
		}
		m := awsName.FindStringSubmatch(decoded)
		if m == nil || m[1] != name || m[2] != qualifier {
			t.Fatalf("%q: got %q %q, AWS reads %q", segment, name, qualifier, m)
		}
	})
}

// FuzzRoute compares the router with net/url and package path, as whatever else
// sees the request reads it: what is accepted has one meaning.
func FuzzRoute(f *testing.F) {
	for _, seed := range []string{urlPath, lambdaPath, urlPath + "?qualifier=v1", "/namespaces/a/2015-03-31/functions/arn%3Aaws%3Alambda%3Ax%3A123456789012%3Afunction%3Af/invocations?Qualifier=v",
		"/namespaces/a/../b/functions/c/invoke", "/namespaces/a%2fb/functions/c/invoke", "http://h/namespaces/a/functions/b/invoke",
		"//namespaces/a/functions/b/invoke", "/namespaces/a/functions/b/invoke#c", "/namespaces/a/functions/b;c/invoke", "*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, requestURI string) {
		got, p := route(http.MethodPost, requestURI)
		if p != nil {
			if got.function != (spillway.FunctionKey{}) && got.api == apiOther || p.lambda < 400 || p.url < 400 {
				t.Fatalf("%q: %+v with %+v", requestURI, got, p)
			}
			return
		}
		u, err := url.ParseRequestURI(requestURI)
		if err != nil || u.Host != "" || u.Fragment != "" || path.Clean(u.Path) != u.Path {
			t.Fatalf("%q accepted; net/url: %+v, %v", requestURI, u, err)
		}
		parts := strings.Split(u.Path, "/")
		name := parts[len(parts)-2]
		if got.api == apiLambda {
			m := awsName.FindStringSubmatch(name)
			name = m[1]
		}
		if parts[2] != got.function.Namespace || name != got.function.Name || !isLabel(name) || !isLabel(parts[2]) {
			t.Fatalf("%q: got %+v, net/url reads %q", requestURI, got, parts)
		}
	})
}
