package memory_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
	"github.com/spillway-dev/spillway/pools/pooltest"
	"github.com/spillway-dev/spillway/pools/pooltest/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runProbe is the probe as a Func.
func runProbe(ctx context.Context, r pools.Request, log io.Writer) ([]byte, error) {
	var clientContext struct{ Custom map[string]string }
	if err := json.Unmarshal([]byte(r.ClientContext), &clientContext); err != nil {
		return nil, err
	}
	answer, err := probe.Run(ctx, clientContext.Custom, r.Payload, log, func() {})
	if errors.Is(err, probe.ErrExit) {
		return nil, memory.ErrExit
	}
	return answer, err
}

// webProbe is the probe as a WebFunc.
func webProbe(ctx context.Context, w *pools.Web, payload []byte) (*pools.WebAnswer, error) {
	answer, err := probe.Run(ctx, probe.CustomOf(w.Header), payload, io.Discard, func() {})
	if errors.Is(err, probe.ErrExit) {
		return nil, memory.ErrExit
	}
	return &pools.WebAnswer{Status: http.StatusOK, Header: http.Header{}, Body: append(w.Room[:0], answer...)}, err
}

func startProbe(ctx context.Context, f *spillway.Function) (pools.ColdStart, error) {
	for _, variable := range f.Env {
		switch how, ok := strings.CutPrefix(variable, probe.StartVariable+"="); {
		case ok && how == "exit":
			return pools.ColdStart{}, memory.ErrExit
		case ok:
			return pools.ColdStart{}, probe.Hold(ctx, how)
		}
	}
	return pools.ColdStart{}, nil
}

func function(timeout time.Duration) *spillway.Function {
	f := &spillway.Function{
		FunctionKey: spillway.FunctionKey{Namespace: "test", Name: "probe"},
		Resources:   spillway.Resources{Slots: 1, MiB: 256},
		Timeout:     timeout,
	}
	f.Bindings[1] = spillway.Binding{Name: "probe", MiB: 256, Timeout: timeout}
	return f
}

func TestConformance(t *testing.T) {
	options := memory.Options{Run: runProbe, Web: webProbe, Start: startProbe}
	fixture := pooltest.Fixture{Probe: function(time.Minute), Hasty: function(300 * time.Millisecond), MiB: 256}
	t.Run("Pool", func(t *testing.T) {
		pool := memory.New(options)
		defer pool.Close()
		fixture := fixture
		fixture.Web = function(time.Minute)
		fixture.Web.Contract = spillway.ContractHTTP
		fixture.Pool, fixture.Kill = pool, func(id spillway.InstanceID) { pool.Kill(id) }
		pooltest.Run(t, fixture)
		if n := pool.Instances(); n != 0 {
			t.Errorf("%d instances left", n)
		}
	})
	t.Run("Cloud", func(t *testing.T) {
		fixture := fixture
		fixture.Pool = memory.NewCloud(1, options)
		pooltest.Run(t, fixture)
	})
}
