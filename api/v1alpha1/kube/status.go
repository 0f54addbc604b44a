package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Types of conditions.
const (
	// Ready: the object holds as it is written.
	Ready = "Ready"
	// Served: the dispatcher answers calls of the function with it as it is written.
	Served = "Served"
	// Burstable: calls of the function may go to a cloud now; else why not.
	Burstable = "Burstable"
	// QuotaProjected: limits are in force where they were projected to.
	QuotaProjected = "QuotaProjected"
	// Drifted: what is there differs from what is written, and is left alone.
	Drifted = "Drifted"
)

// Observed starts every status.
type Observed struct {
	// The generation of the spec that the status is about.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// FunctionStatus is what became of a function.
type FunctionStatus struct {
	Observed `json:",inline"`
	// Revisions that are kept, newest last.
	// +listType=map
	// +listMapKey=name
	// +optional
	Revisions []RevisionStatus `json:"revisions,omitempty"`
	// How calls are split now, by name of the revision.
	// +listType=map
	// +listMapKey=revision
	// +optional
	Traffic []TrafficStatus `json:"traffic,omitempty"`
	// The same in words, most first, such as "v1 90%, v2 10%".
	Split string `json:"split,omitempty"`
	// Concurrency that clouds reserve for it, where Spillway has written it or is to.
	// +listType=map
	// +listMapKey=pool
	// +listMapKey=function
	// +optional
	Reserved []Reservation `json:"reserved,omitempty"`
}

// Reservation is the concurrency that one cloud keeps for a function: calls at once,
// or MiB of memory at once on SCF. A number that is not there is no reservation.
type Reservation struct {
	Pool string `json:"pool"`
	// Name of the function in the cloud.
	Function string `json:"function"`
	// Calls or MiB.
	Unit string `json:"unit,omitempty"`
	// What limits here allow.
	Want *int64 `json:"want,omitempty"`
	// What Spillway is about to write: noted before it is sent.
	Writing *int64 `json:"writing,omitempty"`
	// What Spillway wrote, and takes away again.
	Written *int64 `json:"written,omitempty"`
	// Where the function is that was written to, which the Pool may not say any more.
	At *CloudPlace `json:"at,omitempty"`
	// What the cloud had when it was last asked.
	Found *int64 `json:"found,omitempty"`
	// Why it is not as wanted: ChangedElsewhere, NotOurs, Shared, Failed or Unreachable.
	Reason string `json:"reason,omitempty"`
	// What keeps it from being as wanted.
	Problem string `json:"problem,omitempty"`
}

// CloudPlace is what a Pool said of a cloud.
type CloudPlace struct {
	Region string `json:"region"`
	// URL; empty for the cloud's own.
	Endpoint string `json:"endpoint,omitempty"`
	// SCF's own namespace.
	Namespace string `json:"namespace,omitempty"`
	// Where the operator reads its credentials: environment, or file: and a path.
	Credentials string `json:"credentials,omitempty"`
}

// RevisionStatus is one version of the code, which never changes.
type RevisionStatus struct {
	Name string `json:"name"`
	// Digest of the package, or the image.
	Code string `json:"code,omitempty"`
	// When it was first seen.
	Since metav1.Time `json:"since,omitempty,omitzero"`
	// Instances that are started, by the last count.
	Instances int64 `json:"instances,omitempty"`
}

// TrafficStatus is one revision's share of the calls.
type TrafficStatus struct {
	Revision string `json:"revision"`
	// Percent.
	Weight int64 `json:"weight"`
}

// PoolStatus is what a pool has and holds.
type PoolStatus struct {
	Observed `json:",inline"`
	// What instances may hold together, by the last count.
	Capacity *v1alpha1.Capacity `json:"capacity,omitempty"`
	// What they hold.
	InUse *v1alpha1.Capacity `json:"inUse,omitempty"`
}

// QuotaStatus is what a node of the quota tree holds.
type QuotaStatus struct {
	Observed `json:",inline"`
	// What its calls hold.
	InUse v1alpha1.Nominal `json:"inUse,omitzero"`
	// The part of it above nominal.
	Borrowed v1alpha1.Nominal `json:"borrowed,omitzero"`
	// The limits that hold where approved requests changed those of spec.
	Approved *Approved `json:"approved,omitempty"`
	// Where the limits are in force outside Spillway.
	// +listType=map
	// +listMapKey=to
	// +optional
	Projected []Projection `json:"projected,omitempty"`
}

// Approved is what limits calls in place of spec. Its budgets are the dispatcher's alone.
type Approved struct {
	// Digest of the limits of spec that it was approved for. Other limits take its place.
	Base    string           `json:"base"`
	Nominal v1alpha1.Nominal `json:"nominal,omitzero"`
}

// Projection is a limit of ours at somebody else's.
type Projection struct {
	// What has it, such as "ResourceQuota shop/spillway" or "lambda-us shop-pay".
	To string `json:"to"`
	// The limit that is wanted there.
	Want v1alpha1.Capacity `json:"want,omitzero"`
	// The limit that was found there, where it differs.
	Found *v1alpha1.Capacity `json:"found,omitempty"`
}

// BurstPolicyStatus is what became of a burst policy.
type BurstPolicyStatus struct {
	Observed `json:",inline"`
	// How many functions have it.
	Functions int64 `json:"functions,omitempty"`
}

// PriceBookStatus is what became of a price book.
type PriceBookStatus struct {
	Observed `json:",inline"`
	// When a price or exchange rate stops holding that holds now.
	PricesUntil *metav1.Time `json:"pricesUntil,omitempty"`
}
