package billing

import (
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
)

// Kind of a ledger line. (Invocation, Attempt, Kind) is the key of a line.
type Kind string

const (
	// KindIntent is written, and durable, before a cloud send. It carries the
	// reservation and the deadline, and no amount.
	KindIntent Kind = "intent"
	// KindCharge is what an executed attempt cost.
	KindCharge Kind = "charge"
	// KindEstimate is posted in place of a charge when the outcome is unknown at
	// the deadline: the reservation for a cloud attempt, the time until the last
	// sign of life for an on-prem one.
	KindEstimate Kind = "estimate"
	// KindReversal takes back an estimate that reconciliation corrected; its
	// amounts are negative.
	KindReversal Kind = "reversal"
	// KindVoid closes an intent whose attempt was not executed: no amount.
	KindVoid Kind = "void"
)

// Entry is one ledger line: immutable once posted.
type Entry struct {
	Kind       Kind
	Invocation string
	Attempt    int

	// Writer is the ledger directory that wrote it, Sequence its position in what
	// that writer wrote, from 1 without gaps. The ledger sets both.
	Writer   string
	Sequence int64

	Namespace    string
	NamespaceUID string
	Department   string
	Caller       string
	Function     string
	Revision     string
	Pool         string
	Region       string
	Cloud        bool
	// CloudFunction is the provider's name or ARN of what was called; empty on-prem,
	// and on lines from before it was kept.
	CloudFunction string
	Reason        spillway.Reason // why it was placed there

	Admitted time.Time // decides the billing window
	Posted   time.Time // when this line was made; of a begun attempt, its begin
	Deadline time.Time // of an intent: the attempt cannot be running after this

	Resources spillway.Resources // held while it ran
	Usage     spillway.Usage
	Outcome   spillway.OutcomeClass
	Error     spillway.FunctionError

	Currency     string
	PriceVersion string
	Rate         spillway.Rate // the prices of PriceVersion
	BilledMillis int64         // see Meter
	Amount       apd.Decimal   // exact to 18 decimals, see Price; of a reversal negative
	Reserved     spillway.Nano // of an intent
	Settled      spillway.Nano // what budgets count: Rate.CeilNano of a cloud line, 0 on-prem

	// RequestKey identifies the client's request for joining repeated attempts:
	// identity, function and its Amz-Sdk-Invocation-Id or Idempotency-Key. Empty if none.
	RequestKey string
}
