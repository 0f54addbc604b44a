package dispatcher

import (
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/quota"
)

// OpenJob is an attempt of a job that a previous process admitted and did not end.
type OpenJob struct {
	UID, Namespace, Name, Pod string
	Attempt                   int
	Pool                      string
	Reason                    spillway.Reason
	Since                     spillway.Instant // first admission
	Placed                    spillway.Instant
	Timeout                   time.Duration // zero: none
	Need                      spillway.Resources
}

// RestoreJob holds what an open attempt held, whatever the limits say now. It precedes
// all events but Restore. It reports false for a namespace that is not there any more:
// nothing counts what that holds.
func (e *Engine) RestoreJob(o OpenJob, d *Decision) bool {
	j := Job{UID: o.UID, Namespace: o.Namespace, Name: o.Name, Pod: o.Pod, Need: o.Need, Timeout: o.Timeout, MaxWait: -1}
	pool := slices.IndexFunc(e.platform.Pools, func(p *spillway.Pool) bool { return p.Name == o.Pool && p.Kind == spillway.PoolOffline })
	if pool >= 0 {
		j.Node = e.platform.Pools[pool].Node
	}
	f, err := j.FunctionOf(e.platform)
	if err != nil || pool < 0 {
		return false
	}
	open := e.openJob(o.Placed, j, f, o.Since, o.Attempt, nil, d)
	r := e.record(open.at)
	r.ask = quota.Ask{Leaf: e.platform.Namespaces[f.Namespace].Quota, Class: spillway.ClassOffline, Need: o.Need, Admitted: o.Placed}
	e.quota.Reserve(&r.ask)
	d.Pool, d.Reason = pool, o.Reason
	d.Attempts[0] = Attempt{Pool: pool, Function: f, Reason: o.Reason, Placed: o.Placed}
	d.Tries = 1
	r.tenant.inUse++
	e.hold(o.Placed, e.onPrem[pool], o.Need)
	r.state, open.state, open.told = callRunning, JobAdmitted, true
	return true
}

// reloadJobs puts the jobs that wait under the new rules. Those whose namespace is gone
// are refused when they ask again.
func (e *Engine) reloadJobs(now spillway.Instant) {
	for _, j := range e.openJobs() {
		if j.state != JobWaiting {
			continue
		}
		if j.Burst != nil {
			j.Burst = e.platform.Function(j.Burst.FunctionKey)
		}
		f, err := j.FunctionOf(e.platform)
		if err != nil {
			e.forgetJob(now, j)
			continue
		}
		r := e.record(j.at)
		r.d.Call.Function = f
		j.plan(r.d.Admitted)
		e.queueJob(now, j.at, r)
	}
}

// JobDecision is that of an open job, or nil. It is valid until the next event.
func (e *Engine) JobDecision(uid string) *Decision {
	if j := e.jobs.open[uid]; j != nil {
		return j.d
	}
	return nil
}

// JobInCloud returns the pool that an open attempt of a job was sent to, what runs it
// there, and whether it was sent to one.
func (e *Engine) JobInCloud(uid string, attempt int) (pool int, burst spillway.FunctionKey, sent bool) {
	j := e.jobs.open[uid]
	if j == nil || j.attempt != attempt || j.state != JobCloud {
		return 0, burst, false
	}
	return j.d.Pool, j.Burst.FunctionKey, true
}

// JobView is one open job, for people.
type JobView struct {
	UID       string            `json:"uid"`
	Namespace string            `json:"namespace"`
	Job       string            `json:"job"`
	Pod       string            `json:"pod"`
	Node      string            `json:"node,omitempty"` // the virtual one; empty: not known
	Attempt   int               `json:"attempt"`
	State     string            `json:"state"` // waiting, admitted or cloud
	Pool      string            `json:"pool,omitempty"`
	Reason    spillway.Reason   `json:"reason"`
	Text      string            `json:"text,omitempty"` // what it waits for
	Since     spillway.Instant  `json:"-"`
	CloudAt   *spillway.Instant `json:"-"`
	MilliCPU  int64             `json:"milliCPU"`
	MemoryMiB int64             `json:"memoryMiB"`
	Unknown   bool              `json:"unknown,omitempty"` // whether it runs is not known
}

// Jobs are the open jobs, in the order of their ids.
func (e *Engine) Jobs() []JobView {
	all := make([]JobView, 0, len(e.jobs.open))
	for _, j := range e.openJobs() {
		v := JobView{UID: j.UID, Namespace: j.Namespace, Job: j.Name, Pod: j.Pod, Node: j.Node, Attempt: j.attempt, State: j.state.String(),
			Reason: j.d.Reason, Text: j.d.Limit.String(), Since: j.d.Admitted, MilliCPU: j.Need.MilliCPU, MemoryMiB: j.Need.MiB,
			Unknown: j.state == JobAdmitted && j.d.Last().Outcome.Class == spillway.Unknown}
		if j.d.Pool >= 0 {
			v.Pool = e.platform.Pools[j.d.Pool].Name
		}
		all = append(all, v)
	}
	return all
}

// JobsView counts the open jobs.
type JobsView struct {
	Waiting  int `json:"waiting"`
	Admitted int `json:"admitted"`
	Cloud    int `json:"cloud"`   // sent to one, and not known to have ended
	Unknown  int `json:"unknown"` // of Admitted, those that may have ended
}

func (e *Engine) jobsView() (v JobsView) {
	for _, j := range e.jobs.open {
		switch j.state {
		case JobWaiting:
			v.Waiting++
		case JobCloud:
			v.Cloud++
		case JobAdmitted:
			if v.Admitted++; j.d.Last().Outcome.Class == spillway.Unknown {
				v.Unknown++
			}
		}
	}
	return v
}

// OfflineView is the room of an offline pool.
type OfflineView struct {
	MilliCPU      int64 `json:"milliCPU"`
	MemoryMiB     int64 `json:"memoryMiB"`
	HeldMilliCPU  int64 `json:"heldMilliCPU"`
	HeldMemoryMiB int64 `json:"heldMemoryMiB"`
}

func offlineView(s *onPremState) *OfflineView {
	return &OfflineView{MilliCPU: s.capacity.MilliCPU, MemoryMiB: s.capacity.MiB, HeldMilliCPU: s.used.MilliCPU, HeldMemoryMiB: s.used.MiB}
}
