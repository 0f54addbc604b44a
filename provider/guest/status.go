package guest

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Status is what the virtual pod v shows of its guest g. A terminal status stays as
// it is, and a container stays ended where v's restart policy has it so, although a
// later attempt runs it again. An end by disruption is not shown while v may go on:
// v shows its containers as they were before.
func Status(v, g *corev1.Pod, earlier Earlier, now time.Time) corev1.PodStatus {
	if Terminal(v) {
		return *v.Status.DeepCopy()
	}
	end := Ended(g)
	s := begin(v, earlier)
	if s.StartTime == nil {
		s.StartTime = g.Status.StartTime.DeepCopy()
	}
	s.Phase = phase(v, g, end)
	s.Reason, s.Message = g.Status.Reason, message(g)
	if end.Kind == Disrupted {
		s.Reason, s.Message = end.Reason, end.Text
	}
	s.InitContainerStatuses = mirror{v, g, earlier, end}.containers(v.Spec.InitContainers, v.Status.InitContainerStatuses, g.Status.InitContainerStatuses)
	s.ContainerStatuses = mirror{v, g, earlier, end}.containers(v.Spec.Containers, v.Status.ContainerStatuses, g.Status.ContainerStatuses)
	s.HostIP, s.HostIPs, s.PodIP, s.PodIPs = g.Status.HostIP, g.Status.HostIPs, g.Status.PodIP, g.Status.PodIPs
	s.Resources, s.AllocatedResources = g.Status.Resources, g.Status.AllocatedResources
	if s.QOSClass == "" {
		s.QOSClass = g.Status.QOSClass
	}
	s.Conditions = conditions(v, g, now)
	return *s.DeepCopy()
}

// Terminal reports a status that may never change.
func Terminal(v *corev1.Pod) bool {
	return v.Status.Phase == corev1.PodSucceeded || v.Status.Phase == corev1.PodFailed
}

// begin is v's status as far as no guest writes it.
func begin(v *corev1.Pod, earlier Earlier) *corev1.PodStatus {
	s := v.Status.DeepCopy()
	s.ObservedGeneration = v.Generation
	if earlier.Started != nil {
		s.StartTime = earlier.Started.DeepCopy()
	}
	return s
}

func phase(v, g *corev1.Pod, end Ending) corev1.PodPhase {
	switch {
	case end.Kind == Succeeded:
		return corev1.PodSucceeded
	case end.Kind == FailedItself, end.Kind == DeadlineExceeded, end.Kind == Disrupted && v.DeletionTimestamp != nil:
		return corev1.PodFailed
	case end.Kind == Disrupted, g.Status.Phase == corev1.PodUnknown:
		return orElsePhase(v.Status.Phase, corev1.PodPending)
	}
	return orElsePhase(g.Status.Phase, corev1.PodPending)
}

func orElsePhase(p, otherwise corev1.PodPhase) corev1.PodPhase {
	if p == "" {
		return otherwise
	}
	return p
}

// message says why a guest does not run, where nobody but the scheduler knows.
func message(g *corev1.Pod) string {
	if c := condition(g.Status.Conditions, corev1.PodScheduled); g.Status.Message == "" && c != nil && c.Status == corev1.ConditionFalse {
		return "its guest waits for a node: " + c.Message
	}
	return g.Status.Message
}

// mirror shows containers of g as v's.
type mirror struct {
	v, g    *corev1.Pod
	earlier Earlier
	end     Ending
}

func (m mirror) containers(spec []corev1.Container, old, now []corev1.ContainerStatus) []corev1.ContainerStatus {
	shown := make([]corev1.ContainerStatus, 0, len(spec))
	for i := range spec {
		c := &spec[i]
		was, is := find(old, c.Name), find(now, c.Name)
		if is == nil {
			is = m.waiting(c)
		}
		shown = append(shown, m.container(was, *is.DeepCopy()))
	}
	return shown
}

// container shows is, after v has shown was, which may be nil.
func (m mirror) container(was *corev1.ContainerStatus, is corev1.ContainerStatus) corev1.ContainerStatus {
	is.RestartCount += m.earlier.Restarts[is.Name]
	if was == nil {
		if m.hides(is.State.Terminated) {
			is.State, is.Ready = waits("Moved", m.end.Text), false
		}
		return is
	}
	is.RestartCount = max(is.RestartCount, was.RestartCount)
	if end := was.State.Terminated; end != nil && is.State.Terminated == nil && !MayRestart(m.v, is.Name, end.ExitCode) {
		kept := *was.DeepCopy()
		kept.RestartCount = is.RestartCount
		return kept
	}
	if was.State.Terminated == nil && m.hides(is.State.Terminated) {
		kept := *was.DeepCopy()
		kept.RestartCount, kept.Ready = is.RestartCount, false
		return kept
	}
	if is.LastTerminationState == (corev1.ContainerState{}) {
		is.LastTerminationState = was.LastTerminationState
	}
	return is
}

// hides reports an end that must not show: of a container that somebody has ended,
// while v itself is not asked to end.
func (m mirror) hides(end *corev1.ContainerStateTerminated) bool {
	return end != nil && m.v.DeletionTimestamp == nil && m.end.Kind != DeadlineExceeded && m.end.Kind != FailedItself && byDisruption(m.g, end)
}

// byDisruption reports whether a container of g ended because g was made to end.
func byDisruption(g *corev1.Pod, end *corev1.ContainerStateTerminated) bool {
	if asked, deleted := DeletionAsked(g); deleted {
		return end.FinishedAt.IsZero() || !end.FinishedAt.Time.Before(asked)
	}
	c := disruption(g)
	if c == nil {
		return false
	}
	return g.Status.Phase != corev1.PodSucceeded && !end.FinishedAt.Time.Before(c.LastTransitionTime.Time.Add(-time.Second))
}

// waiting is a container of which no kubelet has said anything yet.
func (m mirror) waiting(c *corev1.Container) *corev1.ContainerStatus {
	reason := "ContainerCreating"
	if len(m.v.Spec.InitContainers) > 0 && !initial(m.v, c.Name) {
		reason = "PodInitializing"
	}
	return &corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: waits(reason, "")}
}

func waits(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

func find(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range statuses {
		if statuses[i].Name == name {
			return &statuses[i]
		}
	}
	return nil
}
