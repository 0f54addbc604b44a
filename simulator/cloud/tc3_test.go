package cloud

import (
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// signTC3 signs r over any list of headers, as Tencent describes it.
func signTC3(r *http.Request, body, host, id, secret string, at time.Time, signed ...string) {
	r.Header.Set("X-TC-Timestamp", strconv.FormatInt(at.Unix(), 10))
	date := at.UTC().Format("2006-01-02")
	canonical := "POST\n/\n\n"
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = host
		}
		canonical += name + ":" + strings.ToLower(value) + "\n"
	}
	canonical += "\n" + strings.Join(signed, ";") + "\n" + sha256Hex([]byte(body))
	text := "TC3-HMAC-SHA256\n" + r.Header.Get("X-TC-Timestamp") + "\n" + date + "/scf/tc3_request\n" + sha256Hex([]byte(canonical))
	key := hmacOf(hmacOf(hmacOf([]byte("TC3"+secret), date), "scf"), "tc3_request")
	r.Header.Set("Authorization", fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s/scf/tc3_request, SignedHeaders=%s, Signature=%s",
		id, date, strings.Join(signed, ";"), hex.EncodeToString(hmacOf(key, text))))
}

// TestTC3 signs with and without the port, over more headers, and wrongly.
func TestTC3(t *testing.T) {
	now := time.Date(2026, 11, 21, 0, 2, 0, 0, time.UTC)
	const body, host, bare = `{"FunctionName":"echo"}`, "127.0.0.1:9001", "127.0.0.1"
	for name, c := range map[string]struct {
		host   string
		at     time.Time
		change func(*http.Request) // after signing
		code   string
	}{
		"with port":          {host, now, nil, ""},
		"without port":       {bare, now, nil, ""},
		"five minutes old":   {host, now.Add(-5 * time.Minute), nil, ""}, // of yesterday
		"five minutes ahead": {host, now.Add(5 * time.Minute), nil, ""},
		"other host":         {"scf.tencentcloudapi.com", now, nil, "AuthFailure.SignatureFailure"},
		"too old":            {host, now.Add(-5*time.Minute - time.Second), nil, "AuthFailure.SignatureExpire"},
		"too new":            {host, now.Add(5*time.Minute + time.Second), nil, "AuthFailure.SignatureExpire"},
		"replayed later":     {host, now, func(r *http.Request) { r.Header.Set("X-TC-Timestamp", strconv.FormatInt(now.Unix()+1, 10)) }, "AuthFailure.SignatureFailure"},
		"no timestamp":       {host, now, func(r *http.Request) { r.Header.Del("X-TC-Timestamp") }, "MissingParameter"},
		"two timestamps":     {host, now, func(r *http.Request) { r.Header.Add("X-TC-Timestamp", "1") }, "AuthFailure.InvalidAuthorization"},
		"token":              {host, now, func(r *http.Request) { r.Header.Set("X-TC-Token", "x") }, "AuthFailure.TokenFailure"},
		"type":               {host, now, func(r *http.Request) { r.Header.Set("Content-Type", "application/json; charset=utf-8") }, "AuthFailure.SignatureFailure"},
		"action":             {host, now, func(r *http.Request) { r.Header.Set("X-TC-Action", "Invoke") }, "AuthFailure.SignatureFailure"},
		"query":              {host, now, func(r *http.Request) { r.URL.RawQuery = "a=b" }, "AuthFailure.SignatureFailure"},
		"none":               {host, now, func(r *http.Request) { r.Header.Del("Authorization") }, "AuthFailure.InvalidAuthorization"},
		"key":                {host, now, replaced(testKey, "AKIDNOBODY"), "AuthFailure.SecretIdNotFound"},
		"service":            {host, now, replaced("/scf/", "/cvm/"), "AuthFailure.SignatureFailure"},
		"date":               {host, now, replaced("2026-11-21", "2026-11-22"), "AuthFailure.SignatureFailure"},
		"scope":              {host, now, replaced("tc3_request", "aws4_request"), "AuthFailure.InvalidAuthorization"},
		"order":              {host, now, replaced("content-type;host;x-tc-action", "host;content-type;x-tc-action"), "AuthFailure.InvalidAuthorization"},
		"unsigned host":      {host, now, replaced("content-type;host;x-tc-action", "content-type;x-tc-action"), "AuthFailure.InvalidAuthorization"},
	} {
		r := httptest.NewRequest(http.MethodPost, "http://"+host+"/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-TC-Action", "InvokeFunction")
		signTC3(r, body, c.host, testKey, testSecret, c.at, "content-type", "host", "x-tc-action")
		if c.change != nil {
			c.change(r)
		}
		code := ""
		if refused := verifyTC3(r, []byte(body), now, map[string]string{testKey: testSecret}); refused != nil {
			code = refused.code
		}
		if code != c.code {
			t.Errorf("%s: %q, want %q", name, code, c.code)
		}
	}
}

// TestTC3ServiceOfAnAddress: a client that knows its service from the endpoint
// only can still be used on this machine, and nowhere else.
func TestTC3ServiceOfAnAddress(t *testing.T) {
	for host, want := range map[string]bool{"127.0.0.1:9001": true, "127.0.0.1": true, "127.evil.example": false, "127": false} {
		if got := namedBy(host, "127"); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}

func replaced(from, to string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
	}
}

// TestTC3KnownAnswer is the signature that another implementation gives.
func TestTC3KnownAnswer(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "http://scf.tencentcloudapi.com/", nil)
	r.Header.Set("Content-Type", "application/json")
	a := tc3{date: "2026-11-21", service: "scf", signed: []string{"content-type", "host"}}
	got := a.sign(r, r.Host, []byte(`{"FunctionName":"echo"}`), "1795219200", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE")
	const want = "1a8953abb9ceb62ad153c0a5425a2e1641aec0685386b692298ad2b54873a898"
	if !hmac.Equal([]byte(hex.EncodeToString(got)), []byte(want)) {
		t.Errorf("%x, want %s", got, want)
	}
}

func FuzzTC3(f *testing.F) {
	f.Add("TC3-HMAC-SHA256 Credential=AKID/2026-11-21/scf/tc3_request, SignedHeaders=content-type;host, Signature="+strings.Repeat("0", 64), "1795219200", "127.0.0.1:9001")
	f.Add("TC3-HMAC-SHA256 Credential=a/b", "-1", "[::1]:1")
	f.Add("", "99999999999", ":::")
	now := time.Unix(1795219200, 0)
	f.Fuzz(func(t *testing.T, header, stamp, host string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Host = host
		r.Header.Set("Authorization", header)
		r.Header.Set("X-TC-Timestamp", stamp)
		r.Header.Set("Content-Type", "application/json")
		if verifyTC3(r, nil, now, map[string]string{"AKID": "secret"}) == nil {
			t.Errorf("%q was accepted without a key", header)
		}
	})
}
