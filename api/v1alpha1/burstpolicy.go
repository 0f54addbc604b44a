package v1alpha1

// BurstPolicy says how the calls of some functions may overflow. At most 1000.
// If none is called default, one is made: OnPremOnly on all process pools.
type BurstPolicy struct {
	Header `json:",inline"`
	Spec   BurstPolicySpec `json:"spec"`
}

// BurstPolicySpec describes a burst policy.
type BurstPolicySpec struct {
	// Which side of the cloud border to use: OnPremOnly, Hybrid or CloudOnly.
	// Default Hybrid.
	Mode string `json:"mode,omitempty"`
	// Names of pools, most preferred first. Default: process pools by name, then
	// cloud pools by name.
	Order []string `json:"order,omitempty"`
	// Cloud calls in flight under this policy, 0 to 1000000; 0 stops bursting.
	// Default: not limited.
	MaxBurstConcurrency *int64 `json:"maxBurstConcurrency,omitempty"`
	// How long a call that could burst waits for an on-prem place, up to 1m.
	// Default 50ms.
	OnPremWaitBudget *Duration `json:"onPremWaitBudget,omitempty"`
}
