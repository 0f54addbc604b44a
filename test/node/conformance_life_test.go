package node

import (
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func lifeRows() []row {
	return []row{
		{"Startup probes", "a container is not started before", startupProbe},
		{"Readiness probes", "`Ready` follows", readinessProbe},
		{"Liveness probes", "restart the container in place, and count", livenessProbe},
		{"Lifecycle hooks", "`postStart` and `preStop`, within the grace period", hooks},
		{"activeDeadlineSeconds of a pod", "`Failed` with `DeadlineExceeded`, whatever the exit code; it runs from the first start, over all guests", deadline},
		{"Deletion with grace", "SIGTERM, then the grace period; the pod goes when its guest has", graceful},
		{"Forced deletion", "the pod goes at once, its guest right after", forced},
		{"More than there is", "the pod waits unscheduled; it is neither bound nor failed", tooLarge},
	}
}

func check(file string) corev1.ProbeHandler {
	return corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/work", "cat=" + file}}}
}

func startupProbe(t *testing.T, w *world) {
	p := withData(pod("startup", "sleep=10m"))
	p.Spec.Containers[0].StartupProbe = &corev1.Probe{ProbeHandler: check("/data/up"), PeriodSeconds: 1, FailureThreshold: 300}
	p = w.in(w.start(p), corev1.PodRunning)
	if s := p.Status.ContainerStatuses[0].Started; s == nil || *s {
		t.Errorf("it is started before its probe says so")
	}
	w.must("", "exec", p.Name, "--", "/work", "write=/data/up")
	w.once(p, "is started", func(p *corev1.Pod) error {
		if c := p.Status.ContainerStatuses[0]; c.Started == nil || !*c.Started {
			return errorf("%+v", c)
		}
		return nil
	})
}

func readinessProbe(t *testing.T, w *world) {
	p := withData(pod("readiness", "sleep=10m"))
	p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: check("/data/up"), PeriodSeconds: 1}
	p = w.in(w.start(p), corev1.PodRunning)
	if ready(p, "main") {
		t.Error("it is ready before its probe says so")
	}
	w.must("", "exec", p.Name, "--", "/work", "write=/data/up")
	w.once(p, "is ready", func(p *corev1.Pod) error {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && ready(p, "main") {
				return nil
			}
		}
		return errorf("%+v", p.Status.Conditions)
	})
}

func livenessProbe(_ *testing.T, w *world) {
	p := withData(pod("liveness", "sleep=10m"))
	p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	p.Spec.Containers[0].Args = []string{"stubborn=yes", "sleep=10m"} // killed: with 0 it would count as done
	p.Spec.TerminationGracePeriodSeconds = new(int64(1))
	p.Spec.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: check("/data/never"), PeriodSeconds: 1, FailureThreshold: 2}
	w.once(w.start(p), "is restarted", func(p *corev1.Pod) error {
		for _, c := range p.Status.ContainerStatuses {
			if c.RestartCount > 0 && c.LastTerminationState.Terminated != nil {
				return nil
			}
		}
		return errorf("%+v", p.Status.ContainerStatuses)
	})
}

func hooks(t *testing.T, w *world) {
	p := withData(pod("hooks", "stubborn=yes", "await=/data/begun,written", "print=begun", "await=/data/ending,written", "print=ending"))
	run := func(file string) *corev1.LifecycleHandler {
		return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"/work", "write=" + file}}}
	}
	p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: run("/data/begun"), PreStop: run("/data/ending")}
	p.Spec.TerminationGracePeriodSeconds = new(int64(60))
	p.Spec.ActiveDeadlineSeconds = new(int64(30)) // by then it has begun
	p = w.in(w.start(p), corev1.PodFailed)
	// SIGTERM follows the hook at once, and may be seen before what the hook wrote.
	if got := strings.Replace(w.said(p, corev1.PodLogOptions{}), "told to end\n", "", 1); got != "begun\nending\n" {
		t.Errorf("it printed %q", got)
	}
}

func deadline(t *testing.T, w *world) {
	p := pod("late", "sleep=10m") // exits with 0 when it is told to end
	p.Spec.ActiveDeadlineSeconds = new(int64(4))
	p = w.in(w.start(p), corev1.PodFailed)
	if p.Status.Reason != "DeadlineExceeded" {
		t.Errorf("%s: %s", p.Status.Reason, p.Status.Message)
	}
}

func graceful(t *testing.T, w *world) {
	p := pod("ended", "sleep=10m")
	p.Spec.TerminationGracePeriodSeconds = new(int64(20))
	p = w.in(w.start(p), corev1.PodRunning)
	logs, err := w.client.CoreV1().Pods("night").GetLogs(p.Name, &corev1.PodLogOptions{Follow: true}).Stream(t.Context())
	must(t, err)
	defer logs.Close()
	must(t, w.client.CoreV1().Pods("night").Delete(t.Context(), p.Name, metav1.DeleteOptions{}))
	if said, err := io.ReadAll(logs); err != nil || string(said) != "told to end\n" {
		t.Errorf("it printed %q: %v", said, err)
	}
	w.gone(p)
}

func forced(t *testing.T, w *world) {
	p := pod("forced", "stubborn=yes", "sleep=10m")
	p.Spec.TerminationGracePeriodSeconds = new(int64(600)) // which it does not get
	p = w.in(w.start(p), corev1.PodRunning)
	must(t, w.client.CoreV1().Pods("night").Delete(t.Context(), p.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
	w.gone(p)
}

func tooLarge(_ *testing.T, w *world) {
	p := pod("large", "print=ran")
	p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = quantity("500")
	w.once(w.start(p), "waits", func(p *corev1.Pod) error {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable && strings.Contains(c.Message, "Insufficient cpu") {
				return nil
			}
		}
		return errorf("%+v", p.Status)
	})
}
