package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Object is every object here.
//
// +kubebuilder:object:generate=false
type Object interface {
	metav1.Object
	runtime.Object
	// Observed is the part of the status that all objects have.
	Observed() *Observed
}

// Observed is the part of the status that all objects have.
func (o *Function) Observed() *Observed { return &o.Status.Observed }

// Observed is the part of the status that all objects have.
func (o *Pool) Observed() *Observed { return &o.Status.Observed }

// Observed is the part of the status that all objects have.
func (o *Quota) Observed() *Observed { return &o.Status.Observed }

// Observed is the part of the status that all objects have.
func (o *BurstPolicy) Observed() *Observed { return &o.Status.Observed }

// Observed is the part of the status that all objects have.
func (o *PriceBook) Observed() *Observed { return &o.Status.Observed }

// Written returns a copy of the function as it would be in a file.
func (o *Function) Written() any {
	return &v1alpha1.Function{Header: header(v1alpha1.KindFunction, o), Spec: *o.Spec.DeepCopy()}
}

// Written returns a copy of the pool as it would be in a file.
func (o *Pool) Written() any {
	return &v1alpha1.Pool{Header: header(v1alpha1.KindPool, o), Spec: *o.Spec.DeepCopy()}
}

// Written returns a copy of the quota as it would be in a file.
func (o *Quota) Written() any {
	return &v1alpha1.Quota{Header: header(v1alpha1.KindQuota, o), Spec: *o.Spec.DeepCopy()}
}

// Written returns a copy of the burst policy as it would be in a file.
func (o *BurstPolicy) Written() any {
	return &v1alpha1.BurstPolicy{Header: header(v1alpha1.KindBurstPolicy, o), Spec: *o.Spec.DeepCopy()}
}

// Written returns a copy of the price book as it would be in a file.
func (o *PriceBook) Written() any {
	return &v1alpha1.PriceBook{Header: header(v1alpha1.KindPriceBook, o), Spec: *o.Spec.DeepCopy()}
}

func header(kind string, o metav1.Object) v1alpha1.Header {
	return v1alpha1.Header{APIVersion: v1alpha1.APIVersion, Kind: kind, Metadata: v1alpha1.Metadata{Name: o.GetName(), Namespace: o.GetNamespace()}}
}
