// Package apiserver starts API servers for tests that need nothing else of a cluster.
package apiserver

import (
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

// Start starts etcd and an API server until the test ends, and returns how an
// administrator reaches it. changes are made before that.
func Start(t testing.TB, changes ...func(*envtest.Environment)) *rest.Config {
	t.Helper()
	env := &envtest.Environment{BinaryAssetsDirectory: kubetest.Assets(t), ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	env.ControlPlane.GetAPIServer().CertDir = t.TempDir()
	for _, change := range changes {
		change(env)
	}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	return config
}
