package guest

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// MayRestart reports whether the named container of v may run again after it has
// ended with the exit code, by the rules that the API server holds statuses to.
func MayRestart(v *corev1.Pod, name string, exitCode int32) bool {
	for _, containers := range [][]corev1.Container{v.Spec.InitContainers, v.Spec.Containers} {
		for i := range containers {
			if containers[i].Name == name {
				return restarts(&containers[i], v.Spec.RestartPolicy, exitCode)
			}
		}
	}
	return false
}

func restarts(c *corev1.Container, pod corev1.RestartPolicy, exitCode int32) bool {
	policy := string(pod)
	if c.RestartPolicy != nil {
		policy = string(*c.RestartPolicy)
		if slices.ContainsFunc(c.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool { return matches(r, exitCode) }) {
			return true
		}
	}
	return policy == string(corev1.RestartPolicyAlways) || policy == string(corev1.RestartPolicyOnFailure) && exitCode != 0
}

// matches reports whether a rule restarts the container; there is no other action.
func matches(r corev1.ContainerRestartRule, exitCode int32) bool {
	if r.ExitCodes == nil {
		return false
	}
	listed := slices.Contains(r.ExitCodes.Values, exitCode)
	return listed == (r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn)
}

func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// Stuck names a container of v that has ended for good, by itself, while the pod
// has not: another attempt would run it twice. g is the attempt that is given up,
// or nil where it is gone.
func Stuck(v, g *corev1.Pod) (string, bool) {
	if name, stuck := endedForGood(v, v.Status.ContainerStatuses, nil); stuck || g == nil {
		return name, stuck
	}
	return endedForGood(v, g.Status.ContainerStatuses, g)
}

func endedForGood(v *corev1.Pod, statuses []corev1.ContainerStatus, g *corev1.Pod) (string, bool) {
	for i := range statuses {
		end := statuses[i].State.Terminated
		if end != nil && !MayRestart(v, statuses[i].Name, end.ExitCode) && (g == nil || !byDisruption(g, end)) {
			return statuses[i].Name, true
		}
	}
	return "", false
}

func initial(v *corev1.Pod, name string) bool {
	return slices.ContainsFunc(v.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name })
}
