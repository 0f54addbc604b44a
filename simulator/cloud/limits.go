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

// rateFactor is how many requests a second Lambda takes per unit of concurrency.
const rateFactor = 10

// meter admits n events at once and then n per window, evenly: a token bucket
// kept as the instant at which it will be full again.
type meter struct {
	interval time.Duration
	window   time.Duration
	full     time.Time
}

func newMeter(n int, window time.Duration) meter {
	if n == 0 {
		return meter{}
	}
	interval := window / time.Duration(n)
	return meter{interval: interval, window: interval * time.Duration(n)}
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
type share struct {
	limit    int
	inFlight int
	requests meter
	reserved bool
}

func newShare(limit int, reserved bool) *share {
	return &share{limit: limit, reserved: reserved, requests: newMeter(limit*rateFactor, time.Second)}
}

// admit counts one more in flight, or says which limit it would break. ramp is
// that of the function, or nil when an idle environment takes the call.
func (s *share) admit(now time.Time, ramp *meter) (reason string) {
	switch {
	case !s.requests.has(now) && s.limit > 0:
		return s.pick(ReasonReservedRate, ReasonRate)
	case s.inFlight >= s.limit:
		s.requests.take(now)
		return s.pick(ReasonReservedConcurrency, ReasonConcurrency)
	case ramp != nil && !ramp.has(now):
		s.requests.take(now)
		return ReasonConcurrency
	}
	s.requests.take(now)
	if ramp != nil {
		ramp.take(now)
	}
	s.inFlight++
	return ""
}

func (s *share) pick(reserved, shared string) string {
	if s.reserved {
		return reserved
	}
	return shared
}
