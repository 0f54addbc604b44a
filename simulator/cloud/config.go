package cloud

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits of both clouds that configurations are held against.
const (
	minMiB     = 128
	maxMiB     = 10_240
	maxTimeout = 900 * time.Second
)

// The clouds that a Server can stand in for.
const (
	Lambda = "lambda"
	SCF    = "scf"
)

// Config describes one account in one region.
type Config struct {
	Provider  string            // Lambda or SCF; Lambda if empty
	Region    string            // of signatures and ARNs; us-east-1 or ap-guangzhou if empty
	AccountID string            // of Lambda, 12 digits; 123456789012 if empty
	Keys      map[string]string // access key id → secret; at least one
	Functions []Function

	Concurrency   int           // of a Lambda account, calls in flight at once; 1,000 if zero
	RampPer10s    int           // new environments of one Lambda function in 10 s; 1,000 if zero
	MemoryQuota   int           // of an SCF account, MiB in flight at once; 128,000 if zero
	RampPerMinute int           // new instances of an SCF account in a minute; 500 if zero
	IdleTimeout   time.Duration // an idle environment is ended after this; 5 min if zero

	Prices       Prices
	ExecutionLog string // file that gets one JSON line per execution; none if empty

	Faults    []Fault
	FaultSeed uint64 // of faults with a probability

	// Clock is the time that limits, signatures and in-process handlers go by;
	// time.Now if nil. Processes always run in real time.
	Clock func() time.Time
}

// Prices are exact decimals: US dollars on Lambda, yuan on SCF.
type Prices struct {
	GBSecond string // 0.0000166667 if empty: x86, first tier; 0.00011108 on SCF
	Request  string // 0.0000002 if empty; 0.00000133 on SCF
}

// Function is one deployed function: a Command that speaks the Lambda Runtime API,
// on SCF that of its custom runtimes, or a Handler in this process.
type Function struct {
	Name       string
	Namespace  string            // of SCF; default if empty
	Qualifiers map[string]string // alias or version → version; $LATEST always exists
	MiB        int               // 128 to 10,240; on SCF 64, or steps of 128 up to 3,072; 128 if zero
	Timeout    time.Duration     // of one execution, up to 15 min; 3 s if zero
	Reserved   *int              // reserved concurrency at the start, on SCF in MiB; nil for none, 0 refuses every call

	Command     []string // program and arguments; a relative program is found in Dir
	Dir         string   // deployment package and working directory
	Env         []string // KEY=value
	HandlerName string   // _HANDLER

	// What reads tell of the code; running it does not depend on them.
	CodeSHA256   string // base64 of the zip's SHA-256; made up from the name if empty
	Architecture string // of Lambda: x86_64 or arm64; x86_64 if empty

	Init   func(ctx context.Context) error // of an in-process environment; may be nil
	Handle Handler
}

// Handler runs one invocation in this process. It must return soon after ctx ends:
// nothing can kill it. A panic counts as a crash of the environment.
type Handler func(ctx context.Context, e Event) ([]byte, error)

// Event is what an in-process Handler gets.
type Event struct {
	RequestID     string
	FunctionARN   string
	Version       string
	Payload       []byte
	ClientContext string // JSON; empty if none
	Deadline      time.Time
	Log           io.Writer
}

func (c Config) withDefaults() Config {
	set(&c.Provider, Lambda)
	set(&c.IdleTimeout, 5*time.Minute)
	if c.Provider == SCF {
		c.scfDefaults()
	} else {
		set(&c.Region, "us-east-1")
		set(&c.AccountID, "123456789012")
		set(&c.Concurrency, 1000)
		set(&c.RampPer10s, 1000)
		set(&c.Prices.GBSecond, "0.0000166667")
		set(&c.Prices.Request, "0.0000002")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	c.Functions = slices.Clone(c.Functions)
	for i := range c.Functions {
		f := &c.Functions[i]
		set(&f.MiB, minMiB)
		set(&f.Timeout, 3*time.Second)
		if c.Provider == SCF {
			set(&f.Namespace, "default")
		} else {
			set(&f.Architecture, "x86_64")
		}
	}
	return c
}

func (c Config) currency() string {
	if c.Provider == SCF {
		return "CNY"
	}
	return "USD"
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

var (
	regionForm  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)
	accountForm = regexp.MustCompile(`^\d{12}$`)
	nameForm    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	versionForm = regexp.MustCompile(`^(\$LATEST|[1-9][0-9]{0,9})$`)
	aliasForm   = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)
)

// fault is a problem with one field of a Config; path is written as in the file
// that LoadConfig reads.
type fault struct {
	path    string
	problem string
	allowed string
}

func (f *fault) Error() string {
	text := f.path + ": " + f.problem
	if f.allowed != "" {
		text += "; allowed: " + f.allowed
	}
	return text
}

// faults returns everything that is wrong with c, which has its defaults.
func (c Config) faults() []*fault {
	var found []*fault
	check := func(ok bool, path, problem, allowed string) {
		if !ok {
			found = append(found, &fault{path, problem, allowed})
		}
	}
	check(c.Provider == Lambda || c.Provider == SCF, "provider", fmt.Sprintf("%q is not a cloud", c.Provider), "lambda, scf")
	if c.Provider == SCF {
		found = append(found, c.scfFaults()...)
	} else {
		check(regionForm.MatchString(c.Region), "region", fmt.Sprintf("%q is not a region", c.Region), "a region such as us-east-1")
		check(accountForm.MatchString(c.AccountID), "account", fmt.Sprintf("%q is not an account id", c.AccountID), "12 digits, in quotes")
		check(c.Concurrency > 0, "concurrency", "must be positive", "1 or more")
		check(c.RampPer10s > 0, "rampPer10s", "must be positive", "1 or more")
		check(c.MemoryQuota == 0, "memoryQuota", "is for provider scf", "")
		check(c.RampPerMinute == 0, "rampPerMinute", "is for provider scf", "")
	}
	check(len(c.Keys) > 0, "keys", "no access key, so no call could be signed", "at least one key")
	for _, id := range slices.Sorted(maps.Keys(c.Keys)) {
		check(id != "" && c.Keys[id] != "", "keys", fmt.Sprintf("access key %q has no id or no secret", id), "both")
	}
	check(c.IdleTimeout > 0, "idleTimeout", "must be positive", "a duration such as 5m")
	for _, p := range [...]struct{ path, text string }{{"prices.gbSecond", c.Prices.GBSecond}, {"prices.request", c.Prices.Request}} {
		_, err := parsePrice(p.text)
		check(err == nil, p.path, fmt.Sprintf("%q is not a price", p.text), "a decimal in quotes, such as \"0.0000002\"")
	}
	reserved, names := 0, map[string]bool{}
	for i, f := range c.Functions {
		path := fmt.Sprintf("functions[%d].", i)
		if found = append(found, f.faults(path)...); c.Provider == SCF {
			found = append(found, f.scfFaults(path)...)
		} else {
			found = append(found, f.lambdaFaults(path)...)
		}
		check(!names[f.Name], path+"name", fmt.Sprintf("%q is there twice", f.Name), "each name once")
		names[f.Name] = true
		if f.Reserved != nil {
			reserved += max(0, *f.Reserved)
		}
	}
	if limit := max(0, c.Concurrency+c.MemoryQuota); reserved > limit {
		check(false, "functions", fmt.Sprintf("reserved concurrency adds up to %d, over the account's %d", reserved, limit), "")
	}
	for i, f := range c.Faults {
		path := fmt.Sprintf("faults[%d]", i)
		if err := f.check(c.Provider); err != nil {
			check(false, path, err.Error(), "")
		}
		check(f.Function == "" || names[f.Function], path+".function", fmt.Sprintf("no function %q", f.Function), "")
	}
	return found
}

func (f Function) faults(path string) []*fault {
	var found []*fault
	check := func(ok bool, field, problem, allowed string) {
		if !ok {
			found = append(found, &fault{path + field, problem, allowed})
		}
	}
	check(f.Timeout >= time.Second && f.Timeout <= maxTimeout && f.Timeout%time.Second == 0 || f.Handle != nil && f.Timeout > 0,
		"timeout", f.Timeout.String(), "whole seconds, 1s to 15m")
	check(f.Reserved == nil || *f.Reserved >= 0, "reserved", "is negative", "0 or more")
	check((len(f.Command) > 0) != (f.Handle != nil), "command", "a function is either a command or a handler", "the program that speaks the cloud's runtime API, and its arguments")
	sum, err := base64.StdEncoding.DecodeString(f.CodeSHA256)
	check(f.CodeSHA256 == "" || err == nil && len(sum) == sha256.Size, "zip", "its digest is not a SHA-256 in base64", "")
	check(f.Dir == "" || filepath.IsAbs(f.Dir), "dir", fmt.Sprintf("%q is not absolute", f.Dir), "")
	for _, q := range slices.Sorted(maps.Keys(f.Qualifiers)) {
		version := f.Qualifiers[q]
		numbered := versionForm.MatchString(q)
		check(versionForm.MatchString(version), "qualifiers."+q, fmt.Sprintf("%q is not a version", version), "a number or $LATEST, in quotes")
		check(numbered || aliasForm.MatchString(q), "qualifiers."+q, "is neither a version nor an alias", "letters, digits, - and _")
		check(!numbered || q == version, "qualifiers."+q, "a version can only name itself", fmt.Sprintf("%q", q))
	}
	for i, pair := range f.Env {
		key, _, ok := strings.Cut(pair, "=")
		check(ok && key != "", fmt.Sprintf("env[%d]", i), "is not KEY=value", "")
	}
	return found
}

func (f Function) lambdaFaults(path string) []*fault {
	var found []*fault
	if !nameForm.MatchString(f.Name) {
		found = append(found, &fault{path + "name", fmt.Sprintf("%q is not a function name", f.Name), "1 to 64 letters, digits, - and _"})
	}
	if f.MiB < minMiB || f.MiB > maxMiB {
		found = append(found, &fault{path + "memory", fmt.Sprintf("%d MiB", f.MiB), "128 to 10240"})
	}
	if f.Architecture != "x86_64" && f.Architecture != "arm64" {
		found = append(found, &fault{path + "architecture", fmt.Sprintf("%q is not an architecture", f.Architecture), "x86_64, arm64"})
	}
	if f.Namespace != "" {
		found = append(found, &fault{path + "namespace", "is for provider scf", ""})
	}
	return found
}

// check returns all faults of c as one error.
func (c Config) check() error {
	var all []error
	for _, f := range c.faults() {
		all = append(all, f)
	}
	return errors.Join(all...)
}
