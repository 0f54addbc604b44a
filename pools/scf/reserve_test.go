package scf_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway/clouddrift"
)

func TestReserve(t *testing.T) {
	_, url := standIn(t, handled(t, "fn"))
	r := newPool(t, url).Reserver(unpaced)
	has := func(want int64) {
		t.Helper()
		got, err := r.Reserved(t.Context(), "fn")
		if err != nil || (got == nil) != (want < 0) || got != nil && *got != want {
			t.Errorf("%v, %v; want %d", err, got, want)
		}
	}
	has(-1)
	for _, mib := range []int64{115_200, 0, 1280} {
		if err := r.Reserve(t.Context(), "fn", mib); err != nil {
			t.Fatal(err)
		}
		has(mib)
	}
	for name, says := range map[error]string{
		r.Reserve(t.Context(), "fn", 115_201): "LimitExceeded.FunctionReservedConcurrencyMemory: more than the account has left, of which 12,800 MiB stay unreserved",
		r.Reserve(t.Context(), "fn", -1):      "-1 MiB",
		r.Reserve(t.Context(), "nobody", 1):   "PutReservedConcurrencyConfig with ResourceNotFound.Function",
		r.Unreserve(t.Context(), "nobody"):    "DeleteReservedConcurrencyConfig with ResourceNotFound.Function",
	} {
		if name == nil || !strings.Contains(name.Error(), says) || strings.Contains(name.Error(), secret) {
			t.Errorf("%v does not say %q", name, says)
		}
	}
	if _, err := r.Reserved(t.Context(), "nobody"); !errors.Is(err, clouddrift.ErrNoFunction) {
		t.Error(err)
	}
	has(1280)
	for range 2 {
		if err := r.Unreserve(t.Context(), "fn"); err != nil {
			t.Fatal(err)
		}
		has(-1)
	}
}
