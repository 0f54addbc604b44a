// Package clouddrift compares what a configuration says of functions in clouds
// with what a cloud says of them. It is pure: who asks the cloud gives it the
// answers.
//
//	Platform ─ Wants ──┐
//	                   ├─ Compare ─ Finding ─┐
//	cloud ──── Found ──┘                     ├─ Report
//	cloud ──── Account ─ CompareAccount ─────┘
//
//	Platform ─ Reservations ─┐
//	cloud ──── reserved ─────┼─ Decide ─ Step: reserve, take away, leave
//	Record of what was written ┘
//
// What matters here is what the rest of Spillway relies on: memory, timeout and
// INIT limit are what it reserves money for, the alias or version is what it
// calls, and the cloud's limits are the ones that it mirrors.
package clouddrift

import (
	"errors"
	"time"
)

// ErrNoAnswer is behind the errors of whoever asks a cloud that says nothing at
// all: asking it more is of no use.
var ErrNoAnswer = errors.New("no answer")

// ErrNoFunction is behind the errors of whoever changes a function that is not there.
var ErrNoFunction = errors.New("no such function")

// Status says how a binding or an account compares.
type Status string

const (
	OK          Status = "ok"
	Drift       Status = "drift"
	Missing     Status = "missing"     // the function, or its alias or version, is not there
	Unreachable Status = "unreachable" // the cloud did not tell
)

// Architectures, as AWS writes them.
const (
	X86 = "x86_64"
	ARM = "arm64"
)

// Found is what a cloud says of one function under one qualifier.
type Found struct {
	// Missing is MissingFunction or MissingQualifier if that is not there; the
	// other fields are zero then.
	Missing Absence

	Version      string // behind the qualifier
	MiB          int64
	Timeout      time.Duration
	InitTimeout  time.Duration // zero where the cloud has none that can be set
	Digest       string        // sha256:<64 hex digits> of the zip; empty if it is not told
	NoDigest     string        // why Digest is empty
	Architecture string        // X86 or ARM; empty if it is not told
	State        string        // in the cloud's words, if it takes no calls; else empty
	Split        bool          // the alias sends a part of the calls to another version
	Reserved     *int64        // concurrency kept for the function, in its cloud's unit; nil for none
}

// Absence is what a cloud does not have.
type Absence string

const (
	MissingFunction  Absence = "function"
	MissingQualifier Absence = "qualifier"
)

// Account is what a cloud says of an account in a region. Zero is not told.
type Account struct {
	Concurrency int64 // executions at once
	Unreserved  int64 // of them, those that no function has reserved
	MemoryMiB   int64 // of the executions at once, where that is what counts
}

// Difference is one thing that is not as it should be.
type Difference struct {
	Field    string `json:"field"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
	Why      string `json:"why"` // it matters, and what to do
}

// Note is something that was not compared, or that is good to know.
type Note struct {
	Field string `json:"field"`
	Text  string `json:"text"`
}

// Finding is how one binding compares, or an account if Function is empty.
type Finding struct {
	Pool        string       `json:"pool"`
	Function    string       `json:"function,omitempty"` // namespace/name
	Revision    string       `json:"revision,omitempty"`
	Name        string       `json:"name,omitempty"` // in the cloud
	Qualifier   string       `json:"qualifier,omitempty"`
	Version     string       `json:"version,omitempty"` // behind the qualifier
	Status      Status       `json:"status"`
	Problem     string       `json:"problem,omitempty"` // why it is missing or unreachable
	Differences []Difference `json:"differences,omitempty"`
	Notes       []Note       `json:"notes,omitempty"`
}

// Report is the result of a check.
type Report struct {
	Findings []Finding `json:"findings"`
	Counts   Counts    `json:"counts"`
}

// Counts are the numbers of findings.
type Counts struct {
	OK          int `json:"ok"`
	Drift       int `json:"drift"`
	Missing     int `json:"missing"`
	Unreachable int `json:"unreachable"`
}

// Clean reports that everything is as it should be.
func (c Counts) Clean() bool { return c.Drift+c.Missing+c.Unreachable == 0 }

// NewReport counts findings and keeps their order.
func NewReport(findings []Finding) Report {
	r := Report{Findings: findings}
	for _, f := range findings {
		switch f.Status {
		case OK:
			r.Counts.OK++
		case Drift:
			r.Counts.Drift++
		case Missing:
			r.Counts.Missing++
		default:
			r.Counts.Unreachable++
		}
	}
	return r
}
