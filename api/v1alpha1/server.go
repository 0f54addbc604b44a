package v1alpha1

// Server configures the program itself. At most one.
type Server struct {
	Header `json:",inline"`
	Spec   ServerSpec `json:"spec"`
}

// ServerSpec describes the server.
type ServerSpec struct {
	// Address of the front door, IP:port; port 0 picks a free one. Default
	// 127.0.0.1:8080.
	Listen string `json:"listen,omitempty"`
	// Address of health, metrics and profiles; loopback only. Default
	// 127.0.0.1:8081.
	Admin string `json:"admin,omitempty"`
	// Directory of the ledger and caches, relative to the configuration file.
	// Default: spillway in the user's state directory.
	DataDir string `json:"dataDir,omitempty"`
	// How long calls in flight may finish at shutdown, up to 1h. Default 30s.
	DrainTimeout *Duration `json:"drainTimeout,omitempty"`
	// Who may call.
	Auth Auth `json:"auth,omitzero"`
	// Who is told when budgets are used up.
	Alerts Alerts `json:"alerts,omitzero"`
}

// Alerts says when and where to tell that money is being used up. Metrics tell in
// any case.
type Alerts struct {
	// http or https URL, without user and query, that gets a JSON document for each
	// threshold that a budget passes. Default: none.
	Webhook string `json:"webhook,omitempty"`
	// Percentages of a budget, ascending, 1 to 100, at most 10. Default 50, 80, 100.
	Budgets []int64 `json:"budgets,omitempty"`
}

// Auth says who may call. Without keys and tokens, anyone on this machine.
type Auth struct {
	// Accept calls without credentials; only with a loopback listen address.
	// Default: true if there are no keys and no tokens.
	Anonymous *bool `json:"anonymous,omitempty"`
	// AWS Signature Version 4 keys, at most 10000.
	Keys []AccessKey `json:"keys,omitempty"`
	// Bearer tokens, at most 10000.
	Tokens []Token `json:"tokens,omitempty"`
}

// AccessKey is a key for AWS Signature Version 4.
type AccessKey struct {
	// 16 to 128 upper-case letters and digits. Required.
	AccessKeyID string `json:"accessKeyID"`
	// Where the secret access key is. Required.
	SecretFrom SecretSource `json:"secretFrom"`
	// Who the caller is, on every line of the ledger. Required.
	Identity string `json:"identity"`
	// What the caller may invoke: namespace/function, namespace/* or *. Required.
	Invoke []string `json:"invoke"`
}

// Token is a bearer token.
type Token struct {
	// Where the token is. Required.
	TokenFrom SecretSource `json:"tokenFrom"`
	// Who the caller is, on every line of the ledger. Required.
	Identity string `json:"identity"`
	// What the caller may invoke: namespace/function, namespace/* or *. Required.
	Invoke []string `json:"invoke"`
}

// SecretSource says where a secret is; exactly one field. Secrets themselves are
// never written in configuration.
type SecretSource struct {
	// Path of a file, relative to the configuration file, readable by its owner
	// only.
	File string `json:"file,omitempty"`
	// Name of an environment variable of the server.
	Env string `json:"env,omitempty"`
}
