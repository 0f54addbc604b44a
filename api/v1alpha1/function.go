package v1alpha1

// Function is code to run on request, under the AWS Lambda Runtime API.
type Function struct {
	Header `json:",inline"`
	Spec   FunctionSpec `json:"spec"`
}

// FunctionSpec describes a function.
type FunctionSpec struct {
	// Versions of the code, 1 to 16. Required.
	//
	// +listType=map
	// +listMapKey=name
	Revisions []Revision `json:"revisions"`
	// How calls are split between revisions, in percent, wherever they run. The
	// only revision by default; needed when there are several. A revision that is
	// not named serves callers that ask for it by its name.
	//
	// +listType=map
	// +listMapKey=revision
	Traffic []Traffic `json:"traffic,omitempty"`
	// How the code is spoken to: lambda (the Lambda Runtime API) or http (a web
	// server on $PORT; in clouds it gets events, see cloud.payload). Default lambda.
	Contract string `json:"contract,omitempty"`
	// Urgency: online, or offline, which runs in what online work leaves idle and nowhere
	// else on-prem: it waits for that, and goes to a cloud once it has waited for maxWait
	// if it may. Online work may take the room back: then the call begins again if retry
	// is idempotent, and else is answered with the error Spillway.Reclaimed. Default online.
	Class string `json:"class,omitempty"`
	// Requests that one instance takes at once, 1 to 1000; more than 1 needs contract:
	// http. A request that passes its timeout ends the instance and the others with it.
	// A pool's slots count instances, a quota's count requests. Default 1.
	Concurrency *int64 `json:"concurrency,omitempty"`
	// What one instance holds on-prem. With a concurrency above 1, each invocation
	// counts as its part of that, rounded up.
	Resources ResourceRequest `json:"resources,omitzero"`
	// Longest execution on-prem, up to 15m. The process group is killed then.
	// Default 3s.
	Timeout *Duration `json:"timeout,omitempty"`
	// Longest time from admission to answer, up to 1h, at least timeout.
	// Default timeout + 10s; 1h for class offline.
	Deadline *Duration `json:"deadline,omitempty"`
	// Longest wait for a place when the call cannot burst; 0s never waits. At most
	// deadline. Of class offline also the wait before a cloud. Default 2s, or deadline if
	// that is shorter; for class offline, deadline less timeout.
	MaxWait *Duration `json:"maxWait,omitempty"`
	// Instances kept started on-prem, 0 to 1000. Default 0.
	MinWarm *int64 `json:"minWarm,omitempty"`
	// Whether calls may run in a cloud: allow or deny. Default deny.
	Burst string `json:"burst,omitempty"`
	// What to do when it is unknown whether an attempt ran: never run it again, or
	// run it again because it is idempotent. Default never.
	Retry string `json:"retry,omitempty"`
	// Class of the data it handles, for policies. A DNS label. Default: none.
	DataClass string `json:"dataClass,omitempty"`
	// Regions it may run in, on-prem and cloud. Default: all.
	//
	// +listType=set
	Residency []string `json:"residency,omitempty"`
	// Name of the BurstPolicy. Default: the one called default.
	BurstPolicy string `json:"burstPolicy,omitempty"`
	// Environment of the on-prem instances, at most 4096 bytes. Not for secrets.
	Env map[string]string `json:"env,omitempty"`
	// Where it is deployed in clouds, at most one entry per pool.
	//
	// +listType=map
	// +listMapKey=pool
	Cloud []Binding `json:"cloud,omitempty"`
	// What its pods have in kubernetes pools.
	Kubernetes *FunctionPods `json:"kubernetes,omitempty"`
}

// FunctionPods is what the pods of a function have of their own.
type FunctionPods struct {
	// Name of a service account in the function's namespace, whose identity the pods
	// have. They are then started for this function only, in that namespace; process
	// pools do not run it. A DNS label. Default: none, and no token in the pods.
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// Revision is one version of a function's code.
type Revision struct {
	// A DNS label, unique in the function. Required.
	Name string `json:"name"`
	// Where the code comes from. Exactly one of package and image is required.
	Package Package `json:"package,omitzero"`
	// An image of kubernetes pools, NAME@sha256:<64 hex digits>; localhost/NAME:TAG, of
	// the nodes' own store, where a pool has allowTags.
	Image string `json:"image,omitempty"`
	// The program to start, a path inside the package or image. Default bootstrap, and
	// for an image what the image says.
	Handler string `json:"handler,omitempty"`
	// Version or alias that this revision is in clouds. Default: the qualifier of
	// the cloud binding.
	Qualifier string `json:"qualifier,omitempty"`
}

// Package is a directory or a zip file.
type Package struct {
	// Path of the directory or zip file, relative to the configuration file.
	// Required in files; objects in a cluster have none.
	Path string `json:"path,omitempty"`
	// sha256:<64 hex digits> of the content. If it is given, the content must
	// match; if not, the digest found at load is pinned. Required in a cluster: it
	// names what was uploaded.
	Digest string `json:"digest,omitempty"`
}

// Traffic is one revision's share of the calls.
type Traffic struct {
	// Name of a revision. Required.
	Revision string `json:"revision"`
	// Percent, 0 to 100; together they are 100. Required.
	Weight *int64 `json:"weight"`
}

// ResourceRequest is what one invocation holds while it runs.
type ResourceRequest struct {
	// Processor time in cores: 500m is half a core, 2 is two. 1m to 1024.
	// Default 100m.
	CPU *MilliCPU `json:"cpu,omitempty"`
	// Memory limit, 1Mi to 1Ti, rounded up to whole MiB. Default 128Mi.
	Memory *Bytes `json:"memory,omitempty"`
}

// Binding is a deployment of a function in a cloud pool.
type Binding struct {
	// Name of a cloud Pool. Required.
	Pool string `json:"pool"`
	// The provider's function name or ARN. Default: the function's own name.
	Function string `json:"function,omitempty"`
	// Version or alias. Default $LATEST.
	Qualifier string `json:"qualifier,omitempty"`
	// Memory configured at the provider, whole MiB: 128Mi to 10240Mi on lambda,
	// 64Mi or 128Mi to 3072Mi in steps of 128Mi on scf. Default: resources.memory,
	// but at least 128Mi, rounded up to what the provider has.
	Memory *Bytes `json:"memory,omitempty"`
	// How a web function is spoken to there: http-v2, events of payload format 2.0 as
	// Amazon API Gateway sends them. Required with contract: http, and only there.
	Payload string `json:"payload,omitempty"`
	// Timeout configured at the provider: whole seconds, 1s to 15m (5m on scf,
	// the longest that its API waits), at most deadline. Default: timeout rounded up to whole seconds.
	Timeout *Duration `json:"timeout,omitempty"`
}
