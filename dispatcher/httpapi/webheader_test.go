package httpapi

import (
	"net/http"
	"net/textproto"
	"strings"
	"testing"
)

func TestHeaderFilters(t *testing.T) {
	for _, test := range []struct {
		name, value string
		in, out     bool // passes to the function, to the caller
	}{
		{"Accept", "*/*", true, true},
		{"Cookie", "a=b", true, true},
		{"Set-Cookie", "a=b", true, true},
		{"Www-Authenticate", "Basic", true, true},
		{"X-Amz-Meta", "1", true, true},
		{"Idempotency-Key", "k", true, true},
		{"Location", "/", true, true},
		{"Authorization", "Bearer x", false, true},
		{"X-Amz-Security-Token", "x", false, true},
		{"X-Amz-Date", "x", false, true},
		{"X-Amz-Content-Sha256", "x", false, true},
		{"Connection", "close", false, false},
		{"Proxy-Connection", "close", false, false},
		{"Keep-Alive", "timeout=1", false, false},
		{"Proxy-Authorization", "x", false, false},
		{"Proxy-Authenticate", "x", false, false},
		{"Te", "trailers", false, false},
		{"Transfer-Encoding", "chunked", false, false},
		{"Upgrade", "h2c", false, false},
		{"Http2-Settings", "x", false, false},
		{"Forwarded", "for=1", false, true},
		{"X-Forwarded-For", "1", false, true},
		{"X-Forwarded-Host", "1", false, true},
		{"X-Forwarded-Proto", "1", false, true},
		{"X-Forwarded-Port", "1", false, true},
		{"X-Forwarded-Prefix", "1", false, true},
		{"X-Real-Ip", "1", false, true},
		{"X-Spillway-Caller", "root", false, false},
		{"X-Spillway-Deadline", "1s", false, false},
		{"X_spillway_caller", "root", false, true},
		{"Content_length", "1", false, true},
	} {
		in, out := http.Header{test.name: {test.value}}, http.Header{test.name: {test.value}}
		filterRequest(in)
		filterAnswer(out)
		if (in[test.name] != nil) != test.in || (out[test.name] != nil) != test.out {
			t.Errorf("%s: to the function %v, to the caller %v", test.name, in[test.name] != nil, out[test.name] != nil)
		}
	}
	listed := http.Header{"Connection": {"x-a , close", "X-B,Content-Length,"}, "X-A": {"1"}, "X-B": {"1"}, "X-C": {"1"}, "Content-Length": {"1"}}
	filterRequest(listed)
	if len(listed) != 2 || listed["X-C"] == nil || listed["Content-Length"] == nil {
		t.Errorf("after Connection: %v", listed)
	}
}

func FuzzHeaderFilter(f *testing.F) {
	f.Add("Connection", "authorization, x-a", "X-A", "1")
	f.Add("authorization", "Bearer x", "X_Spillway_Caller", "root")
	f.Add("connection", "close", "connection", "X-Forwarded-For")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		for _, filter := range []func(http.Header){filterRequest, filterAnswer} {
			h := http.Header{}
			h.Add(name1, value1)
			h.Add(name2, value2)
			filter(h)
			for name := range h {
				if hopByHop(name) || strings.HasPrefix(name, ownPrefix) {
					t.Errorf("%q passed", name)
				}
			}
			before := len(h)
			if filter(h); len(h) != before {
				t.Error("filtering twice differs from once")
			}
		}
		h := http.Header{textproto.CanonicalMIMEHeaderKey(name1): {value1}}
		filterRequest(h)
		for name := range h {
			if withheld(name) || strings.Contains(name, "_") {
				t.Errorf("%q reached the function", name)
			}
		}
	})
}

func FuzzRouteFunction(f *testing.F) {
	f.Add("/namespaces/web/functions/page/a?b=/c")
	f.Add("/namespaces/web/functions/page")
	f.Add("/namespaces//functions//..")
	f.Fuzz(func(t *testing.T, uri string) {
		got, ok := routeFunction(uri)
		if !ok {
			return
		}
		if !strings.HasPrefix(got.below, "/") || !isLabel(got.function.Namespace) || !isLabel(got.function.Name) {
			t.Fatalf("%q: %+v", uri, got)
		}
		if again := "/namespaces/" + got.function.Namespace + "/functions/" + got.function.Name + got.below; again != uri {
			t.Fatalf("%q was read as %q", uri, again)
		}
	})
}
