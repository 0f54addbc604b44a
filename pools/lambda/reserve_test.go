package lambda_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

func TestReserve(t *testing.T) {
	var turns atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(turns.Load()) * time.Second / 15) } // the control plane's rate
	s, err := cloud.New(cloud.Config{Keys: map[string]string{keyID: secret}, Functions: []cloud.Function{handled(t, "fn")}, Concurrency: 500, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() { web.Close(); s.Close() })
	pool := newPool(t, web.URL)
	pace := func(context.Context) error { turns.Add(1); return nil }
	r := pool.Reserver(pace)
	has := func(want int64) {
		t.Helper()
		got, err := r.Reserved(t.Context(), "fn")
		if err != nil || (got == nil) != (want < 0) || got != nil && *got != want {
			t.Errorf("%v, %v; want %d", err, got, want)
		}
	}
	has(-1)
	for _, n := range []int64{400, 0, 7} {
		if err := r.Reserve(t.Context(), "fn", n); err != nil {
			t.Fatal(err)
		}
		has(n)
	}
	if got, err := pool.Inspector(pace).Account(t.Context()); err != nil || got != (clouddrift.Account{Concurrency: 500, Unreserved: 493}) {
		t.Errorf("%v: %+v", err, got)
	}
	for name, says := range map[error]string{
		r.Reserve(t.Context(), "fn", 401):   "400 InvalidParameterValueException: more than the account has left, of which 100 stay unreserved",
		r.Reserve(t.Context(), "fn", -1):    "-1 calls",
		r.Reserve(t.Context(), "fn", 1<<40): "cannot be reserved",
		r.Reserve(t.Context(), "nobody", 1): "PutFunctionConcurrency with 404 ResourceNotFoundException",
		r.Unreserve(t.Context(), "nobody"):  "DeleteFunctionConcurrency with 404",
	} {
		if name == nil || !strings.Contains(name.Error(), says) || strings.Contains(name.Error(), secret) {
			t.Errorf("%v does not say %q", name, says)
		}
	}
	if _, err := r.Reserved(t.Context(), "nobody"); !errors.Is(err, clouddrift.ErrNoFunction) {
		t.Error(err)
	}
	has(7)
	for range 2 {
		if err := r.Unreserve(t.Context(), "fn"); err != nil {
			t.Fatal(err)
		}
		has(-1)
	}
}
