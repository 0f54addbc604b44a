package httpapi

import (
	"net/url"
	"strings"
	"testing"
)

func sub(path string) string {
	return "GET " + pagePath + path + " HTTP/1.1|{H}{A}|"
}

// rawWebs are what only a web function takes.
var rawWebs = []rawTest{
	{"GET with a body", "GET {P} HTTP/1.1|{H}{A}Content-Length: 1||1{S}", "200 200 ran 1 9", ""},
	{"DELETE with a body", "DELETE {P} HTTP/1.1|{H}{A}Content-Length: 1||1{S}", "200 200 ran 1 9", ""},
	{"OPTIONS with a body", "OPTIONS {P} HTTP/1.1|{H}{A}Content-Length: 1||1{S}", "200 200 ran 1 9", ""},
	{"GET with chunks", "GET {P} HTTP/1.1|{H}{A}Transfer-Encoding: chunked||1|1|0||{S}", "200 ran 1", ""},
	{"GET in HTTP/1.0", "GET {P} HTTP/1.0|{H}{A}|{S}", "200 ran -", ""},
	{"GET with chunks in HTTP/1.0", "GET {P} HTTP/1.0|{H}{A}Transfer-Encoding: chunked||1|1|0||{S}", "200 ran -", ""},
	{"PRI", "PRI {P} HTTP/1.1|{H}{A}|{S}", "200 200 ran - 9", ""},
	{"odd method", "!#$%&'*+-.^_`~ {P} HTTP/1.1|{H}{A}|{S}", "200 200 ran - 9", ""},
	{"long method", strings.Repeat("M", 300) + " {P} HTTP/1.1|{H}{A}|{S}", "200 200 ran - 9", ""},
	{"compressed", "POST {P} HTTP/1.1|{H}{A}Content-Encoding: gzip|Content-Length: 1||1{S}", "200 200 ran 1 9", ""},
	{"keys", "POST {P} HTTP/1.1|{H}{A}Idempotency-Key: a|Idempotency-Key: b|Content-Length: 1||1{S}", "200 200 ran 1 9", ""},
	{"Lambda's fields", "POST {P} HTTP/1.1|{H}{A}X-Amz-Invocation-Type: Event|Content-Length: 1||1{S}", "200 200 ran 1 9", ""},
	{"signed fields unsigned", "POST {P} HTTP/1.1|{H}{A}X-Amz-Date: 20260101T000000Z|X-Amz-Security-Token: s|X-Amz-Content-Sha256: UNSIGNED-PAYLOAD|Content-Length: 1||1", "200 ran 1", ""},
	{"fields listed by Connection", "POST {P} HTTP/1.1|{H}{A}Connection: Content-Type, Cookie, X-A|Content-Type: a/b|Cookie: c|X-A: b|Content-Length: 1||1", "200 ran 1", ""},
	{"trailers of all kinds", "PUT {P} HTTP/1.1|{H}{A}Trailer: X-A, Cookie, TE|Transfer-Encoding: chunked||1|1|0|X-A: b|Cookie: c|Te: d||{S}", "200 ran 1", ""},
	{"large body", "PUT {P} HTTP/1.1|{H}{A}Content-Length: 40000||" + strings.Repeat("1", 40000) + "{S}", "200 200 ran " + strings.Repeat("1", 40000) + " 9", ""},
	{"large body of requests", "PUT {P} HTTP/1.1|{H}Content-Length: 40000||" + strings.Repeat("{S}", 200), "401", ""},
	{"other function's Invoke", postTo("/namespaces/web/2015-03-31/functions/page/invocations"), "400", ""},
	{"function without a slash", "GET " + pagePath + " HTTP/1.1|{H}{A}|", "404", ""},
	{"function and a query", "GET " + pagePath + "?/sub HTTP/1.1|{H}{A}|", "404", ""},
	{"another function", "GET /namespaces/web/functions/resize/sub HTTP/1.1|{H}{A}|", "403", ""},
	{"another namespace", "GET /namespaces/shop/functions/page/sub HTTP/1.1|{H}{A}|", "403", ""},
	{"another behind dots", "GET " + pagePath + "/../resize/invoke HTTP/1.1|{H}{A}|{S}", "400", ""},
	{"dots", sub("/a/../b"), "400", ""},
	{"dots last", sub("/.."), "400", ""},
	{"one dot", sub("/./a"), "400", ""},
	{"encoded dots", sub("/a/%2e%2E/b"), "400", ""},
	{"half-encoded dots", sub("/a/.%2e/b"), "400", ""},
	{"dots and an encoded slash", sub("/..%2fa"), "400", ""},
	{"encoded slash and dots", sub("/a%2f.."), "400", ""},
	{"dots between encoded slashes", sub("/a%2F..%2Fb"), "400", ""},
	{"all encoded", sub("/%2f%2e%2e%2f"), "400", ""},
	{"dots and an encoded backslash", sub("/%2e%2e%5cb"), "400", ""},
	{"encoded backslash and dots", sub("/a%5C.."), "400", ""},
	{"dots and a parameter", sub("/..;/b"), "400", ""},
	{"dots and a longer parameter", sub("/a/..;b=c/d"), "400", ""},
	{"dots and an encoded parameter", sub("/a/..%3bb"), "400", ""},
	{"parameter and dots", sub("/a;/../b"), "400", ""},
	{"dots encoded twice", sub("/%252e%252e/b"), "400", ""},
	{"slash encoded twice", sub("/..%252fb"), "400", ""},
	{"dots encoded thrice", sub("/%25252e%25252e/b"), "400", ""},
	{"dot encoded twice", sub("/%252e"), "400", ""},
	{"dots encoded in parts", sub("/%25%32e%25%32e/b"), "400", ""},
	{"dots beside a broken escape", sub("/%25zz/%252e%252e"), "400", ""},
	{"dots and NUL", sub("/a/..%00/b"), "400", ""},
	{"NUL", sub("/a%00b"), "400", ""},
	{"backslash", sub("/a\\..\\b"), "400", ""},
	{"broken escape", sub("/a%zz"), "400", ""},
	{"half an escape", sub("/a%2"), "400", ""},
	{"bytes over 127", sub("/\xff"), "400", ""},
}

// TestRawSubpaths checks that a path that passes is what the function is given.
func TestRawSubpaths(t *testing.T) {
	for _, path := range []string{"/", "//", "/a//b", "/a%2fb", "/a%2Fb/", "/a%5Cb", "/a%252fb", "/.well-known/x", "/a..b", "/...", "/..a", "/a/b..",
		"/a;b=c", "/a;..", "/%3b", "/a%20b", "/%e2%82%ac", "/%c0%ae%c0%ae/", "/a%3fb", "/a%23b", "/a:b@c", "/~a", "/namespaces/shop/functions/x/invoke",
		"/invoke", "/a?b=/../c", "/a?%2e%2e%2f", "/a?", "/?", "/a?b?c", "/a+b", "/100%25", "/100%2525", "/%25zz", "/*", "/http://evil.example/", "/a?b#c"[:4]} {
		s := &witness{}
		d := open(t, s)
		if got := exchangeRaw(t, d.addr, rawWeb.text(sub(path)+"{S}")); got != "200 200" || s.check(t, rawWeb) != "- 9" {
			t.Errorf("%s: answered %s", path, got)
			continue
		}
		if got := s.runs[0].ask.Web.Target; got != path {
			t.Errorf("the function is asked for %s, the caller asked for %s", got, path)
		}
	}
}

// escapes reports that some reader finds a dot segment in a target's path.
func escapes(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	for range len(path) {
		for segment := range strings.SplitSeq(strings.ReplaceAll(path, "\\", "/"), "/") {
			segment, _, _ = strings.Cut(segment, ";")
			segment, _, _ = strings.Cut(segment, "\x00")
			if segment == "." || segment == ".." {
				return true
			}
		}
		plain, err := url.PathUnescape(path)
		if err != nil || plain == path {
			break
		}
		path = plain
	}
	return false
}

// FuzzDotted checks that no path passes in which a reader of another mind finds dots.
func FuzzDotted(f *testing.F) {
	for _, seed := range []string{"/", "/a/..", "/a%2f..%2Fb", "/%252e%252e", "/..;a/b", "/a%00", "/%25%32e", "/.%2e%5cb", "/%%32e", "/%c0%ae", "/\\..\\"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if strings.HasPrefix(path, "/") && !strings.Contains(path, "?") && escapes(path) && !dotted(path) {
			t.Errorf("%q passes", path)
		}
	})
}
