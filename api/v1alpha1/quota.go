package v1alpha1

// Quota is one node of the quota tree. A call is checked at the node of its
// namespace and at every node above. At most 10000.
type Quota struct {
	Header `json:",inline"`
	Spec   QuotaSpec `json:"spec"`
}

// QuotaSpec describes a node.
type QuotaSpec struct {
	// Name of the Quota above. Default: none, a root.
	Parent string `json:"parent,omitempty"`
	// Who is billed for the namespaces of this node and below, unless a nearer
	// node names another. A DNS label. Default: as the parent.
	Department string `json:"department,omitempty"`
	// Namespaces that belong here. A namespace belongs to at most one node.
	//
	// +listType=set
	Namespaces []string `json:"namespaces,omitempty"`
	// What the calls may hold at once.
	Nominal Nominal `json:"nominal,omitzero"`
	// How far above nominal the calls may go while others under the same parent
	// leave room. Borrowed places come back when their calls end. Default: nothing.
	BorrowingLimit Nominal `json:"borrowingLimit,omitzero"`
	// How much of nominal others may use while this node does not; what is not
	// lent is kept free. Default: all of it.
	LendingLimit Nominal `json:"lendingLimit,omitzero"`
	// Limits on money, at most one per window. A namespace without a budget here
	// or above may not burst.
	//
	// +listType=map
	// +listMapKey=window
	Budgets []Budget `json:"budgets,omitempty"`
	// Identities that may approve and deny quota requests for this node. Default: as
	// the parent; without any above, nobody may.
	//
	// +listType=set
	Approvers []string `json:"approvers,omitempty"`
}

// Nominal is a limit for each class of pools. What is not written is not limited.
type Nominal struct {
	// On-prem pools.
	OnPrem *Capacity `json:"onPrem,omitempty"`
	// Cloud pools.
	Cloud *Capacity `json:"cloud,omitempty"`
	// Offline pools: what jobs, and calls of class offline, hold on idle capacity.
	Offline *Capacity `json:"offline,omitempty"`
}

// Budget is a limit on money for each calendar window. A call belongs to the
// window of its admission.
type Budget struct {
	// hour, day or month. Required.
	Window string `json:"window"`
	// Decimal amount with at most 9 decimals, such as "0.50". 0 allows no paid
	// call. Required.
	Amount *Amount `json:"amount"`
	// ISO 4217 code; it must be the price book's currency or have an exchange rate.
	// While the rate has lapsed the amount counts as 0. Default: the price book's.
	Currency string `json:"currency,omitempty"`
	// IANA time zone of the window's borders. Default UTC.
	TimeZone string `json:"timeZone,omitempty"`
	// When it is spent: reject the call, or redirect it (wait on-prem). Default
	// reject.
	AtLimit string `json:"atLimit,omitempty"`
}
