package scf_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/scf"
)

func open(t *testing.T, from, endpoint string) (*scf.Pool, error) {
	p, err := scf.New(t.Context(), &spillway.Pool{Name: "canton", Region: "ap-guangzhou",
		SCF: spillway.SCFEndpoint{CredentialsFrom: from, Endpoint: endpoint}})
	if err == nil {
		t.Cleanup(p.Close)
	}
	return p, err
}

// TestNewErrors: an error names the pool and the file and nothing that is in it.
func TestNewErrors(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"garbage":       "canary\n\x00 = canary",
		"half":          "[default]\nsecret_key = canary",
		"other section": "[canary]\nsecret_id = canary\nsecret_key = canary",
		"spaces":        "[default]\nsecret_id = ca nary\nsecret_key = canary",
		"token":         "[default]\nsecret_id = canary\nsecret_key = canary\ntoken = canary",
		"long":          "[default]\nsecret_id = canary\nsecret_key = canary\n" + strings.Repeat("#\n", 64<<10),
		"missing":       "",
	} {
		path := filepath.Join(dir, name)
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := open(t, "file:"+path, "")
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "canton") {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Setenv("TENCENTCLOUD_SECRET_ID", "canary")
	t.Setenv("TENCENTCLOUD_SECRET_KEY", "")
	if _, err := open(t, "environment", ""); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("half an environment: %v", err)
	}
	if _, err := open(t, "vault:x", ""); err == nil || !strings.Contains(err.Error(), "allowed: environment, file:PATH") {
		t.Errorf("another source: %v", err)
	}
}

func TestEndpoints(t *testing.T) {
	from := credentials(t)
	for endpoint, good := range map[string]bool{
		"": true, "http://127.0.0.1:1": true, "https://scf.example": true, "https://scf.example/": true,
		"scf.example": false, "ftp://x": false, "https://canary:canary@x": false, "http://x?canary": false, "http://x/canary": false, "http://": false, "http://x:canary\x00": false,
	} {
		if _, err := open(t, from, endpoint); (err == nil) != good || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// TestPrinted: no verb prints a secret of a pool.
func TestPrinted(t *testing.T) {
	p, err := open(t, credentials(t), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, p) + fmt.Sprintf(verb, *p); strings.Contains(text, "canary") || strings.Contains(text, keyID) {
			t.Errorf("%s prints %.300s", verb, text)
		}
	}
}

// TestEnvironment: the environment's key is used when the pool says so, and not
// otherwise.
func TestEnvironment(t *testing.T) {
	t.Setenv("TENCENTCLOUD_SECRET_ID", "AKIDENVIRONMENT")
	t.Setenv("TENCENTCLOUD_SECRET_KEY", "of-the-environment")
	signer := ""
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		signer = r.Header.Get("Authorization")
		fmt.Fprint(w, `{"Response":{"Result":{"RetMsg":"1"},"RequestId":"1-2"}}`)
	})
	for from, want := range map[string]string{"environment": "AKIDENVIRONMENT", credentials(t): keyID} {
		p, err := open(t, from, url)
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Invoke(t.Context(), pools.Request{Function: function("fn", time.Minute)}); r.Outcome.Class != spillway.Executed || !strings.Contains(signer, want) {
			t.Errorf("%s: %+v, signed by %.80s", from, r.Outcome, signer)
		}
	}
}

// TestTrust: a certificate that nobody trusts gets nothing.
func TestTrust(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a request arrived") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer s.Close()
	if r := invoke(t, s.URL); r.Outcome.Class != spillway.NotExecuted || r.Outcome.Cause != spillway.CauseConnect {
		t.Errorf("%+v", r.Outcome)
	}
}
