package scf_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools/pooltest"
	"github.com/spillway-dev/spillway/pools/scf"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	keyID  = "AKIDCANARY0000000001"
	secret = "canary-secret-canary-secret-canary-0001"
)

// credentials writes a credentials file and names it as a pool does.
func credentials(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	text := "# keys\n[default]\nsecret_id = " + keyID + "\nsecret_key = " + secret + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

// newPool is an SCF pool on an endpoint of this machine.
func newPool(t testing.TB, endpoint string) *scf.Pool {
	t.Helper()
	p, err := scf.New(t.Context(), &spillway.Pool{Name: "canton", Kind: spillway.PoolSCF, Region: "ap-guangzhou",
		InitTimeout: time.Second, SCF: spillway.SCFEndpoint{Endpoint: endpoint, CredentialsFrom: credentials(t)}})
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

// deployment is an SCF package: the shim as bootstrap, and the unmodified Lambda
// package of the probe in the folder beside it.
func deployment(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bootstrap"), "github.com/spillway-dev/spillway/cmd/spillway-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the shim: %v\n%s", err, out)
	}
	if err := os.Symlink(pooltest.Build(t), filepath.Join(dir, "lambda")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// standIn runs a cloud with functions until the test ends.
func standIn(t testing.TB, functions ...cloud.Function) (*cloud.Server, string) {
	t.Helper()
	s, err := cloud.New(cloud.Config{Provider: cloud.SCF, Keys: map[string]string{keyID: secret}, Functions: functions})
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
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, "http://" + l.Addr().String()
}

// TestConformance runs the pool against the strict stand-in, which checks
// signatures and runs the shim beside a real Lambda binary.
func TestConformance(t *testing.T) {
	dir := deployment(t)
	deploy := func(name string, timeout time.Duration) cloud.Function {
		return cloud.Function{Name: name, Qualifiers: map[string]string{"live": "1"}, MiB: 128, Timeout: timeout,
			Dir: dir, Command: []string{"bootstrap"}}
	}
	_, url := standIn(t, deploy("probe", time.Minute), deploy("hasty", time.Second))
	pooltest.Run(t, pooltest.Fixture{Pool: newPool(t, url),
		Probe: function("probe", time.Minute), Hasty: function("hasty", time.Second), MiB: 128})
}
