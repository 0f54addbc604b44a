package node

import (
	"time"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/gate"
)

// requestOf says a question in the dispatcher's words.
func requestOf(v virtual, node string, a course.Ask) gate.Request {
	r := gate.Request{
		UID: string(v.uid), Namespace: v.Namespace, Pod: v.Name, Job: a.Job, Node: node, Attempt: a.Attempt,
		MilliCPU: a.Needs.MilliCPU, MemoryMiB: a.Needs.MiB, GPUs: a.Needs.GPUs,
		TimeoutSeconds: int64((a.Timeout + time.Second - 1) / time.Second),
		Deadline:       timeOrNil(a.Terms.Deadline), BurstFunction: a.Terms.Burst, CloudOnly: a.CloudOnly, NoRoom: a.NoRoom,
	}
	if wait := a.Terms.MaxWait; wait != nil {
		seconds := int64(*wait / time.Second)
		r.MaxWaitSeconds = &seconds
	}
	return r
}

// answerOf says an answer in the course's words.
func answerOf(a gate.Answer, now time.Time) *course.Answer {
	states := map[gate.State]course.State{gate.Admitted: course.Admitted, gate.Waiting: course.Waiting, gate.Cloud: course.Cloud, gate.Refused: course.Refused, gate.Over: course.Over}
	out := &course.Answer{Attempt: a.Attempt, State: states[a.State], Pool: a.Pool, Reason: a.Reason, Text: a.Text}
	switch a.State {
	case gate.Waiting:
		out.Again = now.Add(max(time.Second, time.Duration(a.RetryAfterSeconds)*time.Second))
		out.Text = because("waits for idle capacity", a.Text)
		out.Plan = planOf(a, now)
	case gate.Cloud:
		out.Text = because("goes to the cloud, to pool "+a.Pool, a.Text)
	}
	return out
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + " (" + why + ")"
}

// planOf says what comes of waiting: "goes to the cloud at 05:30, at most ¥0.8".
func planOf(a gate.Answer, now time.Time) string {
	if a.CloudAt == nil {
		return ""
	}
	plan := "goes to the cloud as soon as it may"
	if at := a.CloudAt.In(now.Location()); at.After(now) {
		layout := "15:04"
		if at.Format(time.DateOnly) != now.Format(time.DateOnly) {
			layout = "2006-01-02 15:04"
		}
		plan = "goes to the cloud at " + at.Format(layout)
	}
	if a.CloudEstimate != "" {
		plan += ", at most " + amountOf(a.CloudEstimate, a.Currency)
	}
	return plan
}
