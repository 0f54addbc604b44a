package guest

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubelets are the conditions that a kubelet writes, except PodScheduled, which v
// has of its own, and DisruptionTarget, which v has when v itself is disrupted.
var (
	kubelets = []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady}
	// passing conditions are there only while what they say goes on.
	passing = []corev1.PodConditionType{corev1.PodResizePending, corev1.PodResizeInProgress, corev1.AllContainersRestarting}
)

// conditions are v's with those of g's kubelet; g may be nil.
func conditions(v, g *corev1.Pod, now time.Time) []corev1.PodCondition {
	var of []corev1.PodCondition
	if g != nil {
		of = g.Status.Conditions
	}
	shown := slices.Clone(v.Status.Conditions)
	for _, kind := range kubelets {
		c := condition(of, kind)
		if c == nil {
			c = &corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: "NotStarted", Message: "no kubelet has started it yet"}
		}
		said := *c.DeepCopy()
		if kind == corev1.PodReady {
			said = gated(v, said)
		}
		if old := condition(shown, kind); kind == corev1.PodInitialized && old != nil && old.Status == corev1.ConditionTrue {
			continue // a later attempt repeats what v has behind it
		}
		shown = set(shown, v, said, now)
	}
	for _, kind := range passing {
		shown = slices.DeleteFunc(shown, func(c corev1.PodCondition) bool { return c.Type == kind })
		if c := condition(of, kind); c != nil {
			shown = set(shown, v, *c.DeepCopy(), now)
		}
	}
	return shown
}

// gated holds Ready back until v's own readiness gates are open: the guest has none.
func gated(v *corev1.Pod, ready corev1.PodCondition) corev1.PodCondition {
	if ready.Status != corev1.ConditionTrue {
		return ready
	}
	for _, gate := range v.Spec.ReadinessGates {
		if c := condition(v.Status.Conditions, gate.ConditionType); c == nil || c.Status != corev1.ConditionTrue {
			ready.Status, ready.Reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
			ready.Message = "readiness gate " + string(gate.ConditionType) + " is not open"
			return ready
		}
	}
	return ready
}

// set puts c in its place. The time of its transition stays while its status does.
func set(all []corev1.PodCondition, v *corev1.Pod, c corev1.PodCondition, now time.Time) []corev1.PodCondition {
	c.ObservedGeneration = v.Generation
	old := condition(all, c.Type)
	switch {
	case old != nil && old.Status == c.Status:
		c.LastTransitionTime = old.LastTransitionTime
	case c.LastTransitionTime.IsZero():
		c.LastTransitionTime = metav1.NewTime(now)
	}
	if old == nil {
		return append(all, c)
	}
	*old = c
	return all
}

func condition(all []corev1.PodCondition, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range all {
		if all[i].Type == kind {
			return &all[i]
		}
	}
	return nil
}
