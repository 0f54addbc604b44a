package cloud

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
)

// Kind is what a Fault does to a call that is valid and signed.
type Kind string

// Kinds of faults. In the first group nothing is executed and nothing is billed;
// in the second the call is executed and billed, within the limits, and then the
// answer is spoiled.
const (
	Throttle     Kind = "throttle"      // 429 with Reason and Retry-After
	EC2Throttled Kind = "ec2_throttled" // 502 EC2ThrottledException
	ErrorBefore  Kind = "error_before"  // 500 ServiceException
	ResetBefore  Kind = "reset_before"  // connection reset
	Stall        Kind = "stall"         // no answer until the client leaves or HoldMs are over, then reset

	ErrorAfter  Kind = "error_after"   // 500 ServiceException
	ResetAfter  Kind = "reset_after"   // connection reset
	StallAfter  Kind = "stall_after"   // executes, then as Stall: the client times out
	Truncated   Kind = "truncated"     // the connection ends within the answer
	Oversized   Kind = "oversized"     // 200 with 8 MiB
	Malformed   Kind = "malformed"     // 200 with JSON that breaks off
	MalformedIn Kind = "malformed_500" // 500 with a body that is not JSON
	Garbage     Kind = "garbage"       // bytes that are not HTTP
	WrongType   Kind = "wrong_type"    // 200 with an HTML page
)

// Kinds of SCF. Throttle answers the code, or the status in a result, that is in
// Reason. The others mean the same, with SCF's own errors: ErrorBefore and
// ErrorAfter are InternalError.System.
const (
	ErrorCode Kind = "error_code" // not executed: the API error in Reason
	Compress  Kind = "compressed" // executes: the answer is a bomb in gzip
)

var (
	before = []Kind{Throttle, EC2Throttled, ErrorBefore, ResetBefore, Stall, ErrorCode}
	after  = []Kind{ErrorAfter, ResetAfter, StallAfter, Truncated, Oversized, Malformed, MalformedIn, Garbage, WrongType, Compress}
	// onlyAt are the kinds that one cloud has.
	onlyAt = map[Kind]string{EC2Throttled: Lambda, ErrorCode: SCF, Compress: SCF}
)

func (k Kind) executes() bool { return slices.Contains(after, k) }

func (k Kind) known(provider string) bool {
	at := onlyAt[k]
	return (k.executes() || slices.Contains(before, k)) && (at == "" || at == provider)
}

// Fault spoils calls on demand. Which: those of Function (all if empty), every
// one, every Every-th, or each with Probability; at most Count of them if that is
// not zero.
type Fault struct {
	Kind        Kind    `json:"kind" yaml:"kind"`
	Function    string  `json:"function,omitempty" yaml:"function"`
	Count       int     `json:"count,omitempty" yaml:"count"`
	Every       int     `json:"every,omitempty" yaml:"every"`
	Probability float64 `json:"probability,omitempty" yaml:"probability"`

	Reason            string `json:"reason,omitempty" yaml:"reason"`                       // of Throttle and ErrorCode; the cloud's usual one if empty
	RetryAfterSeconds int    `json:"retryAfterSeconds,omitempty" yaml:"retryAfterSeconds"` // of Throttle; 1 if zero
	HoldMs            int64  `json:"holdMs,omitempty" yaml:"holdMs"`                       // of stalls, in milliseconds; a minute if zero, at most 15
}

const maxHoldMs = 15 * 60_000

func (f Fault) check(provider string) error {
	switch {
	case !f.Kind.known(provider):
		return fmt.Errorf("unknown kind of fault %q; allowed: %s", f.Kind, kindList(provider))
	case provider == SCF && !f.scfReason():
		return fmt.Errorf("reason %q is not one of SCF's; allowed: %s", f.Reason, strings.Join(scfCodes(f.Kind), " "))
	case f.Count < 0 || f.Every < 0 || f.RetryAfterSeconds < 0:
		return errors.New("count, every and retryAfterSeconds cannot be negative")
	case !(f.Probability >= 0 && f.Probability <= 1):
		return errors.New("probability must be between 0 and 1")
	case f.Every > 0 && f.Probability > 0:
		return errors.New("a fault has either every or probability")
	case f.HoldMs < 0 || f.HoldMs > maxHoldMs:
		return errors.New("holdMs must be between 0 and 900000")
	}
	return nil
}

func kindList(provider string) string {
	var names []string
	for _, k := range append(slices.Clone(before), after...) {
		if k.known(provider) {
			names = append(names, string(k))
		}
	}
	return strings.Join(names, " ")
}

func (f *Fault) withDefaults() {
	set(&f.RetryAfterSeconds, 1)
	set(&f.HoldMs, 60_000)
}

// ActiveFault is a Fault with what it has done so far.
type ActiveFault struct {
	Fault
	Seen  int `json:"seen"`  // calls it could have spoilt
	Fired int `json:"fired"` // calls it spoilt
}

type faults struct {
	mu     sync.Mutex
	random *rand.Rand
	active []*ActiveFault
}

func newFaults(seed uint64) *faults {
	return &faults{random: rand.New(rand.NewPCG(seed, 0))}
}

func (f *faults) add(fault Fault) {
	fault.withDefaults()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append(f.active, &ActiveFault{Fault: fault})
}

// pick returns the first fault that spoils a call of a function, or nil.
func (f *faults) pick(function string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.active {
		if (a.Function == "" || a.Function == function) && f.fires(a) {
			a.Fired++
			return &a.Fault
		}
	}
	return nil
}

func (f *faults) fires(a *ActiveFault) bool {
	if a.Count > 0 && a.Fired == a.Count {
		return false
	}
	a.Seen++
	switch {
	case a.Every > 0:
		return a.Seen%a.Every == 0
	case a.Probability > 0:
		return f.random.Float64() < a.Probability
	}
	return true
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = nil
}

func (f *faults) list() []ActiveFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]ActiveFault, 0, len(f.active))
	for _, a := range f.active {
		list = append(list, *a)
	}
	return list
}

// Inject adds a fault after those that are active. The error says what is wrong
// with it.
func (s *Server) Inject(f Fault) error {
	if err := f.check(s.config.Provider); err != nil {
		return fmt.Errorf("cloud: inject: %w", err)
	}
	if f.Function != "" && s.functions[f.Function] == nil {
		return fmt.Errorf("cloud: inject: no function %q", f.Function)
	}
	s.faults.add(f)
	return nil
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() { s.faults.clear() }
