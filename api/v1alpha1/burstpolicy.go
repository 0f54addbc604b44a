package v1alpha1

// BurstPolicy says how the calls of some functions may overflow. At most 1000.
// If none is called default, one is made: OnPremOnly on all process pools.
type BurstPolicy struct {
	Header `json:",inline"`
	Spec   BurstPolicySpec `json:"spec"`
}

// BurstPolicySpec describes a burst policy.
type BurstPolicySpec struct {
	// Which side of the cloud border to use: OnPremOnly, Hybrid, CloudOnly, or Offline,
	// which makes every function of the policy one of class offline, with the defaults of
	// that, and lets none into a cloud. Default Hybrid.
	Mode string `json:"mode,omitempty"`
	// Names of pools, most preferred first. Default: process pools by name, then
	// cloud pools by name.
	//
	// +listType=atomic
	Order []string `json:"order,omitempty"`
	// Cloud calls in flight under this policy, 0 to 1000000; 0 stops bursting.
	// Default: not limited.
	MaxBurstConcurrency *int64 `json:"maxBurstConcurrency,omitempty"`
	// How long a call that could burst waits for an on-prem place, up to 1m.
	// Default 50ms.
	OnPremWaitBudget *Duration `json:"onPremWaitBudget,omitempty"`
	// Shares of first choices between pools of the order, as whole numbers from 0
	// to 1000; a pool that is not named is a fallback only. Default: the order
	// decides.
	Weights map[string]int64 `json:"weights,omitempty"`
	// The part of the work that may run in clouds. Default: not limited.
	MaxBurstShare *BurstShare `json:"maxBurstShare,omitempty"`
	// Limits on what calls under this policy may spend, at most one per window,
	// beside the budgets of their quota. When one is spent calls wait on-prem. A single
	// one needs no list.
	//
	// +listType=map
	// +listMapKey=window
	MaxBurstSpend []BurstSpend `json:"maxBurstSpend,omitempty"`
	// Keeps bursting from flapping. Default: it opens when on-prem is full and
	// closes when there is room.
	Hysteresis *Hysteresis `json:"hysteresis,omitempty"`
	// Regions of cloud pools that may be used. Default: all.
	//
	// +listType=set
	Regions []string `json:"regions,omitempty"`
	// When calls may burst, at most 64. Default: always.
	//
	// +listType=atomic
	Windows []BurstWindow `json:"windows,omitempty"`
	// Send nothing new to a cloud. What is there may end.
	KillSwitch bool `json:"killSwitch,omitempty"`
	// Decide and count what would have burst and its cost, and send nothing to a
	// cloud.
	Shadow bool `json:"shadow,omitempty"`
	// What is done about the concurrency that a cloud reserves for each function, which
	// is also the most that the function may have there. Show: a reservation that refuses
	// calls that are allowed here is reported. Off: none is looked at. Write: in a cluster
	// the operator makes the cloud reserve what maxBurstConcurrency and the quota tree
	// allow the function, 0 while killSwitch is on, and nothing where neither limits it;
	// what somebody else changed there is reported and left. Default Show.
	ReservedConcurrency string `json:"reservedConcurrency,omitempty"`
}

// BurstShare bounds a part of the work over a sliding window.
type BurstShare struct {
	// Most of it that may run in clouds, 0 to 100. Required.
	Percent *int64 `json:"percent"`
	// What is counted: invocations or gibSeconds. Default invocations.
	Of string `json:"of,omitempty"`
	// How far back, 1m to 24h; work is forgotten a sixtieth of it at a time.
	// Default 1h.
	Window *Duration `json:"window,omitempty"`
	// Invocations in the window before the share is enforced, 0 to 1000000.
	// Default 100.
	Minimum *int64 `json:"minimum,omitempty"`
}

// BurstSpend is a limit on money for each calendar window.
type BurstSpend struct {
	// hour, day or month. Required.
	Window string `json:"window"`
	// Decimal amount with at most 9 decimals, such as "0.50". Required.
	Amount *Amount `json:"amount"`
	// ISO 4217 code; it must be the price book's currency or have an exchange rate.
	// Default: the price book's.
	Currency string `json:"currency,omitempty"`
	// IANA time zone of the window's borders. Default UTC.
	TimeZone string `json:"timeZone,omitempty"`
}

// Hysteresis says when bursting opens and closes.
type Hysteresis struct {
	// How long on-prem must have been full before calls burst, up to 10m. Calls
	// wait meanwhile. Default 0s.
	OpenAfter *Duration `json:"openAfter,omitempty"`
	// How long on-prem must have been calm before bursting closes, up to 1h.
	// Default 0s.
	CloseAfter *Duration `json:"closeAfter,omitempty"`
	// Calm is less than this percentage of the on-prem slots in use, 1 to 100.
	// Default 100.
	CloseBelow *int64 `json:"closeBelow,omitempty"`
}

// BurstWindow is a time of day on some days of the week.
type BurstWindow struct {
	// mon, tue, wed, thu, fri, sat, sun: the days on which it begins. Default: all.
	//
	// +listType=set
	Days []string `json:"days,omitempty"`
	// Beginning, HH:MM. Required.
	From string `json:"from"`
	// End, HH:MM up to 24:00; one that is not after the beginning is on the next
	// day. Required.
	To string `json:"to"`
	// IANA time zone. Default UTC.
	TimeZone string `json:"timeZone,omitempty"`
}
