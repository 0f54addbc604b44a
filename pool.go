package spillway

import (
	"math/bits"
	"time"
)

// MaxPools bounds the pools of one platform so that sets of them are one word
// and a decision record has a fixed size.
const MaxPools = 16

// PoolSet is a set of pool indices.
type PoolSet uint16

// Has reports whether pool i is in s.
func (s PoolSet) Has(i int) bool { return s&(1<<i) != 0 }

// With returns s and pool i.
func (s PoolSet) With(i int) PoolSet { return s | 1<<i }

// Without returns s without pool i.
func (s PoolSet) Without(i int) PoolSet { return s &^ (1 << i) }

// Len returns how many pools are in s.
func (s PoolSet) Len() int { return bits.OnesCount16(uint16(s)) }

// PoolKind says what runs a pool's invocations.
type PoolKind uint8

const (
	PoolProcess    PoolKind = iota // supervised processes on this machine
	PoolLambda                     // AWS Lambda
	PoolSCF                        // Tencent Serverless Cloud Function
	PoolKubernetes                 // pods of a Kubernetes cluster
	PoolOffline                    // what online work leaves idle, behind a virtual node
	poolKindCount
)

func (k PoolKind) String() string {
	return [poolKindCount]string{"process", "lambda", "scf", "kubernetes", "offline"}[k]
}

// Cloud reports whether a pool of this kind is a public cloud: paid per call,
// off the premises.
func (k PoolKind) Cloud() bool { return k == PoolLambda || k == PoolSCF }

// Class is the half of a quota that a pool draws from.
type Class uint8

const (
	ClassOnPrem Class = iota
	ClassCloud
	ClassOffline // idle capacity of the premises, which online work may take back
	ClassCount
)

func (c Class) String() string { return [ClassCount]string{"onPrem", "cloud", "offline"}[c] }

// Pool is one place that runs invocations.
type Pool struct {
	Index  int
	Name   string
	Kind   PoolKind
	Region string
	// Retired pools were removed from the configuration while serving: no function
	// is permitted on them, and what runs there may end.
	Retired bool

	// Capacity of an on-prem pool: what its instances, busy or idle, may hold
	// together. Unused for clouds. An offline pool has what was last measured, and
	// nothing before that.
	Capacity  Resources
	KeepAlive time.Duration // an idle instance is stopped after this; KeepAlivePolicy may know better
	// KeepAlivePolicy is how idle instances of an on-prem pool are kept and started
	// ahead of calls.
	KeepAlivePolicy KeepAlivePolicy

	Limits      CloudLimits
	InitTimeout time.Duration // longest start of an instance; a cloud's INIT limit

	// Rate of an on-prem pool, amortised. A cloud's rates are in its bindings.
	Rate Rate
	// HourlyNano is what the owned pool costs an hour whether used or not.
	HourlyNano Nano

	PriceVersion string // which entry of the price book the rates came from; of a cloud, empty if none holds now

	Lambda LambdaEndpoint
	SCF    SCFEndpoint
	// Kubernetes of an offline pool is zero if it runs no functions.
	Kubernetes KubernetesPods
	// Node is the virtual node whose pods an offline pool runs.
	Node string
}

// Class returns the half of a quota that the pool draws from.
func (p *Pool) Class() Class {
	switch p.Kind {
	case PoolLambda, PoolSCF:
		return ClassCloud
	case PoolOffline:
		return ClassOffline
	}
	return ClassOnPrem
}

// CloudLimits mirrors what the provider enforces, so that we stop before it does.
// Zero in a field means not limited.
type CloudLimits struct {
	Concurrency       int64 // account and region, in flight at once
	MemoryMiB         int64 // account and region, in flight at once: what SCF counts
	RampPer10s        int64 // new environments per function
	RampPerMinute     int64 // new environments of the account and region; 500 on SCF
	RequestsPerSecond int64 // account; 10 × concurrency on Lambda
}

// LambdaEndpoint says how to reach a Lambda region. Credentials are not here:
// the pool's shell reads them from where CredentialsFrom points.
type LambdaEndpoint struct {
	Endpoint        string // URL; empty means the region's own
	CredentialsFrom string // "environment" (SDK default chain) or "file:<path>"
}

// SCFEndpoint says how to reach a region of Tencent SCF.
type SCFEndpoint struct {
	Endpoint        string // URL; empty means the public one
	Namespace       string // SCF's own namespace, "default" if not set
	CredentialsFrom string // "environment" (TENCENTCLOUD_SECRET_ID and _KEY) or "file:<path>"
}

// KubernetesPods says how the pods of a pool are made.
type KubernetesPods struct {
	// RuntimeImage is what pods are started with that wait for any package; it has the
	// agent, which is also copied from it beside images of functions.
	RuntimeImage     string
	Namespace        string    // of the pods that wait for a package
	Sizes            []PodSize // of those pods, smallest memory first, then smallest cpu
	NodeSelector     map[string]string
	RuntimeClassName string // empty means the cluster's own
	AllowTags        bool   // images of the nodes' own store may be named by tag
}

// PodSize is a class of pods that are started before anybody knows what they will run.
type PodSize struct {
	Resources
	Ready int // how many are kept started
}

// Exclusion says why a pool is out before any decision: a fact of configuration.
type Exclusion uint8

const (
	ExcludedNot       Exclusion = iota
	ExcludedMode                // the burst policy's mode
	ExcludedOrder               // not in the burst policy's order
	ExcludedBurst               // the function's burst is deny
	ExcludedResidency           // the pool's region is outside the function's residency
	ExcludedBinding             // the function has no binding on this cloud pool
	ExcludedTooLarge            // one invocation exceeds the pool's capacity
	ExcludedRegion              // outside the burst policy's regions
	ExcludedContract            // a web function without cloud.payload: http-v2
	ExcludedRetired             // the pool was removed from the configuration
	ExcludedPrice               // no price or exchange rate of the cloud holds now
	ExcludedPods                // it is an image or has a service account, and the on-prem pool has no pods; an offline pool makes none
	ExcludedTag                 // its image is named by tag, and the pool does not allow that
	ExcludedClass               // online work does not run on idle capacity, and offline work on nothing else on-prem
	ExcludedNode                // the pod belongs to another virtual node
	ExcludedGPU                 // no cloud has the devices that it asks for
	exclusionCount
)

func (e Exclusion) String() string {
	return [exclusionCount]string{"", "mode", "not_in_order", "burst_denied", "residency", "no_binding", "too_large", "region", "contract", "retired", "no_price", "needs_pods", "image_tag", "class", "other_node", "gpu"}[e]
}
