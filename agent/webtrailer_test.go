package agent

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// unfit are fields that mean something to whoever frames, routes, trusts or caches a
// message, or that are no fields at all.
var unfit = http.Header{
	"Transfer-Encoding": {"chunked"}, "Content-Length": {"3"}, "Trailer": {"X-Other"}, "Host": {"evil.example"},
	"Connection": {"close"}, "Keep-Alive": {"timeout=9"}, "Te": {"trailers"}, "Upgrade": {"h2c"}, "Proxy-Connection": {"close"},
	"Proxy-Authorization": {"x"}, "Authorization": {"Bearer x"}, "Cookie": {"a=b"}, "Set-Cookie": {"a=b"}, "Www-Authenticate": {"Basic"},
	"X-Amz-Security-Token": {"x"}, "Content-Type": {"text/evil"}, "Content-Encoding": {"gzip"}, "Content-Range": {"bytes 0-1/2"},
	"Cache-Control": {"public"}, "Expect": {"100-continue"}, "Range": {"bytes=0-1"}, "If-Match": {"x"}, "Location": {"/evil"},
	"Forwarded": {"for=x"}, "X-Forwarded-For": {"1.1.1.1"}, "X-Real-Ip": {"1.1.1.1"}, "X-Spillway-Caller": {"root"},
	"X_spillway_caller": {"root"}, "x-spillway-invocation": {"x"}, "Content_Length": {"3"},
	"": {"x"}, "Bad Name": {"x"}, "Bad:Name": {"x"}, "Bad\r\nEvil": {"x"}, "Bäd": {"x"},
	"X-Split": {"a\r\nX-Evil: b"}, "X-Bell": {"\a"}, "X-Delete": {"\x7f"},
}

// TestWebTrailersSent has a caller send and announce unfit trailers.
func TestWebTrailersSent(t *testing.T) {
	i := start(t, webConfig(t))
	x := streamed("/sees", strings.NewReader("abc"), -1)
	trailer := maps.Clone(unfit)
	trailer["X-Sum"], trailer["Grpc-Status"], trailer["X-Text"] = []string{"5", "6"}, []string{"0"}, []string{"ü\t"}
	x.Web.Trailer = func() http.Header { return trailer }
	e := i.Exchange(context.Background(), x)
	answered(t, e, 200, "*")
	var got []string
	for line := range strings.Lines(string(e.Web.Body)) {
		if strings.HasPrefix(line, "trailer ") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if want := []string{"trailer Grpc-Status: 0", "trailer X-Sum: 5|6", "trailer X-Text: ü"}; !slices.Equal(got, want) {
		t.Errorf("the function sees %q, want %q", got, want)
	}
	if len(trailer) != len(unfit)+3 {
		t.Error("the caller's trailers were modified")
	}
}

// TestWebTrailersReceived has a function send them, some announced.
func TestWebTrailersReceived(t *testing.T) {
	say := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Authorization, X-Spillway-Pool, bad name, , Connection\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 4\r\nX-Other: 5\r\n"
	for name, values := range unfit {
		if token := !strings.ContainsAny(name, " :\r\nä") && name != ""; token && !strings.ContainsAny(values[0], "\r\n\a\x7f") {
			say += name + ": " + values[0] + "\r\n"
		}
	}
	i := start(t, webConfig(t))
	e := i.Exchange(context.Background(), get("/raw?say="+url.QueryEscape(say+"\r\n")))
	answered(t, e, 200, "body")
	if want := (http.Header{"X-Sum": {"4"}, "X-Other": {"5"}}); !reflect.DeepEqual(e.Web.Trailer, want) {
		t.Errorf("trailers %v, want %v", e.Web.Trailer, want)
	}
	if want := []string{"X-Sum"}; !slices.Equal(e.Web.Header["Trailer"], want) {
		t.Errorf("announced %v, want %v", e.Web.Header["Trailer"], want)
	}
}
