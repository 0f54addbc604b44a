// Package kube has the objects of package v1alpha1 as custom resources: what people
// write is their spec, and what Spillway found is their status.
//
// The custom resource definitions in manifests/base/crds are made from both packages.
// Rules in them refuse with the words of the loader in package config, which reads
// files and these objects alike.
//
// +kubebuilder:object:generate=true
// +groupName=spillway.dev
// +versionName=v1alpha1
package kube

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object crd:generateEmbeddedObjectMeta=false output:crd:dir=../../../manifests/base/crds paths=.. paths=.
//go:generate go run ./internal/gencrd ../../../manifests/base/crds
