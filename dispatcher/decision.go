package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/placement"
	"github.com/spillway-dev/spillway/policy"
)

// MaxAttempts bounds how often one call is placed.
const MaxAttempts = 3

// Decision is everything that was decided about one call, and the only source of
// what is said about it: headers, refusal bodies, explanations and ledger lines.
//
// The driver owns the memory and hands it to Admit; the Engine writes to it until
// it emits Reply, and not afterwards.
type Decision struct {
	Call    spillway.Call
	Verdict *policy.Verdict
	Owner   any // the driver's own, as RequestKey is; the Engine never reads them
	// RequestKey goes to every ledger line of the call.
	RequestKey string

	Admitted spillway.Instant
	Deadline spillway.Instant
	Answered spillway.Instant

	Pool    int             // where it was placed last, or -1
	Reason  spillway.Reason // why there
	Refusal spillway.Reason // ReasonNone unless refused
	Limit   spillway.Limit  // what moved or refused it
	Waited  time.Duration   // for a place, all attempts together

	// ShadowPool is the cloud pool plus one that the call would have gone to if its
	// burst policy were not in shadow mode; zero: none.
	ShadowPool int

	Filtered [spillway.MaxPools]placement.Filter // at the last placement
	// QuotaUsed is what the namespace's quota node held of the pool's class, before
	// this call, when it was placed or refused.
	QuotaUsed spillway.Resources

	Tries    int // how many of Attempts are used
	Earlier  int // attempts that ended before this decision was begun; only of a job
	Attempts [MaxAttempts]Attempt
}

// Clear makes d as good as new, for another call. It writes no more than what was
// written: most of the memory are attempts that were never made.
func (d *Decision) Clear() {
	for i := range d.Tries {
		d.Attempts[i] = Attempt{}
	}
	d.Call, d.Verdict, d.Owner, d.RequestKey = spillway.Call{}, nil, nil, ""
	d.Admitted, d.Deadline, d.Answered = 0, 0, 0
	d.Pool, d.Reason, d.Refusal, d.Limit, d.Waited = 0, spillway.ReasonNone, spillway.ReasonNone, spillway.Limit{}, 0
	d.ShadowPool, d.Filtered, d.QuotaUsed, d.Tries = 0, [spillway.MaxPools]placement.Filter{}, spillway.Resources{}, 0
	d.Earlier = 0
}

// Attempt is one placement that was carried out.
type Attempt struct {
	Pool     int
	Function *spillway.Function // as it was then
	Reason   spillway.Reason
	Cold     bool // an instance was started for it
	Placed   spillway.Instant
	Ended    spillway.Instant
	Reserved spillway.Nano // worst case, for pools paid per call
	Settled  spillway.Nano // cost, rounded up
	Outcome  spillway.Outcome
}

// Class is what is known of the call as a whole: executed if an attempt was, else
// unknown if one may have been.
func (d *Decision) Class() spillway.OutcomeClass {
	class := spillway.NotExecuted
	for i := range d.Attempts[:d.Tries] {
		switch d.Attempts[i].Outcome.Class {
		case spillway.Executed:
			return spillway.Executed
		case spillway.Unknown:
			class = spillway.Unknown
		}
	}
	return class
}

// Answering returns the attempt that the call is answered with, or nil: the latest, but
// for a call that had to go, was to begin again and did not. Then it is the one that had
// to go.
func (d *Decision) Answering() *Attempt {
	for i := d.Tries - 1; i >= 0; i-- {
		if a := &d.Attempts[i]; a.Outcome.Class != spillway.NotExecuted {
			if a.Outcome.Cause == spillway.CauseReclaimed {
				return a
			}
			break
		}
	}
	return d.Last()
}

// Last returns the latest attempt, or nil.
func (d *Decision) Last() *Attempt {
	if d.Tries == 0 {
		return nil
	}
	return &d.Attempts[d.Tries-1]
}
