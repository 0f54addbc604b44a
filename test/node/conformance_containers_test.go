package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

var always = corev1.ContainerRestartPolicyAlways

func containerRows() []row {
	return []row{
		{"Init containers", "in order, before the others; shown as they ended", initContainers},
		{"Native sidecars", "init containers with `restartPolicy: Always`; they do not keep a pod from completing", sidecars},
		{"Several containers", "in one network and with shared volumes", several},
		{"Exit codes and reasons", "`exitCode`, `Error`, the termination message", exits},
		{"OOMKilled", "137 and the kubelet's reason, `OOMKilled`, or `Error` where the container runtime missed it (seen with containerd 1.6); the pod's own failure", outOfMemory},
		{"restartPolicy OnFailure", "restarts in place, with back-off; `restartCount` and the state before are shown", onFailure},
		{"securityContext", "user, capabilities, read-only root: the real kubelet sees to it", securityContext},
		{"An image that is not there", "the kubelet's reason is shown while it waits", noImage},
	}
}

func initContainers(t *testing.T, w *world) {
	p := pod("init", "cat=/data/second")
	p.Spec.InitContainers = []corev1.Container{small("one", "sleep=500ms", "write=/data/first"), small("two", "cat=/data/first", "write=/data/second")}
	if got := w.succeeds(withData(p)); got != "written\n\n" {
		t.Errorf("it printed %q", got)
	}
	p = w.now(p)
	for i, c := range p.Status.InitContainerStatuses {
		if c.Name != p.Spec.InitContainers[i].Name || c.State.Terminated == nil || c.State.Terminated.Reason != "Completed" {
			t.Errorf("%+v", c)
		}
	}
	if got := w.said(p, corev1.PodLogOptions{Container: "two"}); got != "written\n\n" {
		t.Errorf("its second one printed %q", got)
	}
}

func sidecars(t *testing.T, w *world) {
	p := pod("sidecar", "await=/data/side,written", "print=met")
	side := small("side", "write=/data/side", "sleep=10m")
	side.RestartPolicy = &always
	p.Spec.InitContainers = []corev1.Container{side}
	if got := w.succeeds(withData(p)); got != "met\n" {
		t.Errorf("it printed %q", got)
	}
}

func several(t *testing.T, w *world) {
	p := pod("several", "await=/data/other,written", "print=seen")
	p.Spec.Containers = append(p.Spec.Containers, small("other", "print=other", "write=/data/other"))
	if got := w.succeeds(withData(p)); got != "seen\n" {
		t.Errorf("it printed %q", got)
	}
	if got := w.said(p, corev1.PodLogOptions{Container: "other"}); got != "other\n" {
		t.Errorf("the other printed %q", got)
	}
}

func exits(t *testing.T, w *world) {
	p := w.in(w.start(pod("exits", "write=/dev/termination-log", "exit=7")), corev1.PodFailed)
	end := p.Status.ContainerStatuses[0].State.Terminated
	if end == nil || end.ExitCode != 7 || end.Reason != "Error" || end.Message != "written\n" || end.StartedAt.IsZero() || end.FinishedAt.IsZero() {
		t.Errorf("%+v", end)
	}
}

func outOfMemory(t *testing.T, w *world) {
	p := pod("oom", "hog=200")
	p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: quantity("40Mi")}
	p = w.in(w.start(p), corev1.PodFailed)
	end := p.Status.ContainerStatuses[0].State.Terminated
	// containerd drops the event that says why if the cgroup is gone before it has read it.
	if end == nil || end.ExitCode != 137 || end.Reason != "OOMKilled" && end.Reason != "Error" {
		t.Fatalf("%+v", end)
	}
	for _, g := range w.guests(p) {
		if said := g.Status.ContainerStatuses[0].State.Terminated; said == nil || said.Reason != end.Reason {
			t.Errorf("it shows %+v, and its kubelet says %+v", end, said)
		}
	}
}

func onFailure(t *testing.T, w *world) {
	p := pod("again", "fail=/data/once", "print=at last")
	p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	if got := w.succeeds(withData(p)); got != "at last\n" {
		t.Errorf("it printed %q", got)
	}
	c := w.now(p).Status.ContainerStatuses[0]
	if c.RestartCount != 1 || c.LastTerminationState.Terminated == nil || c.LastTerminationState.Terminated.ExitCode != 1 {
		t.Errorf("%+v", c)
	}
}

func securityContext(t *testing.T, w *world) {
	p := pod("secure", "id=user", "write=/refused")
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(1234)), RunAsNonRoot: new(true)}
	p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: new(true), AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
	p = w.in(w.start(p), corev1.PodFailed)
	if got := w.said(p, corev1.PodLogOptions{}); !besides(got, "1234\n", "/refused") {
		t.Errorf("it printed %q", got)
	}
}

func noImage(_ *testing.T, w *world) {
	p := pod("imageless")
	p.Spec.Containers[0].Image, p.Spec.Containers[0].ImagePullPolicy = "localhost/nobody/has:this", corev1.PullNever
	w.once(w.start(p), "shows that it has no image", func(p *corev1.Pod) error {
		for _, c := range p.Status.ContainerStatuses {
			if c.State.Waiting != nil && c.State.Waiting.Reason == "ErrImageNeverPull" && p.Status.Phase == corev1.PodPending {
				return nil
			}
		}
		return errorf("%+v", p.Status)
	})
}
