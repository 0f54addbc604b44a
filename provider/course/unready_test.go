package course

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestLacking: an event for what a container lacks, by name, and once.
func TestLacking(t *testing.T) {
	waits := func(reason, message string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
	for message, want := range map[string]string{
		`secret "keys" not found`:                         "MandatorySecretNotFound",
		`configmap "settings" not found`:                  "MandatoryConfigMapNotFound",
		`couldn't find key a in Secret night/keys`:        "MandatorySecretKeyNotFound",
		`couldn't find key a in ConfigMap night/settings`: "MandatoryConfigMapKeyNotFound",
		`failed to prepare subPath for volumeMount "x"`:   "CreateContainerConfigError",
	} {
		now := waits(configError, message)
		got := lacking(waits("ContainerCreating", ""), now)
		if len(got) != 1 || got[0].Reason != want || !got[0].Warning || got[0].Text != "container main does not start: "+message {
			t.Errorf("%s: %+v, want %s", message, got, want)
		}
		if again := lacking(now, now); again != nil {
			t.Errorf("%s: said again: %+v", message, again)
		}
	}
	if got := lacking(nil, waits("ImagePullBackOff", "no")); got != nil {
		t.Errorf("of an image: %+v", got)
	}
}
