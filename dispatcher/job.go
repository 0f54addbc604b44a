package dispatcher

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
)

// Job is one pod of a virtual node that asks to run on idle capacity.
type Job struct {
	UID       string // of the pod, unique; its admissions are attempts of one invocation
	Namespace string
	Name      string // of what it belongs to, as ledger lines say it
	Pod       string
	Node      string // the virtual node that it is bound to
	Caller    string
	Need      spillway.Resources // while it runs; Slots is 1
	GPUs      int64              // no cloud has them
	// Timeout is when whatever runs it ends it, from its start; zero: never.
	Timeout time.Duration
	// MaxWait is when it gives up waiting for idle capacity, if it may run in a cloud;
	// negative: never.
	MaxWait   time.Duration
	Deadline  spillway.Instant   // it should have ended; zero: none
	Burst     *spillway.Function // runs in a cloud in its place; nil: nothing does
	CloudOnly bool               // no machine of the node is as large: it goes to a cloud as soon as it may
	NoRoom    bool               // no machine of the node has a place of its size now: it waits, as where all is full

	Attempt int              // which one is asked for, from 1; zero: the next
	Before  int              // attempts of it that are on record
	Since   spillway.Instant // first admission on record; zero: there is none
}

// JobError says what of a job cannot be.
type JobError struct{ Problem, Allowed string }

func (e *JobError) Error() string { return e.Problem + "; allowed: " + e.Allowed }

// forever is longer than anything waits.
const forever time.Duration = math.MaxInt64

// FunctionOf returns a job as placement and policy see it: a function of class offline
// whose clouds are those of its burst function; or what of it cannot be.
func (j *Job) FunctionOf(p *spillway.Platform) (*spillway.Function, *JobError) {
	ns, known := slices.BinarySearchFunc(p.Namespaces, j.Namespace, func(n spillway.Namespace, name string) int {
		return compareText(n.Name, name)
	})
	if !known {
		if ns = slices.IndexFunc(p.Namespaces, func(n spillway.Namespace) bool { return n.Name == j.Namespace }); ns < 0 {
			return nil, &JobError{fmt.Sprintf("namespace %s belongs to no Quota and has no Function, so nobody would pay", j.Namespace), "a namespace that a Quota names"}
		}
	}
	f := &spillway.Function{
		FunctionKey: spillway.FunctionKey{Namespace: j.Namespace, Name: j.Name}, Platform: p, Index: -1, Namespace: ns, Revision: j.Pod,
		Resources: j.Need, Instance: j.Need, Concurrency: 1, Timeout: j.Timeout, Deadline: forever, MaxWait: forever, Offline: true,
		Policy: max(0, slices.IndexFunc(p.BurstPolicies, func(b spillway.BurstPolicy) bool { return b.Name == "default" })),
	}
	if b := j.Burst; b != nil {
		f.Policy, f.Burst, f.DataClass, f.Residency, f.Bindings = b.Policy, b.Burst, b.DataClass, b.Residency, b.Bindings
	}
	for i, pool := range p.Pools {
		if f.Excluded[i] = j.exclusion(pool); f.Excluded[i] == spillway.ExcludedNot {
			f.Permitted = f.Permitted.With(i)
		}
	}
	return f, nil
}

// IsJob reports a decision about a job. It reads nothing that a call's own driver
// writes, so that it may be asked beside one.
func IsJob(d *Decision) bool {
	f := d.Call.Function
	return f != nil && f.Offline && f.Index < 0
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// exclusion says why a pool cannot run the job, whatever a policy says.
func (j *Job) exclusion(pool *spillway.Pool) spillway.Exclusion {
	switch {
	case pool.Retired:
		return spillway.ExcludedRetired
	case pool.Kind.Cloud() && j.Burst == nil:
		return spillway.ExcludedBurst
	case pool.Kind.Cloud() && j.GPUs > 0:
		return spillway.ExcludedGPU
	case pool.Kind.Cloud():
		return j.Burst.Excluded[pool.Index]
	case pool.Kind != spillway.PoolOffline:
		return spillway.ExcludedClass
	case pool.Node != j.Node:
		return spillway.ExcludedNode
	case j.Burst != nil && len(j.Burst.Residency) > 0 && !slices.Contains(j.Burst.Residency, pool.Region):
		return spillway.ExcludedResidency
	}
	return spillway.ExcludedNot
}

// cloudAt is from when on a job that was first admitted at since goes to a cloud rather
// than wait: after its MaxWait, and while the first of clouds, which are in the order in
// which they are tried, that could meet its deadline then still can.
func (j *Job) cloudAt(f *spillway.Function, clouds []int, since spillway.Instant) spillway.Instant {
	if len(clouds) == 0 {
		return spillway.Never
	}
	at := spillway.Never
	if j.MaxWait >= 0 {
		at = since.Add(j.MaxWait)
	}
	if j.CloudOnly {
		at = since
	}
	if j.Deadline != 0 {
		latest := since // none can: what there is
		for _, i := range clouds {
			if start := j.latestStart(f, i); start >= since {
				latest = start
				break
			}
		}
		at = min(at, latest)
	}
	return max(at, since)
}

// latestStart is when a cloud has to begin to be done by the deadline if it takes as long
// as it may.
func (j *Job) latestStart(f *spillway.Function, cloud int) spillway.Instant {
	return j.Deadline - spillway.Instant(f.Bindings[cloud].Timeout+f.Platform.Pools[cloud].InitTimeout)
}

// placeless reports that no machine takes the job now, whatever the sum of them has.
func (j *Job) placeless() bool { return j.CloudOnly || j.NoRoom }

// JobState is what a job is told to do.
type JobState uint8

const (
	JobWaiting  JobState = iota // ask again
	JobAdmitted                 // run: it holds quota and room until EndJob
	JobCloud                    // run its burst function: it holds nothing here
	JobRefused                  // it cannot run as it is; nothing is kept of it
	JobOver                     // the attempt has ended
)

func (s JobState) String() string {
	return [...]string{"waiting", "admitted", "cloud", "refused", "ended"}[s]
}

// JobAnswer is what became of a job so far.
type JobAnswer struct {
	State   JobState
	Attempt int
	// Decision is the driver's that the attempt was admitted with; nil for JobOver. It
	// is valid until the next event.
	Decision *Decision
	Problem  *JobError        // of JobRefused, if it is not the Decision
	Waiting  int              // jobs that wait, of all namespaces
	CloudAt  spillway.Instant // when it goes to a cloud; Never if it does not
	// Cloud is the pool that it goes to, by what is known now, and Cost what it is
	// expected to cost there; -1: none.
	Cloud int
	Cost  spillway.Nano
}

// JobEnd is how an attempt of a job ended.
type JobEnd struct {
	Attempt int
	Outcome spillway.Outcome
}
