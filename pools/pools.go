// Package pools is the contract between the dispatcher and what runs
// invocations. Implementations live in sub-packages; all of them pass the
// conformance suite in pools/pooltest.
//
// A pool never decides: it runs what it is told and says truthfully what
// happened. In particular it never retries, and it classifies every ending as
// not executed, executed or unknown (spillway.OutcomeClass).
package pools

import (
	"context"
	"errors"
	"time"

	"github.com/spillway-dev/spillway"
)

// MaxPayload bounds a request and a response: the synchronous limit of Lambda, 6 MiB.
const MaxPayload = 6 << 20

// MaxLogTail bounds Result.LogTail, as Lambda does.
const MaxLogTail = 4 << 10

// Request is one attempt to run one invocation.
type Request struct {
	Invocation    string
	Attempt       int // from 1
	Function      *spillway.Function
	Payload       []byte    // not modified, not kept after Invoke returns
	ClientContext string    // JSON, not base64; empty if none
	LogTail       bool      // the caller wants Result.LogTail
	Deadline      time.Time // the execution must have ended by then

	Instance spillway.InstanceID // which instance runs it; on-prem pools only

	Web *Web // set if Function is a web function; never on a cloud pool
}

// Result is how an attempt ended.
type Result struct {
	Outcome         spillway.Outcome
	Payload         []byte // the function's answer, or its error as Lambda writes it
	LogTail         []byte // last MaxLogTail bytes of what it wrote, if asked for
	ExecutedVersion string

	// Web is the answer of a web function. It is nil if there is none; with a cause in
	// Outcome it is one that was begun (Streamed) and broke off.
	Web *WebAnswer

	// InstanceGone reports that the instance ended with this attempt (timeout,
	// crash, memory limit) and has been reaped: its place is free. Of a Measurer's
	// it may not be yet: then its room is missing from Capacity until it is.
	InstanceGone bool
}

// Pool runs attempts.
type Pool interface {
	// Invoke runs one attempt and blocks until the attempt can no longer be
	// running, or until that cannot be known (Unknown). It is safe for concurrent
	// use. Cancelling ctx abandons the attempt: an on-prem pool kills it and
	// answers Executed or NotExecuted, a cloud pool answers Unknown if the request
	// may have left.
	Invoke(ctx context.Context, r Request) Result
}

// ColdStart is how long each step of starting an instance took. The step
// "first response" is the first invocation's own duration.
type ColdStart struct {
	Unpack time.Duration // fetch and unpack; near zero when cached
	Start  time.Duration // fork and exec
	Init   time.Duration // until the function first asked for work
}

// Total is the sum of the steps.
func (c ColdStart) Total() time.Duration { return c.Unpack + c.Start + c.Init }

// Starter is a pool whose instances the Engine starts and stops: every on-prem
// pool. All methods are safe for concurrent use.
type Starter interface {
	Pool

	// StartInstance makes an instance and blocks until it asks for work, fails, or
	// ctx ends. After an error nothing of the instance is left running.
	StartInstance(ctx context.Context, id spillway.InstanceID, f *spillway.Function) (ColdStart, error)

	// StopInstance ends an idle instance and blocks until it is reaped. Stopping
	// an unknown instance does nothing.
	StopInstance(ctx context.Context, id spillway.InstanceID)

	// Exits delivers the ids of idle instances that ended by themselves, after they
	// were reaped. It is closed when the pool is closed.
	Exits() <-chan spillway.InstanceID
}

// Measurer is an on-prem pool whose capacity is found out while it runs.
type Measurer interface {
	Placer

	// Capacity returns what its instances may hold together now, those that it has
	// included, and what delivers it anew when it changes, and some time after
	// ErrNoRoom at the latest. The channel is closed when the pool is closed.
	Capacity() (spillway.Resources, <-chan spillway.Resources)
}

// Placer is an on-prem pool that finds a place for each of its instances.
type Placer interface {
	Starter

	// Placed delivers the ids of instances being started when the pool has found them a
	// place: a process or container runs, and the rest of the start is the function's
	// own. It is closed when the pool is closed.
	Placed() <-chan spillway.InstanceID
}

// Why StartInstance of a Placer failed, if it says nothing against the function.
var (
	ErrNoRoom = errors.New("the pool has no room for it")
	ErrQuota  = errors.New("a quota of the pool itself refuses it")
)

// StartError is why an instance did not start.
type StartError struct {
	// Type is Lambda's word for it: Runtime.ExitError, Runtime.InvalidEntrypoint,
	// Runtime.InitTimeout, or Spillway.PackageError.
	Type string
	Err  error
}

func (e *StartError) Error() string { return e.Type + ": " + e.Err.Error() }

func (e *StartError) Unwrap() error { return e.Err }
