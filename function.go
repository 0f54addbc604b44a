package spillway

import "time"

// FunctionKey names a function.
type FunctionKey struct{ Namespace, Name string }

func (k FunctionKey) String() string { return k.Namespace + "/" + k.Name }

// Burst says whether a function may ever leave the premises.
type Burst uint8

const (
	BurstDeny Burst = iota // the default
	BurstAllow
)

// Retry says what to do when it is unknown whether an attempt ran.
type Retry uint8

const (
	RetryNever      Retry = iota // the default: unknown stays unknown
	RetryIdempotent              // safe to run again
)

// Contract is how a function's code is spoken to.
type Contract uint8

const (
	ContractLambda Contract = iota // the Lambda Runtime API; the default
	ContractHTTP                   // an HTTP server on $PORT: a web function
)

func (c Contract) String() string { return [...]string{"lambda", "http"}[c] }

// Function is a function as the Engine sees it: one revision, resolved against
// the platform's pools. It is immutable; the Engine keeps state by Index.
type Function struct {
	FunctionKey
	Platform  *Platform // the one it was compiled for; set by Platform.Index
	Index     int       // position in Platform.Functions
	Namespace int       // position in Platform.Namespaces

	Revision string
	// Weight is the revision's part of the function's traffic in percent. Revisions
	// are functions of their own in Platform.Functions; the one with most weight
	// leads: it is what the function's name finds, and its Revisions holds all of
	// them. Revisions is nil where there is one.
	Weight    int64
	canary    bool
	Revisions []*Function
	Package   Package
	// Image is what the revision runs from in pods, in place of a package: a reference
	// with a digest, or with a tag where pools allow it. Empty for packages.
	Image string
	// ServiceAccount is whose identity the pods have; empty for none of its own. Such
	// functions never run in pods that wait for any package.
	ServiceAccount string
	Handler        string
	Contract       Contract
	Env            []string // KEY=value, sorted

	Resources Resources // of one invocation; Slots is 1
	// Instance is what one instance holds on-prem; Slots is 1. It takes Concurrency
	// invocations at once, and Resources is their part of it, rounded up.
	Instance    Resources
	Concurrency int
	Timeout     time.Duration // of one execution on-prem
	Deadline    time.Duration // admission to answer; the caller may ask for less
	MaxWait     time.Duration // longest wait for a place when it cannot burst
	MinWarm     int           // instances kept started
	Burst       Burst
	Retry       Retry
	// Offline work runs in offline pools, which run nothing else, and in clouds once it
	// has waited for MaxWait.
	Offline   bool
	DataClass string
	Residency []string // permitted pool regions; empty permits all

	Policy int // position in Platform.BurstPolicies

	// Permitted is what mode, residency, burst and bindings leave of the pools,
	// whatever a policy says. Excluded names why each other pool is out.
	Permitted PoolSet
	Excluded  [MaxPools]Exclusion

	Bindings [MaxPools]Binding // by pool index; what a cloud pool runs
}

// Package is where a revision's code comes from, pinned by digest.
type Package struct {
	Path   string // absolute directory or zip file
	Digest string // sha256:<64 hex>, of the zip's bytes or of the directory (see package pools)
}

// Binding is the cloud half of a function on one pool.
type Binding struct {
	Name      string // provider's function name or ARN
	Qualifier string // version or alias
	HTTPv2    bool   // of a web function: it takes requests as events of payload format 2.0
	MiB       int64  // provider-side memory
	Timeout   time.Duration
	Rate      Rate
	// WorstCase is (Timeout + the provider's INIT limit) × MiB + request, rounded
	// up: what is reserved before a send.
	WorstCase Nano
}

// Canary reports that f takes a part of its function's traffic and does not lead.
func (f *Function) Canary() bool { return f.canary }
