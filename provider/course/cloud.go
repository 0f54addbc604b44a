package course

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

// inCloud sees to an attempt that a cloud runs. That it is sent is written down
// before; whether it was is asked by sending it again under its key.
func (d *decision) inCloud() {
	run := d.Cloud
	if run == nil || run.Attempt != d.at.attempt {
		d.invoke()
		return
	}
	switch run.State {
	case NotExecuted:
		d.overInCloud(orElse(run.Text, "the cloud did not run it"), run.Ended)
		return
	case Unknown:
		d.tell(End{Attempt: run.Attempt, Class: ClassUnknown, Started: run.Started, Reason: "OutcomeUnknown"})
		d.write(guest.Failed(d.Pod, nil, guest.Earlier{}, guest.Failure{Reason: "OutcomeUnknown",
			Message: orElse(run.Text, "the cloud may have run it") + "; it is not sent again", Disruption: true}, d.now),
			Event{Warning: true, Reason: "OutcomeUnknown", Text: orElse(run.Text, "the cloud may have run it")})
		return
	case Executed:
		d.tell(End{Attempt: run.Attempt, Class: ClassExecuted, Started: run.Started, Ended: run.Ended, Reason: "Completed"})
	}
	d.guest = stand(d.Pod, run)
	s := guest.Status(d.Pod, d.guest, guest.Shown(d.Pod), d.now)
	seen := d.at
	seen.is = corev1.ConditionTrue
	seen.in(&s, fmt.Sprintf("attempt %d runs in a cloud: %s", run.Attempt, run.ID), d.now)
	d.write(s)
}

// invoke sends the attempt. It may have been sent before, also where its annotation is
// gone since: only the dispatcher knows, and then sends nothing that was not.
func (d *decision) invoke() {
	terms, _ := guest.TermsOf(d.Pod)
	i := &Invocation{Attempt: d.at.attempt, Key: fmt.Sprintf("%s/%d", d.Pod.UID, d.at.attempt), Function: terms.Burst}
	if a := d.Answer; a != nil && a.Attempt == d.at.attempt {
		i.Pool = a.Pool
	}
	d.step.Invoke = i
}

// overInCloud ends an attempt that no cloud has run, as was known at. The next one waits
// a while, so that a cloud that refuses is not asked without end.
func (d *decision) overInCloud(text string, at time.Time) {
	if d.tell(End{Attempt: d.at.attempt, Class: ClassNotExecuted, Reason: "NotExecuted", Vain: true}) {
		return
	}
	if until := at.Add(doubled(d.Vain)); !at.IsZero() && d.now.Before(until) {
		d.again(until)
		s := guest.Waiting(d.Pod, "NotExecuted", text+"; tried again later", d.now)
		d.at.in(&s, text, d.now)
		d.write(s, Event{Warning: true, Reason: "NotExecuted", Text: text})
		return
	}
	s := guest.Waiting(d.Pod, "NotExecuted", text+"; looks for another place", d.now)
	over := d.at
	over.is = corev1.ConditionFalse
	over.in(&s, text, d.now)
	var events []Event
	if at.IsZero() {
		events = append(events, Event{Warning: true, Reason: "NotExecuted", Text: text})
	}
	d.write(s, events...)
}

// stand is a run in a cloud as a kubelet would tell of it: the function stands for
// all the containers of the pod.
func stand(v *corev1.Pod, run *Run) *corev1.Pod {
	g := &corev1.Pod{}
	started := metav1.NewTime(run.Started)
	g.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &started}
	state := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}
	ready := corev1.ConditionTrue
	if run.State == Executed {
		g.Status.Phase, ready = corev1.PodSucceeded, corev1.ConditionFalse
		end := &corev1.ContainerStateTerminated{ExitCode: run.ExitCode, Reason: "Completed", Message: run.Text, StartedAt: started, FinishedAt: metav1.NewTime(run.Ended), ContainerID: run.ID}
		if run.ExitCode != 0 {
			g.Status.Phase, end.Reason = corev1.PodFailed, "Error"
		}
		state = corev1.ContainerState{Terminated: end}
	}
	for i := range v.Spec.InitContainers {
		done := &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: started, FinishedAt: started, ContainerID: run.ID}
		g.Status.InitContainerStatuses = append(g.Status.InitContainerStatuses, corev1.ContainerStatus{
			Name: v.Spec.InitContainers[i].Name, Image: v.Spec.InitContainers[i].Image, ContainerID: run.ID, State: corev1.ContainerState{Terminated: done}})
	}
	for i := range v.Spec.Containers {
		g.Status.ContainerStatuses = append(g.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: v.Spec.Containers[i].Name, Image: v.Spec.Containers[i].Image, ContainerID: run.ID, State: state, Ready: ready == corev1.ConditionTrue})
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		is := ready
		if kind == corev1.PodInitialized {
			is = corev1.ConditionTrue
		}
		g.Status.Conditions = append(g.Status.Conditions, corev1.PodCondition{Type: kind, Status: is})
	}
	return g
}
