package course_test

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

// The functions of this file write what a real kubelet and controllers write.

func (w *world) schedule(g *corev1.Pod) {
	g.Spec.NodeName = "worker-1"
	w.touch(g)
}

// run starts all init containers, lets them end, and starts the containers.
func (w *world) run(g *corev1.Pod) {
	started := metav1.NewTime(w.now)
	w.ran[guest.Attempt(g)] = true
	g.Status.Phase, g.Status.StartTime = corev1.PodRunning, &started
	g.Status.InitContainerStatuses, g.Status.ContainerStatuses = nil, nil
	for _, c := range g.Spec.InitContainers {
		g.Status.InitContainerStatuses = append(g.Status.InitContainerStatuses, corev1.ContainerStatus{Name: c.Name,
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: started, FinishedAt: started}}})
	}
	for _, c := range g.Spec.Containers {
		g.Status.ContainerStatuses = append(g.Status.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, Ready: true,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}})
	}
	g.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: started},
		{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: started},
		{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: started},
	}
	w.touch(g)
}

// exit ends one container by itself.
func (w *world) exit(g *corev1.Pod, name string, code int32) {
	for i := range g.Status.ContainerStatuses {
		c := &g.Status.ContainerStatuses[i]
		if c.Name != name || c.State.Running == nil {
			continue
		}
		end := corev1.ContainerState{Terminated: terminated(c.State.Running.StartedAt, w.now, code)}
		if !guest.MayRestart(g, name, code) {
			c.State, c.Ready = end, false
			continue
		}
		c.LastTerminationState, c.RestartCount = end, c.RestartCount+1
		c.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(w.now)}}
	}
	w.touch(g)
	w.settle(g)
}

func terminated(since metav1.Time, now time.Time, code int32) *corev1.ContainerStateTerminated {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: since, FinishedAt: metav1.NewTime(now)}
}

// settle sets the phase of a guest whose containers have all ended.
func (w *world) settle(g *corev1.Pod) {
	phase := corev1.PodSucceeded
	for _, c := range g.Status.ContainerStatuses {
		if c.State.Terminated == nil {
			return
		}
		if c.State.Terminated.ExitCode != 0 {
			phase = corev1.PodFailed
		}
	}
	if len(g.Status.ContainerStatuses) == 0 {
		return
	}
	w.unready(g)
	if g.Status.Phase = phase; g.DeletionTimestamp == nil {
		if phase == corev1.PodSucceeded {
			w.genuine[g.Name] = true
		} else {
			w.failed[g.Name] = true
		}
	}
}

// kill ends the containers of a guest that is being deleted, all with one code.
func (w *world) kill(g *corev1.Pod, code int32) {
	for i := range g.Status.ContainerStatuses {
		c := &g.Status.ContainerStatuses[i]
		if c.State.Running != nil {
			c.State, c.Ready = corev1.ContainerState{Terminated: terminated(c.State.Running.StartedAt, w.now, code)}, false
		}
	}
	w.settle(g)
	if !guest.Terminal(g) {
		g.Status.Phase = corev1.PodFailed
	}
	w.touch(g)
}

// evict is node pressure.
func (w *world) evict(g *corev1.Pod) {
	w.condition(g, corev1.PodReasonTerminationByKubelet, "The node was low on resource: memory.")
	w.end(g, "Evicted", "The node was low on resource: memory.", 137)
}

// reject is a node that has no room after all.
func (w *world) reject(g *corev1.Pod) {
	g.Status.Phase, g.Status.Reason, g.Status.Message = corev1.PodFailed, "OutOfcpu", "Node didn't have enough resource: cpu"
	w.touch(g)
}

// shutdown is a node that is switched off.
func (w *world) shutdown(g *corev1.Pod) {
	w.condition(g, corev1.PodReasonTerminationByKubelet, "Pod was terminated in response to imminent node shutdown.")
	w.end(g, "Terminated", "Pod was terminated in response to imminent node shutdown.", 0)
}

// timeout is the guest's activeDeadlineSeconds.
func (w *world) timeout(g *corev1.Pod) {
	w.end(g, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline", 143)
}

func (w *world) condition(g *corev1.Pod, reason, message string) {
	g.Status.Conditions = append(g.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(w.now)})
}

func (w *world) end(g *corev1.Pod, reason, message string, code int32) {
	for i := range g.Status.ContainerStatuses {
		c := &g.Status.ContainerStatuses[i]
		if c.State.Running != nil {
			c.State, c.Ready = corev1.ContainerState{Terminated: terminated(c.State.Running.StartedAt, w.now, code)}, false
		}
	}
	g.Status.Phase, g.Status.Reason, g.Status.Message = corev1.PodFailed, reason, message
	w.unready(g)
	w.touch(g)
}

func (w *world) unready(g *corev1.Pod) {
	for i := range g.Status.Conditions {
		if c := &g.Status.Conditions[i]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
			c.Status, c.Reason, c.LastTransitionTime = corev1.ConditionFalse, "PodCompleted", metav1.NewTime(w.now)
		}
	}
}
