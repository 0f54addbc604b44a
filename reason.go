package spillway

// Reason says why a call was placed where it was, or why it was refused. The
// same words appear in the HTTP answer, metric labels, explanations and the bill.
type Reason uint8

const (
	ReasonNone Reason = iota

	// Placement reasons.

	ReasonPreferred        // the first pool of the order had room
	ReasonWeight           // the weights of the burst policy chose it
	ReasonCanary           // as preferred, of a revision that takes a part of the traffic
	ReasonPinned           // only one pool may run it
	ReasonOverflowQuota    // on-prem quota was used up
	ReasonOverflowCapacity // the on-prem pool was full
	ReasonOverflowWait     // on-prem stayed full for the whole wait budget
	ReasonOverflowHealth   // the on-prem pool was not healthy
	ReasonReplaced         // a first attempt was not executed and was placed again

	// Refusal reasons.

	ReasonDenied         // policy, residency or mode leaves no pool
	ReasonQuotaExceeded  // a quota limit
	ReasonBudgetExceeded // a money budget, or no budget at all
	ReasonNoCapacity     // every permitted pool is full
	ReasonDeadline       // the deadline passed before it could start
	ReasonUnavailable    // a permitted pool or the ledger cannot take it now

	reasonCount
)

var reasonNames = [reasonCount]string{
	"none",
	"preferred", "weight", "canary", "pinned", "overflow_quota", "overflow_capacity", "overflow_wait", "overflow_health", "replaced",
	"denied", "quota_exceeded", "budget_exceeded", "no_capacity", "deadline", "unavailable",
}

func (r Reason) String() string { return reasonNames[r] }

// MarshalText writes the name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(reasonNames[r]), nil }

// UnmarshalText reads a name as String writes it; unknown names become ReasonNone.
func (r *Reason) UnmarshalText(text []byte) error {
	*r = ReasonNone
	for i, name := range reasonNames {
		if name == string(text) {
			*r = Reason(i)
		}
	}
	return nil
}

// Refusal reports whether r is a reason to refuse.
func (r Reason) Refusal() bool { return r >= ReasonDenied }

// Overflow reports whether r moved the call off its preferred pool.
func (r Reason) Overflow() bool { return r >= ReasonOverflowQuota && r <= ReasonReplaced }

// Reasons returns all placement and refusal reasons, for metrics and docs.
func Reasons() []Reason {
	all := make([]Reason, 0, reasonCount-1)
	for r := ReasonPreferred; r < reasonCount; r++ {
		all = append(all, r)
	}
	return all
}
