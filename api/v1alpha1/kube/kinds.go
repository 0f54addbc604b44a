package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// A Function is code to run on request, under the AWS Lambda Runtime API.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=functions,scope=Namespaced,categories=spillway,shortName=fn
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Served",type=string,JSONPath=`.status.conditions[?(@.type=="Served")].reason`
// +kubebuilder:printcolumn:name="Traffic",type=string,JSONPath=`.status.split`
// +kubebuilder:printcolumn:name="Burst",type=string,JSONPath=`.spec.burst`
// +kubebuilder:printcolumn:name="Burstable",type=string,JSONPath=`.status.conditions[?(@.type=="Burstable")].reason`
// +kubebuilder:printcolumn:name="Why Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Why Served",type=string,JSONPath=`.status.conditions[?(@.type=="Served")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Function struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   v1alpha1.FunctionSpec `json:"spec"`
	Status FunctionStatus        `json:"status,omitempty,omitzero"`
}

// FunctionList is a list of Function objects.
//
// +kubebuilder:object:root=true
type FunctionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Function `json:"items"`
}

// A Pool is a place that runs invocations.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=pools,scope=Cluster,categories=spillway
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.kind`
// +kubebuilder:printcolumn:name="Region",type=string,JSONPath=`.spec.region`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Slots",type=integer,JSONPath=`.status.capacity.slots`
// +kubebuilder:printcolumn:name="In Use",type=integer,JSONPath=`.status.inUse.slots`
// +kubebuilder:printcolumn:name="Memory",type=string,JSONPath=`.status.capacity.memory`,priority=1
// +kubebuilder:printcolumn:name="Memory In Use",type=string,JSONPath=`.status.inUse.memory`,priority=1
// +kubebuilder:printcolumn:name="Why",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Pool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   v1alpha1.PoolSpec `json:"spec"`
	Status PoolStatus        `json:"status,omitempty,omitzero"`
}

// PoolList is a list of Pool objects.
//
// +kubebuilder:object:root=true
type PoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Pool `json:"items"`
}

// A Quota is one node of the quota tree.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=quotas,scope=Cluster,categories=spillway
// +kubebuilder:printcolumn:name="Parent",type=string,JSONPath=`.spec.parent`
// +kubebuilder:printcolumn:name="Department",type=string,JSONPath=`.spec.department`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="On-Prem",type=integer,JSONPath=`.spec.nominal.onPrem.slots`
// +kubebuilder:printcolumn:name="In Use",type=integer,JSONPath=`.status.inUse.onPrem.slots`
// +kubebuilder:printcolumn:name="Borrowed",type=integer,JSONPath=`.status.borrowed.onPrem.slots`
// +kubebuilder:printcolumn:name="Cloud",type=integer,JSONPath=`.spec.nominal.cloud.slots`
// +kubebuilder:printcolumn:name="Cloud In Use",type=integer,JSONPath=`.status.inUse.cloud.slots`
// +kubebuilder:printcolumn:name="Projected",type=string,JSONPath=`.status.conditions[?(@.type=="QuotaProjected")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Quota struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   v1alpha1.QuotaSpec `json:"spec"`
	Status QuotaStatus        `json:"status,omitempty,omitzero"`
}

// QuotaList is a list of Quota objects.
//
// +kubebuilder:object:root=true
type QuotaList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Quota `json:"items"`
}

// A BurstPolicy says how the calls of some functions may overflow.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=burstpolicies,scope=Cluster,categories=spillway,shortName=bp
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Order",type=string,JSONPath=`.spec.order`
// +kubebuilder:printcolumn:name="Kill Switch",type=boolean,JSONPath=`.spec.killSwitch`
// +kubebuilder:printcolumn:name="Shadow",type=boolean,JSONPath=`.spec.shadow`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BurstPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   v1alpha1.BurstPolicySpec `json:"spec"`
	Status BurstPolicyStatus        `json:"status,omitempty,omitzero"`
}

// BurstPolicyList is a list of BurstPolicy objects.
//
// +kubebuilder:object:root=true
type BurstPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BurstPolicy `json:"items"`
}

// A PriceBook adds dated prices to the built-in ones.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=pricebooks,scope=Cluster,categories=spillway
// +kubebuilder:printcolumn:name="Currency",type=string,JSONPath=`.spec.currency`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Until",type=date,JSONPath=`.status.pricesUntil`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PriceBook struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   v1alpha1.PriceBookSpec `json:"spec"`
	Status PriceBookStatus        `json:"status,omitempty,omitzero"`
}

// PriceBookList is a list of PriceBook objects.
//
// +kubebuilder:object:root=true
type PriceBookList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PriceBook `json:"items"`
}
