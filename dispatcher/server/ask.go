package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/pools"
)

// Ask is one authenticated request to run a function.
type Ask struct {
	Function  spillway.FunctionKey
	Qualifier string // empty, "$LATEST" or the revision's name
	Caller    string // identity
	Payload   []byte // not modified; kept until the call ends
	// ClientContext is JSON, or empty. The server adds its own keys under "custom".
	ClientContext string
	LogTail       bool
	Deadline      time.Time // zero: the function's own
	// Web makes this a call of a web function. Such calls are never joined: an answer
	// that streams cannot be given twice.
	Web *Web
	// RequestKey joins repeated attempts of one request: the client's
	// Amz-Sdk-Invocation-Id or Idempotency-Key. Empty: never joined. It is scoped to
	// the caller, the function and the revision that Qualifier names by the server.
	RequestKey string
	// Stale is set if it is remembered that Caller may invoke Function, and cannot be
	// looked up again now: the call is sent to no cloud.
	Stale bool

	id    string                      // of the call; empty: a new one
	pools spillway.PoolSet            // that it may use; zero: all
	ready func(context.Context) error // asked before the call begins; what it returns is Invoke's error, and nothing ran
}

// pinned reports that the Ask names the revision that is to serve it.
func (a *Ask) pinned() bool { return a.Qualifier != "" && a.Qualifier != "$LATEST" }

// scopedKey is RequestKey among those of all requests.
func (a *Ask) scopedKey() string {
	asked := a.Function.String()
	if a.pinned() {
		asked += ":" + a.Qualifier
	}
	return a.Caller + "\x00" + asked + "\x00" + a.RequestKey
}

// bytes is the size of the request's body as policies see it. A stream of unknown
// length is as large as they come.
func (a *Ask) bytes() int64 {
	switch {
	case a.Web == nil || a.Web.Body == nil:
		return int64(len(a.Payload))
	case a.Web.Length < 0:
		return math.MaxInt64
	}
	return a.Web.Length
}

// Answer is how a call ended. It is shared by all requests that joined it and is
// not modified.
type Answer struct {
	Decision *dispatcher.Decision
	// Explanation is Decision in words, on the platform it was decided by. It is nil
	// for a call that ran where it was preferred: Placement says that in short.
	Explanation *dispatcher.Explanation
	// Placement is set unless the call was refused.
	Placement Placement

	// Payload is the function's answer, or its error as Lambda writes one. Empty for
	// refusals.
	Payload         []byte
	FunctionError   spillway.FunctionError
	LogTail         []byte
	ExecutedVersion string

	// Web is the answer of a web function, nil if there is none. With a cause in the
	// last attempt it was begun and broke off.
	Web *pools.WebAnswer
}

// Refused reports why the call was refused, or ReasonNone.
func (a *Answer) Refused() spillway.Reason { return a.Decision.Refusal }

// Unknown reports that the call may have run and its result is not known.
func (a *Answer) Unknown() bool {
	return a.Refused() == spillway.ReasonNone && a.Decision.Class() == spillway.Unknown
}

// UnknownFunctionError names a function, or a revision of it, that is not here.
type UnknownFunctionError struct {
	Function  spillway.FunctionKey
	Qualifier string // set if the function is known and this revision is not
}

func (e *UnknownFunctionError) Error() string {
	if e.Qualifier != "" {
		return fmt.Sprintf("function %s has no revision %s", e.Function, e.Qualifier)
	}
	return fmt.Sprintf("function not found: %s", e.Function)
}

var (
	// ErrDraining answers calls after shutdown has begun. Nothing ran.
	ErrDraining = errors.New("server is shutting down; nothing ran")
	// ErrKeyReused reports a RequestKey that came before with another payload.
	ErrKeyReused = errors.New("this idempotency key was used before with another payload")
	// ErrResultGone reports a RequestKey whose first call has ended and whose result
	// is no longer kept. That call was not repeated.
	ErrResultGone = errors.New("this request has been answered before and its result is no longer kept")
	// errNotBegun marks errors of requests that may be repeated: nothing ran.
	errNotBegun = errors.New("nothing ran")
	errEnded    = errors.New("the first attempt of this request ended without an answer; it may have run")
	// ErrUnknownInvocation reports an id that neither memory nor ledger knows.
	ErrUnknownInvocation = errors.New("no record of this invocation: it is unknown, or older than what is kept")
)
