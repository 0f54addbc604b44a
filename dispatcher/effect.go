package dispatcher

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// EffectKind says what a driver must do.
type EffectKind uint8

const (
	// Start runs the latest attempt of Decision on Pool (and Instance, on-prem),
	// and reports its end with Complete. Before a cloud send the driver makes the
	// intent durable; before an on-prem start it journals the beginning.
	Start EffectKind = iota
	// Post writes the ledger line of one attempt. It precedes the Reply of its call.
	Post
	// Reply answers the call. Its handle is no longer valid.
	Reply
	// StartInstance starts Instance of Function on Pool and reports InstanceReady
	// or InstanceFailed.
	StartInstance
	// StopInstance stops an idle instance and reports InstanceStopped.
	StopInstance
)

// Handle names a call inside an Engine, from Admit to Reply.
type Handle uint64

// Effect is one thing to do. Which fields are set depends on Kind.
type Effect struct {
	Kind     EffectKind
	Call     Handle
	Decision *Decision
	Attempt  int // Start, Post: from 1
	Pool     int
	Instance spillway.InstanceID
	Function *spillway.Function

	Line    billing.Kind  // Post
	Settled spillway.Nano // Post: what the Engine books
	Open    *OpenIntent   // Post of an attempt restored after a restart
}
