// Package policy holds what a policy evaluation needs and yields. The engine
// that evaluates Rego is in policy/rego, the only importer of OPA.
package policy

import (
	"math/bits"

	"github.com/spillway-dev/spillway"
)

// Input is everything a policy may know of a call. It is comparable and the
// whole of it is the cache key, so every field is a name or a bucket. Facts that
// are the same for all calls (pools, their kinds and regions) are data, not input.
type Input struct {
	Namespace  string
	Department string
	Function   string
	Revision   string
	Caller     string
	DataClass  string
	Residency  string // permitted regions, sorted, joined with ","; empty permits all
	Burst      string // "allow" or "deny"
	PayloadKiB int64  // rounded up to a power of two
	Minute     int64  // admission, cut to the minute, in Unix seconds
}

// InputOf returns the input for a call of f at now.
func InputOf(p *spillway.Platform, f *spillway.Function, caller string, payloadBytes int64, now spillway.Instant, residency string) Input {
	burst := "deny"
	if f.Burst == spillway.BurstAllow {
		burst = "allow"
	}
	seconds := int64(now) / 1e9
	return Input{
		Namespace:  f.FunctionKey.Namespace,
		Department: p.Namespaces[f.Namespace].Department,
		Function:   f.Name,
		Revision:   f.Revision,
		Caller:     caller,
		DataClass:  f.DataClass,
		Residency:  residency,
		Burst:      burst,
		PayloadKiB: bucketKiB(payloadBytes),
		Minute:     seconds - seconds%60,
	}
}

// bucketKiB rounds n bytes up to a power of two KiB; zero stays zero.
func bucketKiB(n int64) int64 {
	if n <= 0 {
		return 0
	}
	kib := (uint64(n) + 1023) / 1024
	return 1 << min(bits.Len64(kib-1), 62)
}

// Verdict is what a policy said of one Input. It is immutable and shared by all
// calls with an equal Input.
type Verdict struct {
	ID         string // of this verdict, for audit
	Revision   string // digest of the policy bundle that gave it
	Generation int64  // of the Platform whose pool indices Permitted uses
	Permitted  spillway.PoolSet
	// Denials says why a pool is not permitted, by pool index.
	Denials [spillway.MaxPools]string
	// Failed is set when the policy did not answer (timeout, error, undefined);
	// nothing is permitted then.
	Failed string
}
