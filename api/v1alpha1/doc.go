// Package v1alpha1 is what people write: the objects of group
// spillway.dev/v1alpha1, as plain structs. A nil pointer means that the field
// was not written; package config fills in defaults, checks every value and
// compiles the objects to a spillway.Platform.
//
// A field that a type does not have does not exist in this version. Comments
// here are the reference documentation: docs/reference/configuration.md is made
// from them, and so are the custom resource definitions (package kube), which the
// lines that begin with + are for.
//
// +kubebuilder:object:generate=true
package v1alpha1

// APIVersion is the apiVersion of every object.
const APIVersion = "spillway.dev/v1alpha1"

// Kinds of objects.
const (
	KindFunction    = "Function"
	KindPool        = "Pool"
	KindQuota       = "Quota"
	KindBurstPolicy = "BurstPolicy"
	KindPriceBook   = "PriceBook"
	KindServer      = "Server"
)

// Header starts every object.
type Header struct {
	// Always spillway.dev/v1alpha1. Required.
	APIVersion string `json:"apiVersion"`
	// Function, Pool, Quota, BurstPolicy, PriceBook or Server. Required.
	Kind     string   `json:"kind"`
	Metadata Metadata `json:"metadata"`
}

// Metadata names an object.
type Metadata struct {
	// Unique among objects of the kind (and namespace). A DNS label: lower-case
	// letters, digits and "-", at most 63 characters. Required.
	Name string `json:"name"`
	// The tenant of a Function; no other kind has one. A DNS label. Required for
	// a Function.
	Namespace string `json:"namespace,omitempty"`
}
