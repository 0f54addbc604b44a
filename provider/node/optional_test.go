package node

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestOptional(t *testing.T) {
	named := func(n string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: n} }
	p := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Env: []corev1.EnvVar{
			{Name: "PLAIN", Value: "1"},
			{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: named("keys"), Optional: new(true)}}},
			{Name: "B", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: named("needed")}}},
		}}},
		Containers: []corev1.Container{{
			Env: []corev1.EnvVar{
				{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: named("keys"), Optional: new(true)}}},
				{Name: "C", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: named("settings"), Optional: new(false)}}},
			},
			EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: named("settings"), Optional: new(true)}}},
		}},
	}}
	want := []reference{{"secrets", "keys"}, {"configmaps", "settings"}}
	if got := optional(p); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestRuns: a pod whose guest waits for its containers has nothing running.
func TestRuns(t *testing.T) {
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError"}}
	g := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: waiting}}}}
	if runs(g) {
		t.Error("one that waits runs")
	}
	g.Status.InitContainerStatuses = []corev1.ContainerStatus{{State: running}}
	if !runs(g) {
		t.Error("one with a sidecar that runs does not")
	}
}
