package course

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const configError = "CreateContainerConfigError" // a kubelet's word for what a container's configuration lacks

// lacking are events of containers that have begun to wait for a Secret or ConfigMap,
// since their guest's own events are nothing that the pod's owner looks at.
func lacking(before, now []corev1.ContainerStatus) []Event {
	var events []Event
	for i := range now {
		w := now[i].State.Waiting
		if w == nil || w.Reason != configError || waitsFor(before, now[i].Name, w.Message) {
			continue
		}
		events = append(events, Event{Warning: true, Reason: lack(w.Message), Text: "container " + now[i].Name + " does not start: " + w.Message})
	}
	return events
}

func waitsFor(before []corev1.ContainerStatus, name, message string) bool {
	for i := range before {
		if w := before[i].State.Waiting; before[i].Name == name && w != nil {
			return w.Reason == configError && w.Message == message
		}
	}
	return false
}

// lack is virtual-kubelet's word for what a kubelet says is not there.
func lack(message string) string {
	switch {
	case strings.HasPrefix(message, "secret ") && strings.HasSuffix(message, " not found"):
		return "MandatorySecretNotFound"
	case strings.HasPrefix(message, "configmap ") && strings.HasSuffix(message, " not found"):
		return "MandatoryConfigMapNotFound"
	case strings.HasPrefix(message, "couldn't find key ") && strings.Contains(message, " in Secret "):
		return "MandatorySecretKeyNotFound"
	case strings.HasPrefix(message, "couldn't find key ") && strings.Contains(message, " in ConfigMap "):
		return "MandatoryConfigMapKeyNotFound"
	}
	return configError
}
