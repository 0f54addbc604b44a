package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Types of conditions.
const (
	// Ready: the object holds as it is written.
	Ready = "Ready"
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
	// How calls are split now, most first.
	// +listType=map
	// +listMapKey=revision
	// +optional
	Traffic []TrafficStatus `json:"traffic,omitempty"`
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
	// Where the limits are in force outside Spillway.
	// +listType=map
	// +listMapKey=to
	// +optional
	Projected []Projection `json:"projected,omitempty"`
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

// QuotaRequestStatus is what became of a request.
type QuotaRequestStatus struct {
	Observed `json:",inline"`
	// asked, simulated, approved, denied or revoked.
	Phase string `json:"phase,omitempty"`
	// Digest of the limits that the Quota had when the request was approved.
	Base string `json:"base,omitempty"`
	// The latest simulation.
	Simulation *v1alpha1.QuotaSimulation `json:"simulation,omitempty"`
	// What happened, oldest first. It only grows.
	// +listType=atomic
	// +optional
	History []v1alpha1.QuotaEvent `json:"history,omitempty"`
}
