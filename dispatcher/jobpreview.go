package dispatcher

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
)

// PreviewJob says what AdmitJob would answer a job that is new now, and changes nothing.
// d must be zero; it is written.
func (e *Engine) PreviewJob(now spillway.Instant, asked Job, verdict *policy.Verdict, d *Decision) JobAnswer {
	a := JobAnswer{State: JobRefused, Attempt: 1, CloudAt: spillway.Never, Cloud: -1}
	if asked.Burst != nil && asked.Burst.Platform != e.platform {
		asked.Burst = e.platform.Function(asked.Burst.FunctionKey)
	}
	f, problem := asked.FunctionOf(e.platform)
	if problem != nil {
		a.Problem = problem
		return a
	}
	j := &job{Job: asked, attempt: 1, d: d, asked: now}
	d.begin(now, spillway.Call{ID: asked.UID, Function: f, Caller: asked.Caller}, verdict)
	j.plan(now)
	r := record{d: d, job: j, tenant: e.tenantOf(f)}
	e.decide(now, &r)
	d.Reason = e.decision.Reason
	switch pool := e.decision.Pool; {
	case e.allowed(d) == 0:
		d.Refusal, d.Reason, d.Answered, a.Decision = d.Reason, spillway.ReasonNone, now, d
		return a
	case pool < 0:
		j.state = JobWaiting
	case e.cloud.Has(pool):
		j.state, d.Pool = JobCloud, pool
	default:
		j.state, d.Pool = JobAdmitted, pool
	}
	return e.answerJob(now, j)
}
