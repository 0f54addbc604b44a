package simulator

import (
	"context"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Policy answers what pools a call may use. The live server asks the same one.
type Policy interface {
	Evaluate(ctx context.Context, now spillway.Instant, in policy.Input) *policy.Verdict
}

// Source gives calls in the order of their arrival, and io.EOF after the last.
type Source interface {
	Next(into []trace.Call) (int, error)
}

// Config is one run.
type Config struct {
	Platform *spillway.Platform
	Policy   Policy
	Calls    Source
	// Functions says for each function of the trace which one of the platform it is,
	// by index; a negative index leaves its calls out and counts them.
	Functions []int
	Start     spillway.Instant // of the trace
	Length    time.Duration    // of the trace; owned pools are paid for it
	Seed      uint64           // of cold starts
	Pools     []PoolModel      // by pool index
	// Warm models no instances: on-prem calls start at once where they have a place,
	// and nothing is kept or wasted.
	Warm bool
	// Step is how long one point of the time series is; at least a second.
	Step time.Duration
	// Progress, if set, is called now and then with the time that was reached.
	Progress func(at time.Duration, calls int64)
}

// PoolModel is how a pool behaves that is not there.
type PoolModel struct {
	Cold []ColdStep // what the start of an instance takes, one after the other
	// Stop is what the end of an idle on-prem instance takes; its room is used until then.
	Stop ColdStep
	// Added is what a call takes beyond its execution: network and the provider.
	Added time.Duration
	// IdleFor is how long a cloud keeps an environment after its last call.
	IdleFor time.Duration
	// Limits are what the cloud enforces; the Engine mirrors the pool's own.
	Limits spillway.CloudLimits
	// InitBilled is set where the provider bills the start of an environment.
	InitBilled bool
	// Away are times at which the pool fails or throttles, in order and apart.
	Away []Away
	// Capacity changes what an owned pool has, in order of time. Instances beyond it
	// are taken away, idle ones first, then the youngest calls, which run again elsewhere.
	// An offline pool has nothing before the first.
	Capacity []CapacityStep
}

// ColdStep is one part of a cold start. Its time is log-normal through two
// quantiles; equal ones make it constant.
type ColdStep struct {
	Name     string
	P50, P99 time.Duration
	// Outside is set for a step before the function's own initialisation: no provider
	// bills it, and recorded cold starts are without it.
	Outside bool
}

// Away is a time [From, To) since the start of the trace.
type Away struct {
	From, To time.Duration
	Throttle bool // answers 429; else it cannot be reached
}

// CapacityStep is what an owned pool has from At on.
type CapacityStep struct {
	At       time.Duration
	Capacity spillway.Resources
}
