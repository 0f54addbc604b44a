package spillway

import "time"

// Call is one request to run a function, as admitted.
type Call struct {
	ID           string // unique; a UUIDv7 in the live server
	Function     *Function
	Caller       string // identity
	PayloadBytes int64
	Pinned       bool    // the caller asked for this revision
	OnPremOnly   bool    // its payload is a stream, which no cloud takes
	Stale        bool    // its caller's permission could not be looked up again: no cloud
	Deadline     Instant // zero: the function's own
	Pools        PoolSet // the ones that its caller leaves to it; zero: all
}

// OutcomeClass is what is known about whether the code ran.
type OutcomeClass uint8

const (
	NotExecuted OutcomeClass = iota // it did not run: safe to place again
	Executed                        // it ran and the result, also a failure, is known
	Unknown                         // it may have run
)

func (c OutcomeClass) String() string {
	return [...]string{"not_executed", "executed", "unknown"}[c]
}

// Cause narrows an outcome for decisions and messages.
type Cause uint8

const (
	CauseNone        Cause = iota
	CauseThrottled         // the provider said: too many
	CauseConnect           // never connected
	CauseRejected          // the provider refused the request itself (4xx)
	CauseProvider          // the provider failed (5xx, garbage)
	CauseLost              // connection or answer lost after sending
	CauseTimeout           // the execution reached its time limit
	CauseCrashed           // the process died during the call
	CauseInitFailed        // the instance never became ready
	CauseTooLarge          // the response was over the limit
	CauseOutOfMemory       // killed at its memory limit
	CauseLedger            // no durable intent could be written, so nothing was sent
	CauseCancelled         // cancelled before it started
	CauseNoRoom            // the pool had no room for its instance
	CauseQuota             // a quota of the pool's own refused its instance
	CauseReclaimed         // online work needed the room in which it ran
	causeCount
)

func (c Cause) String() string {
	return [causeCount]string{"", "throttled", "connect", "rejected", "provider", "lost", "timeout", "crashed",
		"init_failed", "too_large", "out_of_memory", "ledger", "cancelled", "no_room", "quota", "reclaimed"}[c]
}

// FunctionError is the Lambda meaning: empty, "Handled" or "Unhandled".
type FunctionError string

const (
	FunctionOK        FunctionError = ""
	FunctionHandled   FunctionError = "Handled"
	FunctionUnhandled FunctionError = "Unhandled"
)

// Outcome is what is known of one attempt.
type Outcome struct {
	Class  OutcomeClass
	Cause  Cause
	Detail string // for people; no secrets, no payload

	FunctionError FunctionError
	Usage         Usage
	RetryAfter    time.Duration // with CauseThrottled, if the provider said
}

// Usage is what one execution consumed, as measured by what ran it.
type Usage struct {
	Started Instant // first byte to the function
	// DurationMicros is the handler's time. BilledMillis is what the provider
	// says it bills, INIT included; zero where we meter ourselves.
	DurationMicros int64
	BilledMillis   int64
	InitMicros     int64  // cold start: process or environment start to first poll
	MemoryMiB      int64  // configured, as billed
	MaxMemoryMiB   int64  // peak used, if known
	CPUMicros      int64  // user+system, if known
	ProviderID     string // the provider's request id
	Estimated      bool   // no report from the provider: our own wall clock
}

// InstanceID names one instance of a function on an on-prem pool, unique in the
// life of an Engine.
type InstanceID uint64
