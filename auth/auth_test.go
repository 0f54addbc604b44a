package auth_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/auth"
)

const (
	token  = "0123456789abcdef-token"
	secret = "0123456789abcdef-secret"
)

var now = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// fakeVerifier accepts any signed request as made by one key.
type fakeVerifier struct{ id string }

func (f fakeVerifier) Verify(_ *http.Request, _ []byte, _ time.Time, lookup func(string) (string, bool)) (string, error) {
	if _, ok := lookup(f.id); !ok {
		return "", auth.Refuse(auth.TypeUnrecognizedClient, "unknown")
	}
	return f.id, nil
}

func newAuthenticator(t testing.TB, anonymous bool) *auth.Authenticator {
	t.Helper()
	a, err := auth.New(auth.Config{
		Keys:      []auth.Key{{AccessKeyID: "AKID", Secret: secret, Identity: auth.Identity{Name: "signer", Invoke: []string{"web/*"}}}},
		Tokens:    []auth.Token{{Token: token, Identity: auth.Identity{Name: "bearer", Invoke: []string{"*"}}}},
		SigV4:     fakeVerifier{"AKID"},
		Anonymous: anonymous,
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func request(authorization ...string) *http.Request {
	r := httptest.NewRequest("POST", "http://127.0.0.1/", nil)
	r.RemoteAddr = "127.0.0.1:4000"
	for _, v := range authorization {
		r.Header.Add("Authorization", v)
	}
	return r
}

func TestAuthenticate(t *testing.T) {
	tests := []struct {
		name    string
		headers []string
		want    string // identity
		refused string // error type
	}{
		{"token", []string{"Bearer " + token}, "bearer", ""},
		{"token, other case", []string{"bearer " + token}, "bearer", ""},
		{"wrong token", []string{"Bearer 0123456789abcdef"}, "", auth.TypeUnrecognizedClient},
		{"token prefix", []string{"Bearer " + token[:20]}, "", auth.TypeUnrecognizedClient},
		{"token and spaces", []string{"Bearer  " + token}, "", auth.TypeUnrecognizedClient},
		{"huge token", []string{"Bearer " + strings.Repeat("x", 10_000)}, "", auth.TypeUnrecognizedClient},
		{"empty token", []string{"Bearer "}, "", auth.TypeIncompleteSignature},
		{"signature", []string{"AWS4-HMAC-SHA256 Credential=AKID"}, "signer", ""},
		{"basic", []string{"Basic YTpi"}, "", auth.TypeIncompleteSignature},
		{"two", []string{"Bearer " + token, "Bearer " + token}, "", auth.TypeIncompleteSignature},
		{"none", nil, "", auth.TypeMissingToken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := request(test.headers...)
			for _, forged := range []string{"X-Spillway-Identity", "X-Forwarded-User", "X-Amzn-Caller", "X-Remote-User"} {
				r.Header.Set(forged, "root")
			}
			check(t, newAuthenticator(t, false), r, test.want, test.refused)
		})
	}
}

func check(t *testing.T, a *auth.Authenticator, r *http.Request, want, refused string) {
	t.Helper()
	id, err := a.Authenticate(r, nil, now)
	if refused == "" {
		if err != nil || id.Name != want {
			t.Errorf("got %q, %v; want %q", id.Name, err, want)
		}
		return
	}
	var e *auth.Error
	if !errors.As(err, &e) || e.Type != refused || e.Status != 403 {
		t.Errorf("got %v; want %s", err, refused)
	}
	if id.Name != "" {
		t.Errorf("refused, and yet identity %q", id.Name)
	}
}

func TestAnonymous(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*http.Request) *http.Request
		allowed bool
	}{
		{"loopback", func(r *http.Request) *http.Request { return r }, true},
		{"IPv6 loopback", func(r *http.Request) *http.Request { r.RemoteAddr, r.Host = "[::1]:1", "[::1]:8080"; return r }, true},
		{"localhost", func(r *http.Request) *http.Request { r.Host = "localhost:8080"; return r }, true},
		{"other peer", func(r *http.Request) *http.Request { r.RemoteAddr = "10.0.0.1:1"; return r }, false},
		{"no peer", func(r *http.Request) *http.Request { r.RemoteAddr = ""; return r }, false},
		{"rebound name", func(r *http.Request) *http.Request { r.Host = "evil.example:8080"; return r }, false},
		{"proxied", func(r *http.Request) *http.Request { r.Header.Set("X-Forwarded-For", "10.0.0.1"); return r }, false},
		{"web page", func(r *http.Request) *http.Request { r.Header.Set("Origin", "http://evil.example"); return r }, false},
		{"wrong token", func(r *http.Request) *http.Request { r.Header.Set("Authorization", "Bearer no"); return r }, false},
		{"presigned", func(r *http.Request) *http.Request { r.URL.RawQuery = "X-Amz-Signature=0"; return r }, false},
		{"public listener", func(r *http.Request) *http.Request {
			addr := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 80}
			return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(addr)))
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			id, err := newAuthenticator(t, true).Authenticate(test.change(request()), nil, now)
			if (err == nil) != test.allowed {
				t.Fatalf("got %q, %v", id.Name, err)
			}
			if test.allowed && id.Name != auth.AnonymousName {
				t.Errorf("identity %q", id.Name)
			}
		})
	}
}

func TestMay(t *testing.T) {
	tests := []struct {
		pattern, namespace, function string
		want                         bool
	}{
		{"*", "web", "resize", true},
		{"web/*", "web", "resize", true},
		{"web/resize", "web", "resize", true},
		{"web/resize", "web", "resize2", false},
		{"web/*", "web2", "resize", false},
		{"web2/*", "web", "resize", false},
		{"web/*", "", "resize", false},
	}
	for _, test := range tests {
		id := auth.Identity{Name: "a", Invoke: []string{"other/x", test.pattern}}
		if got := id.May(test.namespace, test.function); got != test.want {
			t.Errorf("%s: %s/%s: %v", test.pattern, test.namespace, test.function, got)
		}
	}
	if (auth.Identity{Name: "a"}).May("web", "resize") {
		t.Error("no patterns permit something")
	}
}

func TestNewRefuses(t *testing.T) {
	ok := auth.Identity{Name: "a"}
	tests := []struct {
		name string
		c    auth.Config
		says string
	}{
		{"short token", auth.Config{Tokens: []auth.Token{{Token: "topsecret", Identity: ok}}}, "16 to 256"},
		{"nameless", auth.Config{Tokens: []auth.Token{{Token: token}}}, "no name"},
		{"pattern", auth.Config{Tokens: []auth.Token{{Token: token, Identity: auth.Identity{Name: "a", Invoke: []string{"*/x"}}}}}, "namespace/function"},
		{"same token", auth.Config{Tokens: []auth.Token{{Token: token, Identity: ok}, {Token: token, Identity: auth.Identity{Name: "b"}}}}, "same token"},
		{"short secret", auth.Config{SigV4: fakeVerifier{}, Keys: []auth.Key{{AccessKeyID: "A", Secret: "topsecret", Identity: ok}}}, "shorter"},
		{"bad key id", auth.Config{SigV4: fakeVerifier{}, Keys: []auth.Key{{AccessKeyID: "A/B", Secret: secret, Identity: ok}}}, "access key id"},
		{"same key", auth.Config{SigV4: fakeVerifier{}, Keys: []auth.Key{{AccessKeyID: "A", Secret: secret, Identity: ok}, {AccessKeyID: "A", Secret: secret, Identity: ok}}}, "twice"},
		{"no verifier", auth.Config{Keys: []auth.Key{{AccessKeyID: "A", Secret: secret, Identity: ok}}}, "verifies"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := auth.New(test.c)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want it to say %q", err, test.says)
			}
			for _, hidden := range []string{token, secret, "topsecret"} {
				if strings.Contains(err.Error(), hidden) {
					t.Errorf("the error shows a secret: %v", err)
				}
			}
		})
	}
}

func TestCheckListen(t *testing.T) {
	for addr, fine := range map[string]bool{
		"127.0.0.1:80": true, "localhost:80": true, "[::1]:80": true, "127.9.9.9:0": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "10.0.0.1:80": false, "example.org:80": false, "80": false,
	} {
		if err := auth.CheckListen(addr, true); (err == nil) != fine {
			t.Errorf("%s: %v", addr, err)
		}
		if err := auth.CheckListen(addr, false); err != nil {
			t.Errorf("%s without anonymous: %v", addr, err)
		}
	}
}

func TestTokenAllocatesNothing(t *testing.T) {
	a, r := newAuthenticator(t, false), request("Bearer "+token)
	allocations := testing.AllocsPerRun(100, func() {
		if id, err := a.Authenticate(r, nil, now); err != nil || !id.May("web", "resize") {
			t.Fatal("refused")
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkToken(b *testing.B) {
	a, r := newAuthenticator(b, false), request("Bearer "+token)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate(r, nil, now); err != nil {
			b.Fatal(err)
		}
	}
}
