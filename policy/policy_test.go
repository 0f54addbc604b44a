package policy

import (
	"math"
	"testing"

	"github.com/spillway-dev/spillway"
)

func TestInputOf(t *testing.T) {
	p := &spillway.Platform{Namespaces: []spillway.Namespace{{Name: "other"}, {Name: "retail", Department: "sales"}}}
	f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "retail", Name: "resize"}, Namespace: 1,
		Revision: "2", DataClass: "public", Burst: spillway.BurstAllow}
	got := InputOf(p, f, "ci", 3000, 1795300217e9, "eu-central-1")
	want := Input{"retail", "sales", "resize", "2", "ci", "public", "eu-central-1", "allow", 4, 1795300200}
	if got != want {
		t.Errorf("input %+v, want %+v", got, want)
	}
	f.Burst = spillway.BurstDeny
	if got := InputOf(p, f, "ci", 0, 0, ""); got.Burst != "deny" || got.PayloadKiB != 0 {
		t.Errorf("input %+v", got)
	}
}

func TestPayloadsAreRoundedUpToAPowerOfTwo(t *testing.T) {
	for bytes, want := range map[int64]int64{-1: 0, 0: 0, 1: 1, 1024: 1, 1025: 2, 2048: 2, 2049: 4, 6 << 20: 6144 + 2048, math.MaxInt64: 1 << 53} {
		if got := bucketKiB(bytes); got != want {
			t.Errorf("%d bytes are %d KiB, want %d", bytes, got, want)
		}
	}
}
