package guest

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// literals writes what a container would read of its own pod, where the guest has
// another name, UID or labels than v.
func literals(v *corev1.Pod, containers []corev1.Container) {
	for i := range containers {
		for j := range containers[i].Env {
			e := &containers[i].Env[j]
			if e.ValueFrom == nil || e.ValueFrom.FieldRef == nil {
				continue
			}
			if value, differs := ownField(v, e.ValueFrom.FieldRef.FieldPath); differs {
				e.Value, e.ValueFrom = value, nil
			}
		}
	}
}

// ownField returns v's value of a field that differs in its guests.
func ownField(v *corev1.Pod, path string) (string, bool) {
	switch path {
	case "metadata.name":
		return v.Name, true
	case "metadata.uid":
		return string(v.UID), true
	}
	if key, ok := subscript(path, "metadata.labels"); ok && owned(key) {
		return v.Labels[key], true
	}
	return "", false
}

// subscript returns the key of a path such as metadata.labels['key'].
func subscript(path, of string) (string, bool) {
	rest, ok := strings.CutPrefix(path, of+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "']")
}
