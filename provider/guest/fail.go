package guest

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// exitKilled is what a container shows that was ended without a word from a kubelet.
const exitKilled = 137

// Failure is why a virtual pod has failed for good.
type Failure struct {
	Reason, Message string
	Disruption      bool // sets DisruptionTarget, so that podFailurePolicy can tell it from the pod's own failure
}

// Failed is the last status of v. What g, which may be nil, said last of its
// containers is shown; those that no kubelet saw end show that they were killed.
func Failed(v, g *corev1.Pod, earlier Earlier, f Failure, now time.Time) corev1.PodStatus {
	if Terminal(v) {
		return *v.Status.DeepCopy()
	}
	s := begin(v, earlier)
	s.Phase, s.Reason, s.Message = corev1.PodFailed, f.Reason, f.Message
	m := mirror{v: v, g: g, earlier: earlier, end: Ending{Kind: FailedItself}}
	if g != nil {
		s.InitContainerStatuses = m.containers(v.Spec.InitContainers, v.Status.InitContainerStatuses, g.Status.InitContainerStatuses)
		s.ContainerStatuses = m.containers(v.Spec.Containers, v.Status.ContainerStatuses, g.Status.ContainerStatuses)
	}
	if g == nil { // no kubelet says why
		never(s.InitContainerStatuses, f)
		never(s.ContainerStatuses, f)
	}
	stop(s.InitContainerStatuses, f.Reason, now)
	stop(s.ContainerStatuses, f.Reason, now)
	stopped := v.DeepCopy()
	stopped.Status.Conditions = s.Conditions
	s.Conditions = conditions(stopped, g, now)
	for _, kind := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady} {
		s.Conditions = set(s.Conditions, v, corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: "PodFailed"}, now)
	}
	if f.Disruption {
		s.Conditions = set(s.Conditions, v, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: f.Reason, Message: f.Message}, now)
	}
	return *s.DeepCopy()
}

// Finished is the last status of v when it shows that all its containers have ended for
// good by themselves, although the guest was lost before its kubelet said that of the
// pod; false while one has not.
func Finished(v *corev1.Pod, now time.Time) (corev1.PodStatus, bool) {
	s := begin(v, Earlier{})
	s.Phase = corev1.PodSucceeded
	for i := range v.Spec.Containers {
		shown := find(s.ContainerStatuses, v.Spec.Containers[i].Name)
		if shown == nil || shown.State.Terminated == nil || MayRestart(v, shown.Name, shown.State.Terminated.ExitCode) {
			return corev1.PodStatus{}, false
		}
		if shown.State.Terminated.ExitCode != 0 {
			s.Phase = corev1.PodFailed
		}
	}
	s.Reason, s.Message = "", exits(v)
	stop(s.InitContainerStatuses, "Completed", now)
	for _, kind := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady} {
		s.Conditions = set(s.Conditions, v, corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: "PodCompleted"}, now)
	}
	return *s.DeepCopy(), true
}

// stop ends every container that runs.
func stop(statuses []corev1.ContainerStatus, reason string, now time.Time) {
	for i := range statuses {
		c := &statuses[i]
		c.Ready = false
		if runs := c.State.Running; runs != nil {
			c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: exitKilled, Reason: reason, StartedAt: runs.StartedAt, FinishedAt: metav1.NewTime(now), ContainerID: c.ContainerID,
			}}
		}
	}
}

// never has containers that did not start say why: kubectl shows what they wait for before
// it shows that their pod has failed.
func never(statuses []corev1.ContainerStatus, f Failure) {
	for i := range statuses {
		if statuses[i].State.Waiting != nil {
			statuses[i].State = waits(f.Reason, f.Message)
		}
	}
}

// Waiting is the status of v while it has no guest: before the first one, or
// between two.
func Waiting(v *corev1.Pod, reason, message string, now time.Time) corev1.PodStatus {
	if Terminal(v) {
		return *v.Status.DeepCopy()
	}
	s := begin(v, Earlier{})
	s.Phase, s.Reason, s.Message = corev1.PodPending, reason, message
	s.HostIP, s.HostIPs, s.PodIP, s.PodIPs, s.Resources, s.AllocatedResources = "", nil, "", nil, nil, nil
	s.InitContainerStatuses = idle(v, v.Spec.InitContainers, v.Status.InitContainerStatuses, reason, message)
	s.ContainerStatuses = idle(v, v.Spec.Containers, v.Status.ContainerStatuses, reason, message)
	s.Conditions = conditions(v, nil, now)
	return *s.DeepCopy()
}

func idle(v *corev1.Pod, spec []corev1.Container, old []corev1.ContainerStatus, reason, message string) []corev1.ContainerStatus {
	m := mirror{v: v, g: &corev1.Pod{}}
	shown := make([]corev1.ContainerStatus, 0, len(spec))
	for i := range spec {
		waiting := corev1.ContainerStatus{Name: spec[i].Name, Image: spec[i].Image, State: waits(reason, message)}
		shown = append(shown, m.container(find(old, spec[i].Name), waiting))
	}
	return shown
}
