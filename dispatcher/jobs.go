package dispatcher

import (
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/placement"
	"github.com/spillway-dev/spillway/policy"
)

const (
	// AskWithin is how long a job that waits, or was given room meanwhile, may be silent:
	// whoever asked for it may be gone, and runs nothing that it was not told to.
	AskWithin = 2 * time.Minute
	// cloudRetry is when a job that may go to a cloud, and did not, is looked at again.
	cloudRetry = 15 * time.Second
	// jobMargin is added to the time limit of a job whose end is not known, and lostJob is
	// how long one without a limit holds on after that was told.
	jobMargin = time.Minute
	lostJob   = 30 * time.Minute
	// maxWaitingJobs bounds the jobs of one namespace that have a place in the queue.
	maxWaitingJobs = 10_000
	// keptJobs is of how many jobs it is remembered that attempts have ended.
	keptJobs = 10_000
)

// job is one attempt of a Job between AdmitJob and EndJob.
type job struct {
	Job
	state   JobState
	attempt int
	d       *Decision
	at      Handle // of its record; zero while it holds and waits for nothing
	cloudAt spillway.Instant
	clouds  []int // that may run it, the cheapest first
	asked   spillway.Instant
	told    bool             // that it may run
	lost    spillway.Instant // when it was told that its end is not known; zero: it was not
	over    spillway.Instant // when one that is lost is not held any longer
}

// jobs are those that are open, and which attempts have ended.
type jobs struct {
	open  map[string]*job
	ended map[string]endedJob
	order []string // of ended, as a ring
	next  int
}

type endedJob struct {
	attempts int
	since    spillway.Instant // its place among those that wait
}

func (j *jobs) end(uid string, attempts int, since spillway.Instant) {
	if j.ended == nil {
		j.ended = map[string]endedJob{}
	}
	if _, known := j.ended[uid]; !known {
		if len(j.order) < keptJobs {
			j.order = append(j.order, uid)
		} else {
			delete(j.ended, j.order[j.next])
			j.order[j.next] = uid
			j.next = (j.next + 1) % keptJobs
		}
	}
	j.ended[uid] = endedJob{attempts, since}
}

// KnowsJob reports that the Engine knows which attempt of a job comes next.
func (e *Engine) KnowsJob(uid string) bool {
	_, ended := e.jobs.ended[uid]
	return ended || e.jobs.open[uid] != nil
}

// AdmitJob takes a job, or what is asked again of one that is open: then d is not used,
// and of the job only its terms count (Timeout, MaxWait, Deadline, Burst, CloudOnly and NoRoom),
// if it waits. d must be zero but for
// Owner; it is written until the attempt has ended.
// An attempt that comes after another keeps the place of the first. The effects are
// valid until the next event.
func (e *Engine) AdmitJob(now spillway.Instant, asked Job, verdict *policy.Verdict, d *Decision) (JobAnswer, []Effect) {
	e.out = e.out[:0]
	if j := e.jobs.open[asked.UID]; j != nil {
		if asked.Attempt != 0 && asked.Attempt < j.attempt {
			return JobAnswer{State: JobOver, Attempt: asked.Attempt, Cloud: -1, CloudAt: spillway.Never}, e.out
		}
		if j.asked = now; j.state == JobWaiting {
			j.d.Verdict = verdict
			e.reterm(j, asked)
			e.placeJob(now, j.at, e.record(j.at))
		}
		return e.answerJob(now, j), e.out
	}
	past, known := e.jobs.ended[asked.UID]
	before, since := max(past.attempts, asked.Before), now
	switch {
	case known:
		since = past.since
	case asked.Since != 0:
		since = min(asked.Since, now)
	}
	if asked.Attempt != 0 && asked.Attempt <= before {
		return JobAnswer{State: JobOver, Attempt: asked.Attempt, Cloud: -1, CloudAt: spillway.Never}, e.out
	}
	asked.Burst = e.burstNow(asked.Burst)
	f, problem := asked.FunctionOf(e.platform)
	if problem != nil {
		return JobAnswer{State: JobRefused, Attempt: max(before+1, asked.Attempt), Problem: problem, Cloud: -1, CloudAt: spillway.Never}, e.out
	}
	j := e.openJob(now, asked, f, since, max(before+1, asked.Attempt), verdict, d)
	e.placeJob(now, j.at, e.record(j.at))
	return e.answerJob(now, j), e.out
}

// burstNow is f on the platform that is in force, nil if it is not there.
func (e *Engine) burstNow(f *spillway.Function) *spillway.Function {
	if f == nil || f.Platform == e.platform {
		return f
	}
	return e.platform.Function(f.FunctionKey)
}

// reterm has a job that waits go by what its owner says now.
func (e *Engine) reterm(j *job, asked Job) {
	j.MaxWait, j.Deadline, j.CloudOnly, j.NoRoom = asked.MaxWait, asked.Deadline, asked.CloudOnly, asked.NoRoom
	if burst := e.burstNow(asked.Burst); burst != j.Burst {
		next := j.Job
		next.Burst = burst
		if f, problem := next.FunctionOf(e.platform); problem == nil {
			j.Burst, j.d.Call.Function = burst, f
		}
	}
	j.Timeout, j.d.Call.Function.Timeout = asked.Timeout, asked.Timeout
	j.plan(j.d.Admitted)
}

// openJob makes the record of an attempt.
func (e *Engine) openJob(now spillway.Instant, asked Job, f *spillway.Function, since spillway.Instant, attempt int, verdict *policy.Verdict, d *Decision) *job {
	j := &job{Job: asked, attempt: attempt, d: d, asked: now}
	d.begin(since, spillway.Call{ID: asked.UID, Function: f, Caller: asked.Caller}, verdict)
	j.plan(since)
	d.Earlier = attempt - 1
	h, r := e.alloc()
	e.inFlight-- // it is no call
	r.d, r.job, r.tenant, j.at = d, j, e.tenantOf(f), h
	if e.jobs.open == nil {
		e.jobs.open = map[string]*job{}
	}
	e.jobs.open[asked.UID] = j
	return j
}

// placeJob decides for one job: it is given room, sent to a cloud, waits, or is
// refused because nothing may run it. It reports whether it has left the waiting list.
func (e *Engine) placeJob(now spillway.Instant, h Handle, r *record) bool {
	j := r.job
	if e.ending {
		return false
	}
	if j.silent(now) { // nobody would learn of it
		e.forgetJob(now, j)
		return true
	}
	if e.allowed(r.d) == 0 {
		e.decide(now, r)
		j.state = JobRefused
		r.d.Refusal, r.d.Reason, r.d.Answered = e.decision.Reason, spillway.ReasonNone, now
		delete(e.jobs.open, j.UID)
		e.closeJob(now, j)
		return true
	}
	e.decide(now, r)
	switch pool := e.decision.Pool; {
	case pool < 0:
		return e.queueJob(now, h, r)
	case e.cloud.Has(pool):
		j.state, r.d.Pool, r.d.Reason, r.d.Answered = JobCloud, pool, e.decision.Reason, now
		e.closeJob(now, j)
	default:
		e.giveRoom(now, h, r, pool)
	}
	return true
}

// silent reports that a job has not been asked for so long that nobody would learn what
// becomes of it.
func (j *job) silent(now spillway.Instant) bool { return now > j.asked.Add(AskWithin) }

// queueJob lets a job wait, if there is a place in the queue; else it has none until it
// asks again. It reports whether it has left the waiting list, and never has.
func (e *Engine) queueJob(now spillway.Instant, h Handle, r *record) bool {
	t, j := r.tenant, r.job
	if r.state != callWaiting {
		if t.jobs >= maxWaitingJobs {
			r.d.Limit = spillway.Limit{Kind: spillway.LimitWaiting, Name: j.Namespace, Class: spillway.ClassOffline, Used: int64(t.jobs), Need: 1, Max: maxWaitingJobs}
			e.forgetJob(now, j)
			return true
		}
		e.joinQueue(now, h, r, t)
		t.jobs++
	}
	at := j.cloudAt
	if at <= now {
		at = now.Add(cloudRetry)
	}
	if at != spillway.Never && (r.timerAt <= now || at < r.timerAt) {
		r.timerAt = at
		e.timers.push(timer{at: at, call: h})
	}
	return false
}

// giveRoom lets a job hold what it needs until EndJob.
func (e *Engine) giveRoom(now spillway.Instant, h Handle, r *record, pool int) {
	e.leaveQueue(now, h, r)
	d, j := r.d, r.job
	r.ask = e.probe.ask // of the pool probed last, which is the one picked; checked in this same event
	e.quota.Reserve(&r.ask)
	d.Pool, d.Reason = pool, e.decision.Reason
	d.Attempts[0] = Attempt{Pool: pool, Function: d.Call.Function, Reason: d.Reason, Placed: now}
	d.Tries = 1
	r.tenant.inUse++
	e.hold(now, e.onPrem[pool], r.ask.Need)
	r.state, j.state = callRunning, JobAdmitted
	e.timers.push(timer{at: now.Add(AskWithin + 1), call: h})
}

// answerJob is what an open job is told.
func (e *Engine) answerJob(now spillway.Instant, j *job) JobAnswer {
	j.told = j.told || j.state == JobAdmitted
	a := JobAnswer{State: j.state, Attempt: j.attempt, Decision: j.d, Waiting: e.idle.jobs, CloudAt: spillway.Never, Cloud: -1}
	switch j.state {
	case JobWaiting:
		a.CloudAt = j.cloudAt
	case JobCloud:
		a.CloudAt = now
	}
	if a.CloudAt != spillway.Never {
		a.Cloud, a.Cost = e.cloudOf(now, j)
	}
	return a
}

// cloudOf is where a job would go, and the most that it can cost there, which is what
// budgets hold for it: a cloud keeps to its own limits, whatever the job's are.
func (e *Engine) cloudOf(now spillway.Instant, j *job) (int, spillway.Nano) {
	for _, i := range e.orderOf(max(now, j.cloudAt), j) {
		if !e.cloud.Has(i) || !e.allowed(j.d).Has(i) || j.state == JobCloud && j.d.Pool != i {
			continue
		}
		return i, j.d.Call.Function.Bindings[i].WorstCase
	}
	return -1, 0
}

// hold takes room of a pool for a job. Idle instances make way.
func (e *Engine) hold(now spillway.Instant, s *onPremState, need spillway.Resources) {
	s.jobs++
	s.jobsHold = s.jobsHold.Add(need)
	s.used, s.promised = s.used.Add(need), s.promised.Add(need)
	for s.overfull() {
		in := s.victim()
		if in == nil {
			return
		}
		s.lost(in.of, now, in.since)
		e.evict(s, in)
	}
}

func (e *Engine) unhold(now spillway.Instant, s *onPremState, need spillway.Resources) {
	s.jobs--
	s.jobsHold = s.jobsHold.Sub(need)
	s.used, s.promised = s.used.Sub(need), s.promised.Sub(need)
	s.warmAt = min(s.warmAt, now)
	e.startPending(s)
}

// fitsJob reports whether a pool has room for a job, idle instances making way.
func (s *onPremState) fitsJob(j *Job, fit *placement.Fit) bool {
	if j.placeless() {
		*fit = placement.Fit{Filter: placement.FilterCapacity, Limit: spillway.Limit{Kind: spillway.LimitPlace, Name: s.pool.Name, Class: spillway.ClassOffline, Need: 1}}
		return false
	}
	firm, need := s.promised.Sub(s.evictable), j.Need
	dim := s.capacity.Exceeds(firm, need)
	if dim == spillway.DimNone {
		return true
	}
	*fit = placement.Fit{Filter: placement.FilterCapacity, Limit: spillway.Limit{
		Kind: spillway.LimitCapacity, Name: s.pool.Name, Class: spillway.ClassOffline, Dim: dim,
		Used: firm.Of(dim), Need: need.Of(dim), Max: s.capacity.Of(dim)}}
	return false
}

// tenantOf is whose turn a call of f takes: offline work waits apart from online work
// of its namespace.
func (e *Engine) tenantOf(f *spillway.Function) *tenant {
	if !f.Offline {
		return e.tenants[f.Namespace]
	}
	t := e.idlers[f.Namespace]
	if t == nil {
		t = &tenant{name: e.platform.Namespaces[f.Namespace].Name, offline: true}
		e.idlers[f.Namespace] = t
	}
	return t
}

// calls is how many of those that wait are no jobs.
func (t *tenant) calls() int { return t.count - t.jobs }

// openJobs are the open jobs in the order of their ids.
func (e *Engine) openJobs() []*job {
	all := make([]*job, 0, len(e.jobs.open))
	for _, j := range e.jobs.open {
		all = append(all, j)
	}
	slices.SortFunc(all, func(a, b *job) int { return compareText(a.UID, b.UID) })
	return all
}
