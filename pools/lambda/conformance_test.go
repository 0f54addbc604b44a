package lambda_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools/lambda"
	"github.com/spillway-dev/spillway/pools/pooltest"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyID  = "AKIACANARY0000000001"
	secret = "canary-secret-canary-secret-canary-0001"
)

// credentials writes a shared credentials file and names it as a pool does.
func credentials(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	text := "[default]\naws_access_key_id = " + keyID + "\naws_secret_access_key = " + secret + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

// newPool is a Lambda pool on an endpoint of this machine.
func newPool(t testing.TB, endpoint string) *lambda.Pool {
	t.Helper()
	p, err := lambda.New(t.Context(), &spillway.Pool{Name: "east", Kind: spillway.PoolLambda, Region: "us-east-1",
		InitTimeout: time.Second, Lambda: spillway.LambdaEndpoint{Endpoint: endpoint, CredentialsFrom: credentials(t)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// function is bound to a cloud function of the same name.
func function(name string, timeout time.Duration) *spillway.Function {
	f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "test", Name: name}, Timeout: timeout,
		Resources: spillway.Resources{Slots: 1, MiB: 128}}
	f.Bindings[0] = spillway.Binding{Name: name, Qualifier: "live", MiB: 128, Timeout: timeout}
	return f
}

// TestConformance runs the pool against the strict stand-in, which checks
// signatures and runs a real Lambda binary.
func TestConformance(t *testing.T) {
	dir := pooltest.Build(t)
	deploy := func(name string, timeout time.Duration) cloud.Function {
		return cloud.Function{Name: name, Qualifiers: map[string]string{"live": "1"}, MiB: 128, Timeout: timeout,
			Dir: dir, Command: []string{filepath.Join(dir, "bootstrap")}}
	}
	s, err := cloud.New(cloud.Config{Keys: map[string]string{keyID: secret},
		Functions: []cloud.Function{deploy("probe", time.Minute), deploy("hasty", time.Second)}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l, nil) }()
	t.Cleanup(func() { cancel(); <-done; s.Close() })
	pooltest.Run(t, pooltest.Fixture{Pool: newPool(t, "http://"+l.Addr().String()),
		Probe: function("probe", time.Minute), Hasty: function("hasty", time.Second), MiB: 128})
}
