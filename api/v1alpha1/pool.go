package v1alpha1

// Pool is a place that runs invocations. At most 16.
type Pool struct {
	Header `json:",inline"`
	Spec   PoolSpec `json:"spec"`
}

// PoolSpec describes a pool.
type PoolSpec struct {
	// What runs the invocations: process (supervised processes on this machine),
	// kubernetes (pods of a cluster), offline (what online work of a cluster leaves idle,
	// behind a virtual node), lambda (AWS Lambda) or scf (Tencent SCF). Required.
	Kind string `json:"kind"`
	// Where it is, for residency: a DNS label such as cn-north, or the provider's
	// region. Required for clouds. Default local.
	Region string `json:"region,omitempty"`
	// What the instances of a process or kubernetes pool may hold together. Default: the
	// machine; of kubernetes, what the cluster is seen to have.
	Capacity *Capacity `json:"capacity,omitempty"`
	// How long an idle instance is kept, up to 24h. Not of clouds. Default 2m; 10s of
	// offline pools.
	KeepAlive *Duration `json:"keepAlive,omitempty"`
	// How idle instances of a process or kubernetes pool are kept, and started ahead of
	// calls. Default: all are kept for keepAlive.
	KeepAlivePolicy *KeepAlivePolicy `json:"keepAlivePolicy,omitempty"`
	// Longest start of an instance, up to 5m; for a cloud, its limit on INIT.
	// Default 10s, 65s for scf, 1m for kubernetes and offline.
	InitTimeout *Duration `json:"initTimeout,omitempty"`
	// How to reach AWS Lambda; lambda pools only.
	Lambda *Lambda `json:"lambda,omitempty"`
	// How to reach Tencent SCF; scf pools only.
	SCF *SCF `json:"scf,omitempty"`
	// How pods are made; required for kubernetes pools. An offline pool with it runs
	// functions of class offline too; it keeps no pods that wait for any package.
	Kubernetes *Kubernetes `json:"kubernetes,omitempty"`
	// Whose pods it runs; offline pools only.
	Offline *Offline `json:"offline,omitempty"`
	// What the provider enforces; cloud pools only.
	Limits *CloudLimits `json:"limits,omitempty"`
	// Name of a plan of the price book. Default example-node for process, kubernetes and
	// offline, lambda-x86-<region> for lambda, scf-<region> for scf.
	PricePlan string `json:"pricePlan,omitempty"`
}

// KeepAlivePolicy says which idle instances are kept and when instances are started
// ahead of calls; a function's minWarm holds beside it. An instance started ahead is
// stopped like any idle one when a call needs its room, and is only started while
// nothing waits and two would fit.
type KeepAlivePolicy struct {
	// fixed: every instance is kept for keepAlive. hybrid: from a histogram of each
	// function's idle times up to four hours, stopped at once where the head of the
	// idle times allows it, started again before that and kept until the tail; kept
	// for keepAlive while the histogram says little. forecast: there in the minutes in
	// which a call is likely enough, by the idle times so far. provisioned: a share of
	// the recent peak stays started, the others are kept for keepAlive. windows: as many
	// as the calls of a function, running and waiting, need on the mean of two windows,
	// the last one for keepAlive. Default fixed.
	Kind string `json:"kind,omitempty"`
	// hybrid: percentage of idle times that may be shorter than the time before an
	// instance is started again, 0 to 50. Default 5.
	Head *int64 `json:"head,omitempty"`
	// hybrid: percentage of idle times that an instance is kept for, 51 to 100.
	// Default 99.
	Tail *int64 `json:"tail,omitempty"`
	// hybrid: margin on both, in percent, 0 to 90. Default 10.
	Margin *int64 `json:"margin,omitempty"`
	// forecast: how long an instance may be idle for every cold start that it spares,
	// 1m to 24h. More keeps more. Default 30m.
	Worth *Duration `json:"worth,omitempty"`
	// provisioned: percentage of the peak of busy instances of a function, rounded up,
	// 1 to 100. Default 10.
	Share *int64 `json:"share,omitempty"`
	// provisioned: the time over which the peak is taken; it is forgotten after two of
	// them. 1m to 24h. Default 1h.
	Window *Duration `json:"window,omitempty"`
	// windows: the time over which the mean of calls at once is taken, 10s to 1h.
	// Default 60s.
	Stable *Duration `json:"stable,omitempty"`
	// windows: percentage of stable, at its end, that is the panic window: when its mean
	// is twice what the ready instances can take, the larger mean counts and no instance
	// is ended until stable has passed without that. 1 to 100. Default 10.
	Panic *int64 `json:"panic,omitempty"`
	// windows: percentage of the calls that an instance takes at once which it is to
	// have on the mean, 1 to 100. Default 70.
	Target *int64 `json:"target,omitempty"`
}

// Capacity bounds what is held at once. In a quota, a dimension that is not
// written is not limited.
type Capacity struct {
	// Invocations (in a pool: instances), 0 to 1000000. Default in a pool: four
	// per core of the machine.
	Slots *int64 `json:"slots,omitempty"`
	// Processor time in cores, up to 1000000. Default in a pool: the machine's.
	CPU *MilliCPU `json:"cpu,omitempty"`
	// Memory, up to 1Pi, rounded down to whole MiB. Default in a pool: half of the
	// machine's.
	Memory *Bytes `json:"memory,omitempty"`
}

// Lambda says how to reach AWS Lambda in one region.
type Lambda struct {
	// http or https URL to use in place of the region's own. Default: the
	// region's own.
	Endpoint string `json:"endpoint,omitempty"`
	// Whose account. Default: from the environment.
	Credentials *Credentials `json:"credentials,omitempty"`
}

// SCF says how to reach Tencent SCF in one region.
type SCF struct {
	// http or https URL to use in place of the public one, without a path.
	// Default: the public one.
	Endpoint string `json:"endpoint,omitempty"`
	// SCF's own namespace of the functions. Default default.
	Namespace string `json:"namespace,omitempty"`
	// Whose account. Default: from the environment.
	Credentials *Credentials `json:"credentials,omitempty"`
}

// Kubernetes says how the pods of a pool are made.
type Kubernetes struct {
	// Image of the pods that wait for any package, in which the agent is:
	// NAME@sha256:<64 hex digits>, or localhost/NAME:TAG with allowTags. Required.
	RuntimeImage string `json:"runtimeImage"`
	// Namespace of the pods that wait for any package. A DNS label. Default
	// spillway-pool.
	Namespace string `json:"namespace,omitempty"`
	// Sizes of the pods that wait for any package, at most 16; a function gets the
	// smallest that holds its resources. Default: none wait, and every instance is a
	// pod of its own.
	//
	// +listType=atomic
	Sizes []PodSize `json:"sizes,omitempty"`
	// Labels that the nodes of all pods have. Default: none.
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// RuntimeClass of all pods. Default: the cluster's.
	RuntimeClassName string `json:"runtimeClassName,omitempty"`
	// Take images of the nodes' own store by tag, localhost/NAME:TAG, for development.
	AllowTags bool `json:"allowTags,omitempty"`
}

// Offline says which pods an offline pool runs. Its capacity is what the virtual node
// measures, and nothing while the node says nothing. Burst policies need not name it:
// what runs there may use nothing else on-prem.
type Offline struct {
	// Name of the virtual node. A DNS label. Default spillway-offline.
	Node string `json:"node,omitempty"`
}

// PodSize is a class of pods that are started before anybody knows what they run.
type PodSize struct {
	// Memory of one pod, 1Mi to 1Ti, rounded down to whole MiB. Required.
	Memory *Bytes `json:"memory"`
	// Cores of one pod, 1m to 1024. Required.
	CPU *MilliCPU `json:"cpu"`
	// How many are kept started, 0 to 1000. Default 0.
	Ready *int64 `json:"ready,omitempty"`
}

// Credentials says where cloud credentials are; exactly one field.
type Credentials struct {
	// Path of a file with the key and secret, relative to the configuration file.
	File string `json:"file,omitempty"`
	// lambda: the AWS SDK's default chain of environment variables, shared files and
	// roles. scf: TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY.
	Environment bool `json:"environment,omitempty"`
}

// CloudLimits mirrors the limits of a cloud account, so that Spillway stops
// before the provider does.
type CloudLimits struct {
	// Executions at once, 1 to 1000000. Default 1000 for lambda; scf counts memory.
	Concurrency *int64 `json:"concurrency,omitempty"`
	// Memory of the executions at once, for scf. Default 128000Mi in regions that
	// begin with ap-beijing, ap-chengdu, ap-chongqing, ap-guangzhou, ap-hongkong,
	// ap-nanjing or ap-shanghai, 64000Mi in others.
	Memory *Bytes `json:"memory,omitempty"`
	// New environments per function in 10 seconds, 1 to 1000000. Default 1000 for
	// lambda.
	RampPer10s *int64 `json:"rampPer10s,omitempty"`
	// New environments of the account per minute, 1 to 1000000. Default 500 for
	// scf.
	RampPerMinute *int64 `json:"rampPerMinute,omitempty"`
	// Requests per second of the account, 1 to 10000000. Default 10 × concurrency
	// for lambda.
	RequestsPerSecond *int64 `json:"requestsPerSecond,omitempty"`
}
