package course

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

// Facts are what is known of one virtual pod. Next keeps and changes none of them.
type Facts struct {
	Node   string
	Pod    *corev1.Pod   // the virtual pod; nil: it is gone
	Guests []*corev1.Pod // those with its UID, in any order
	// Live says that Pod and Guests were read from the API server itself, after all
	// that was done for earlier steps; not from a cache.
	Live bool
	// Last is a guest that is gone, as it was last: the latest of those whose removal was
	// seen; nil: none was.
	Last *corev1.Pod
	// Begun is the latest attempt of which a guest may have been made, as far as is known;
	// of what was open before a restart it may.
	Begun int
	// Answer is what the dispatcher holds open for the pod, nil for nothing: its last
	// answer, until it has taken notice of the end. After a restart it is what the
	// dispatcher lists as open.
	Answer  *Answer
	Reclaim *Reclaim // room is wanted back; nil: it is not
	Cloud   *Run     // what is known of the run in a cloud; nil: nothing
	NoRoom  *NoRoom  // why the guest of an attempt is not made; nil: it is, or was not tried
	// Vain is how many attempts in a row nobody would run, as the ends told of them count it;
	// fewer after a restart.
	Vain int
}

// State is what a dispatcher answers.
type State uint8

const (
	Waiting  State = iota // there is no room now: ask again
	Admitted              // the attempt may run on idle capacity
	Cloud                 // the attempt may run in a cloud
	Refused               // it may never run as it is; nothing is held open
	Over                  // the attempt has ended already; nothing is held open
)

func (s State) String() string {
	return [...]string{"waiting", "admitted", "cloud", "refused", "over"}[s]
}

// Answer is what the dispatcher said of one attempt.
type Answer struct {
	Attempt      int
	State        State
	Pool         string
	Reason, Text string    // the one word and the sentence
	Plan         string    // what comes of waiting, of Waiting
	Again        time.Time // when to ask again, of Waiting
}

// Reclaim asks for the room of one attempt.
type Reclaim struct {
	Attempt int
	Text    string // why, for people
}

// NoRoom says that an attempt was admitted and no real node has room for its guest, or
// the API server refuses it.
type NoRoom struct {
	Attempt int
	Since   time.Time // when that was found first
	Before  int       // how many attempts in a row before it found none either
	Text    string    // for people
	Refused bool      // its guest was not made for that, and is given up at once
}

const (
	firstPatience = 5 * time.Second
	maxPatience   = 5 * time.Minute
	// landed is longer than an API server works at a request that makes something: a guest
	// that is not there by then was not made.
	landed = 35 * time.Second
)

// Until is when the attempt is given up. Where a guest may have been asked for, which is
// what begun says as in Facts, it may still come to be for a while: with the next
// attempt's there would be two.
func (r *NoRoom) Until(begun int) time.Time {
	patience := firstPatience
	for n := 0; n < r.Before && patience < maxPatience; n++ {
		patience *= 2
	}
	if patience = min(patience, maxPatience); r.Refused {
		patience = 0
	}
	if begun >= r.Attempt {
		patience = max(patience, landed)
	}
	return r.Since.Add(patience)
}

// RunState is how a run in a cloud stands.
type RunState uint8

const (
	Running     RunState = iota // it was sent and has not ended
	Executed                    // it ran, and ended with ExitCode
	NotExecuted                 // it never ran: it may be sent again
	Unknown                     // nobody can tell: it is not sent again
)

// Run is one attempt in a cloud.
type Run struct {
	Attempt        int
	State          RunState
	ExitCode       int32 // of Executed; 0 is success
	Started, Ended time.Time
	ID             string // as container IDs are written: lambda://…
	Text           string
}

// Step is what to do now. Its parts do not depend on each other.
type Step struct {
	Status *corev1.PodStatus // to write; nil: it stays
	Events []Event
	Ask    *Ask        // the dispatcher
	End    *End        // to tell the dispatcher; the open answer is void when it has taken notice
	Look   bool        // read the pod and its guests from the API server, and call Next with them
	Create *corev1.Pod // the guest to make; that it exists already is success
	Delete []Deletion
	Invoke *Invocation
	Again  time.Time // when to call Next if nothing changes; zero: never
}

// Ask is the question whether an attempt may run, and where.
type Ask struct {
	Attempt int
	Begun   bool          // a guest of it may have been made
	Job     string        // name of the Job, or of a pod of its own
	Needs   guest.Needs   // while it runs
	Terms   guest.Terms   // as its owner wrote them
	Timeout time.Duration // what is left until its own deadline; zero: it has none
	// CloudOnly says that no real node is as large, which who carries the question out sets,
	// NoRoom that none takes its guest now.
	CloudOnly, NoRoom bool
}

// Class says whether an attempt ran.
type Class string

const (
	ClassExecuted    Class = "executed"
	ClassNotExecuted Class = "not_executed"
	ClassUnknown     Class = "unknown"
)

// End is how one admission ended. Times are zero where nothing ran.
type End struct {
	Attempt        int
	Class          Class
	Started, Ended time.Time
	Reason         string
	Vain           bool // a node or cloud that was chosen would not run it
}

// Count is how many attempts in a row nobody would run, given how many it were before
// this one. What found no room or was reclaimed before it ran does not count.
func (e End) Count(before int) int {
	switch {
	case e.Vain:
		return before + 1
	case e.Class == ClassExecuted:
		return 0
	}
	return before
}

// Deletion removes one guest, if it is still the one with the UID. GraceSeconds nil
// means the guest's own.
type Deletion struct {
	Guest        *corev1.Pod
	GraceSeconds *int64
	// AsSeen removes it only if nothing of it has changed: it may have ended meanwhile,
	// and what has ended is gone at once, with how it ended.
	AsSeen bool
}

// Invocation sends an attempt to a cloud. Who sends it twice gives it the same key,
// and the second joins the first.
type Invocation struct {
	Attempt  int
	Key      string
	Pool     string
	Function string // of the pod's namespace; empty: the pod names none any more
}

// Event is for kubectl describe.
type Event struct {
	Warning      bool
	Reason, Text string
}
