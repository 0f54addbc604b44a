package guest_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

// TestFinished: what a virtual pod shows of containers that ended by themselves counts
// when its guest is lost before anybody has said that the pod is over.
func TestFinished(t *testing.T) {
	type statuses = []corev1.ContainerStatus
	for _, row := range []struct {
		name   string
		policy corev1.RestartPolicy
		shown  statuses
		want   corev1.PodPhase // "": it is not over
	}{
		{"all ended well", corev1.RestartPolicyNever, statuses{ended("a", 1, 9, 0), ended("b", 1, 8, 0)}, corev1.PodSucceeded},
		{"one ended badly", corev1.RestartPolicyNever, statuses{ended("a", 1, 9, 0), ended("b", 1, 8, 3)}, corev1.PodFailed},
		{"one may run again", corev1.RestartPolicyOnFailure, statuses{ended("a", 1, 9, 0), ended("b", 1, 8, 3)}, ""},
		{"all ended well that would run again otherwise", corev1.RestartPolicyOnFailure, statuses{ended("a", 1, 9, 0), ended("b", 1, 8, 0)}, corev1.PodSucceeded},
		{"one runs", corev1.RestartPolicyNever, statuses{ended("a", 1, 9, 0), running("b", 1)}, ""},
		{"one is not shown", corev1.RestartPolicyNever, statuses{ended("a", 1, 9, 0)}, ""},
	} {
		v := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: row.policy, Containers: []corev1.Container{{Name: "a"}, {Name: "b"}}}}
		v.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: row.shown}
		s, over := guest.Finished(v, at(20).Time)
		if over != (row.want != "") || s.Phase != row.want {
			t.Errorf("%s: %v, %q, want %q", row.name, over, s.Phase, row.want)
		}
	}
}
