package lambda_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/lambda"
)

// TestNewErrors: an error names the pool and the file and nothing that is in it.
func TestNewErrors(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"garbage":  "canary\n\x00 = canary",
		"half":     "[default]\naws_secret_access_key = canary",
		"printed":  "[default]\ncredential_process = echo canary",
		"failed":   "[default]\ncredential_process = sh -c 'exit 1' canary",
		"role":     "[default]\nrole_arn = canary\nsource_profile = canary",
		"attempts": "[default]\nmax_attempts = canary\naws_access_key_id = a\naws_secret_access_key = b",
		"missing":  "",
	} {
		path := filepath.Join(dir, name)
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := lambda.New(t.Context(), &spillway.Pool{Name: "east", Region: "us-east-1",
			Lambda: spillway.LambdaEndpoint{CredentialsFrom: "file:" + path}})
		if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "east") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEnvironment: a credentials file and an endpoint win over the environment,
// and a server that offers HTTP/2 is spoken to in HTTP/1.
func TestEnvironment(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 || !strings.Contains(r.Header.Get("Authorization"), keyID) {
			t.Errorf("%s signed as %.60q", r.Proto, r.Header.Get("Authorization"))
		}
		w.Header().Set("X-Amzn-RequestId", "11111111-2222")
		fmt.Fprint(w, `{}`)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"AWS_CA_BUNDLE": bundle, "AWS_ACCESS_KEY_ID": "AKIAOTHER", "AWS_SECRET_ACCESS_KEY": "other",
		"AWS_PROFILE": "none", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"} {
		t.Setenv(name, value)
	}
	if r := invoke(t, s.URL); r.Outcome.Class != spillway.Executed {
		t.Errorf("%+v", r.Outcome)
	}
}

// TestOverLimit: an answer that Lambda still allows and the contract does not.
func TestOverLimit(t *testing.T) {
	for extra, cause := range map[int]spillway.Cause{0: spillway.CauseNone, 1: spillway.CauseTooLarge, 100: spillway.CauseTooLarge} {
		r := invoke(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-RequestId", "11111111-2222")
			fmt.Fprint(w, `"`+strings.Repeat("x", pools.MaxPayload-2+extra)+`"`)
		}))
		if r.Outcome.Class != spillway.Executed || r.Outcome.Cause != cause || len(r.Payload) > pools.MaxPayload {
			t.Errorf("%d over: %v %v, %d bytes", extra, r.Outcome.Class, r.Outcome.Cause, len(r.Payload))
		}
	}
}

// TestProviderID: an unknown outcome keeps what reconciliation has to ask for.
func TestProviderID(t *testing.T) {
	for id, want := range map[string]string{"11111111-2222": "11111111-2222", "session token": ""} {
		r := invoke(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-RequestId", id)
			w.WriteHeader(http.StatusInternalServerError)
		}))
		if r.Outcome.Class != spillway.Unknown || r.Outcome.Usage.ProviderID != want {
			t.Errorf("%q: %+v", id, r.Outcome)
		}
	}
}
