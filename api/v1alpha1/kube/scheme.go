package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is that of every object here.
var GroupVersion = schema.GroupVersion{Group: "spillway.dev", Version: "v1alpha1"}

// AddToScheme makes the objects and their lists known to s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&Function{}, &FunctionList{}, &Pool{}, &PoolList{}, &Quota{}, &QuotaList{}, &BurstPolicy{}, &BurstPolicyList{},
		&PriceBook{}, &PriceBookList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
