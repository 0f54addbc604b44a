package lambda

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spillway-dev/spillway"
)

// TestRegionsOwnEndpoint: without an endpoint a pool calls its region, whatever
// the environment says.
func TestRegionsOwnEndpoint(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte("[default]\naws_access_key_id = a\naws_secret_access_key = b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := New(t.Context(), &spillway.Pool{Name: "east", Region: "us-east-1", Lambda: spillway.LambdaEndpoint{CredentialsFrom: "file:" + path}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got := p.client.Options().BaseEndpoint; got != nil {
		t.Errorf("endpoint %s", *got)
	}
}
