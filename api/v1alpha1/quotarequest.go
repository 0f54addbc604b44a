package v1alpha1

import "time"

// KindQuotaRequest is the kind of a QuotaRequest. Servers write such objects; a
// configuration directory holds none.
const KindQuotaRequest = "QuotaRequest"

// QuotaRequest asks for other limits of one Quota. Spec never changes.
type QuotaRequest struct {
	Header `json:",inline"`
	Spec   QuotaRequestSpec   `json:"spec"`
	Status QuotaRequestStatus `json:"status"`
}

// QuotaRequestSpec is what is asked for.
//
// +kubebuilder:object:generate=false
type QuotaRequestSpec struct {
	// Name of the Quota.
	Quota string `json:"quota"`
	// Identity that asks.
	Requester string `json:"requester"`
	// Limits to have in place of those of the Quota; what is not written stays.
	Nominal Nominal `json:"nominal,omitzero"`
	// Budgets to have in place of those for the same window, or besides them.
	//
	// +listType=map
	// +listMapKey=window
	Budgets []Budget `json:"budgets,omitempty"`
	// For who decides.
	Reason string `json:"reason"`
	// When an approval ends by itself. Default: never.
	//
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	Until *time.Time `json:"until,omitempty"`
}

// Phases of a QuotaRequest.
const (
	PhaseAsked     = "asked"
	PhaseSimulated = "simulated"
	PhaseApproved  = "approved"
	PhaseDenied    = "denied"
	PhaseRevoked   = "revoked"
)

// QuotaRequestStatus is what became of a request.
type QuotaRequestStatus struct {
	// asked, simulated, approved, denied or revoked.
	Phase string `json:"phase"`
	// Digest of the limits that the configuration directory gave the Quota when the
	// request was approved. An approval holds while they are those.
	Base string `json:"base,omitempty"`
	// The latest simulation.
	Simulation *QuotaSimulation `json:"simulation,omitempty"`
	// What happened, oldest first. It only grows.
	History []QuotaEvent `json:"history"`
}

// QuotaEvent is one step in the life of a request.
//
// +kubebuilder:object:generate=false
type QuotaEvent struct {
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	At      time.Time `json:"at"`
	By      string    `json:"by"`   // identity
	What    string    `json:"what"` // the phase that it led to
	Comment string    `json:"comment,omitempty"`
	// Of an approval and of its end: the limits of the Quota before and after.
	Before *QuotaLimits `json:"before,omitempty"`
	After  *QuotaLimits `json:"after,omitempty"`
	// Of a simulation: what it found, and the digest of its report.
	Summary string `json:"summary,omitempty"`
	Report  string `json:"report,omitempty"`
}

// QuotaLimits is what a request can change of a Quota.
type QuotaLimits struct {
	Nominal Nominal  `json:"nominal,omitzero"`
	Budgets []Budget `json:"budgets,omitempty"`
}

// QuotaSimulation is what a replay of a team's own calls found.
//
// +kubebuilder:object:generate=false
type QuotaSimulation struct {
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	At     time.Time `json:"at"`
	Trace  string    `json:"trace"`  // where the calls are from, in words
	Base   string    `json:"base"`   // digest of the limits that the Quota had
	Length Duration  `json:"length"` // that the costs are of
	Calls  int64     `json:"calls"`  // of the trace
	// Calls of functions that the Quota does not have, which were left out.
	Skipped  int64  `json:"skipped"`
	Currency string `json:"currency"`
	// With the limits as they are, and as asked for.
	Present QuotaOutcome `json:"present"`
	Asked   QuotaOutcome `json:"asked"`
	// What changes, in a line.
	Summary string `json:"summary"`
	// sha256:<64 hex digits> of the whole report, which is kept under that name.
	Report string `json:"report,omitempty"`
}

// QuotaOutcome is how calls would have fared.
type QuotaOutcome struct {
	Placed   int64            `json:"placed"`
	Overflow int64            `json:"overflow"` // placed in clouds
	Refused  int64            `json:"refused"`
	Reasons  map[string]int64 `json:"reasons,omitempty"` // of refusals
	WaitP95  Duration         `json:"waitP95"`           // of placed calls
	// Exact, of cloud calls over Length.
	BurstCost Decimal `json:"burstCost"`
}
