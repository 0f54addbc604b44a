// Package kube is the on-prem pool of pods on a Kubernetes cluster.
//
//	StartInstance ── image, or own service account ──► a pod for the instance
//	              └─ package ──► a pod that waits for any package, told what to run once
//	Invoke ── agent/remote, TLS with our certificate ──► the agent in the pod
//	StopInstance ──► the pod is deleted; its room is free when it is gone
//
// A pod serves one instance and is deleted with it. The Engine decides how many there
// are; this package only keeps the pods that wait for a package.
//
// What the pool has is seen, not tried: the room on nodes that may run its pods, less
// what other pods ask for, and what its own hold. A pod that the scheduler has no place
// for is deleted at once and its start fails with pools.ErrNoRoom; one that a
// ResourceQuota refuses fails with pools.ErrQuota. So calls overflow instead of hanging.
//
// Pods of an earlier run of the dispatcher are deleted when the pool is opened, and
// their room counts as taken until they are gone.
package kube
