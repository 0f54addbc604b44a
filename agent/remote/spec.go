package remote

import (
	"errors"
	"time"

	"github.com/spillway-dev/spillway"
)

// AuthorityVariable is the environment variable of an agent with the certificate
// that CA.Certificate returns.
const AuthorityVariable = "SPILLWAY_AGENT_CA"

// Port is where agents listen.
const Port = 8791

// ErrPackageMissing is why Start failed when the agent has to be sent the package first.
var ErrPackageMissing = errors.New("the agent does not have the package yet")

// Spec is a function for an agent to start.
type Spec struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Revision  string `json:"revision"`
	Handler   string `json:"handler,omitempty"`
	// Package is the digest of what the function is in; empty: it is the command that
	// the agent was started with, as in a function's own image.
	Package     string   `json:"package,omitempty"`
	Web         bool     `json:"web,omitempty"`
	Concurrency int      `json:"concurrency,omitempty"` // of a web function; 1 if zero
	Env         []string `json:"env,omitempty"`         // KEY=value
	MiB         int64    `json:"mib"`                   // what the function is told it has

	Region      string        `json:"region,omitempty"` // AWS_REGION; left out if empty
	LogStream   string        `json:"logStream,omitempty"`
	InitTimeout time.Duration `json:"initTimeout,omitempty"` // fork to first poll; 10 s if zero
}

// SpecOf describes an instance of f. Region, LogStream and InitTimeout are the pool's to set.
func SpecOf(f *spillway.Function) Spec {
	return Spec{
		Namespace: f.FunctionKey.Namespace, Name: f.Name, Revision: f.Revision, Handler: f.Handler,
		Package: f.Package.Digest, Web: f.Contract == spillway.ContractHTTP, Concurrency: f.Concurrency,
		Env: f.Env, MiB: f.Instance.MiB,
	}
}

func (s Spec) key() spillway.FunctionKey {
	return spillway.FunctionKey{Namespace: s.Namespace, Name: s.Name}
}

// places is how many calls an instance takes at once.
func (s Spec) places() int {
	if s.Web {
		return max(1, s.Concurrency)
	}
	return 1
}

// startRequest is the body of POST /v1/start.
type startRequest struct {
	Spec Spec          `json:"spec"`
	Left time.Duration `json:"left,omitempty"` // until the caller gives up; zero: never
}

// startAnswer is the body of every answer to it.
type startAnswer struct {
	Unpack time.Duration `json:"unpack,omitempty"`
	Start  time.Duration `json:"start,omitempty"`
	Init   time.Duration `json:"init,omitempty"`

	Type  string `json:"type,omitempty"` // of a pools.StartError
	Error string `json:"error,omitempty"`
}

// What an agent is doing.
const (
	StateFresh    = "fresh" // not told yet what to run
	StateStarting = "starting"
	StateStarted  = "started"
	StateEnded    = "ended" // the function has ended, or did not start
)

// Health is what an agent says of itself.
type Health struct {
	State    string `json:"state"`
	Function string `json:"function,omitempty"` // namespace/name
	Revision string `json:"revision,omitempty"`
	Package  string `json:"package,omitempty"` // the digest of the one that it has
	Calls    int    `json:"calls"`             // under way
	Draining bool   `json:"draining,omitempty"`
}
