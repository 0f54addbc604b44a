package cloud

import "time"

// Throttle reasons as Lambda writes them.
const (
	ReasonConcurrency         = "ConcurrentInvocationLimitExceeded"
	ReasonReservedConcurrency = "ReservedFunctionConcurrentInvocationLimitExceeded"
	ReasonRate                = "FunctionInvocationRateLimitExceeded"
	ReasonReservedRate        = "ReservedFunctionInvocationRateLimitExceeded"
	ReasonCallerRate          = "CallerRateLimitExceeded"
)

// Throttle reasons of SCF.
const (
	ReasonQuota = "ResourceLimitReached" // 432: memory in flight
	ReasonRamp  = "ResourceLimit"        // 429: new instances
)

// rateFactor is how many requests a second Lambda takes per unit of concurrency.
const rateFactor = 10

// meter admits n events at once and then n per window, evenly: a token bucket
// kept as the instant at which it will be full again.
type meter struct {
	interval time.Duration
	window   time.Duration
	full     time.Time
}

func newMeter(n int, window time.Duration) *meter {
	if n == 0 {
		return &meter{}
	}
	interval := window / time.Duration(n)
	return &meter{interval: interval, window: interval * time.Duration(n)}
}

func (m *meter) has(now time.Time) bool {
	return m.window > 0 && !m.full.Add(m.interval).After(now.Add(m.window))
}

func (m *meter) take(now time.Time) {
	if m.full.Before(now) {
		m.full = now
	}
	m.full = m.full.Add(m.interval)
}

// share is a part of the account's concurrency with its request rate: one is
// common to all functions without a reservation, each reservation has its own.
// Lambda counts calls in it, SCF counts MiB.
type share struct {
	limit    int
	inFlight int
	peak     int
	requests *meter // nil on SCF, which has no such rate
	reasons  reasons
}

// reasons are how the provider calls the limits of a share.
type reasons struct{ rate, limit, ramp string }

var (
	lambdaShared   = reasons{ReasonRate, ReasonConcurrency, ReasonConcurrency}
	lambdaReserved = reasons{ReasonReservedRate, ReasonReservedConcurrency, ReasonConcurrency}
	scfReasons     = reasons{limit: ReasonQuota, ramp: ReasonRamp}
)

// admit counts a call of weight in flight, or says which limit it would break.
// ramp is nil when an idle environment takes the call.
func (s *share) admit(now time.Time, ramp *meter, weight int) (reason string) {
	if s.requests != nil {
		if !s.requests.has(now) && s.limit > 0 {
			return s.reasons.rate
		}
		s.requests.take(now)
	}
	switch {
	case weight > s.limit-s.inFlight:
		return s.reasons.limit
	case ramp != nil && !ramp.has(now):
		return s.reasons.ramp
	}
	if ramp != nil {
		ramp.take(now)
	}
	s.inFlight += weight
	s.peak = max(s.peak, s.inFlight)
	return ""
}
