package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func environmentRows() []row {
	return []row{
		{"env", "plain values, and values that name others", prints("one\none and two\n", func() *corev1.Pod {
			p := pod("env", "env=A", "env=B")
			p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "one"}, {Name: "B", Value: "$(A) and two"}}
			return p
		})},
		{"fieldRef", "the pod's own name, UID, labels and annotations, not those of its guest", fields},
		{"resourceFieldRef", "requests and limits, with divisors", prints("20\n64\n", func() *corev1.Pod {
			p := pod("resources", "env=CPU", "env=MEMORY")
			c := &p.Spec.Containers[0]
			c.Resources.Requests[corev1.ResourceCPU] = quantity("20m")
			c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: quantity("64Mi")}
			c.Env = []corev1.EnvVar{
				{Name: "CPU", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "requests.cpu", Divisor: quantity("1m")}}},
				{Name: "MEMORY", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory", Divisor: quantity("1Mi")}}},
			}
			return p
		})},
		{"configMapKeyRef, secretKeyRef and envFrom", "what is not there and not optional keeps the container waiting, with an event", references},
		{"Hostname", "the pod's own name", prints("hosted\n", func() *corev1.Pod { return pod("hosted", "env=HOSTNAME") })},
	}
}

func fields(t *testing.T, w *world) {
	p := pod("fields", "env=NAME", "env=UID", "env=LABEL", "env=NAMESPACE", "env=ACCOUNT")
	p.Labels = map[string]string{"color": "blue"}
	for name, path := range map[string]string{
		"NAME": "metadata.name", "UID": "metadata.uid", "LABEL": "metadata.labels['color']", "NAMESPACE": "metadata.namespace", "ACCOUNT": "spec.serviceAccountName",
	} {
		p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}})
	}
	p = w.in(w.start(p), corev1.PodSucceeded)
	if got, want := w.said(p, corev1.PodLogOptions{}), "fields\n"+string(p.UID)+"\nblue\nnight\ndefault\n"; got != want {
		t.Errorf("it printed %q, want %q", got, want)
	}
}

func references(t *testing.T, w *world) {
	w.secret("env-keys", map[string]string{"KEY": "hush"})
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "env-settings"}, Data: map[string]string{"COLOR": "blue"}}
	_, err := w.client.CoreV1().ConfigMaps("night").Create(t.Context(), settings, metav1.CreateOptions{})
	must(t, err)
	of := func(n string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: n} }
	p := pod("references", "env=ONE", "env=TWO", "env=KEY", "env=M_COLOR", "env=ABSENT")
	c := &p.Spec.Containers[0]
	c.Env = []corev1.EnvVar{
		{Name: "ONE", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: of("env-settings"), Key: "COLOR"}}},
		{Name: "TWO", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: of("env-keys"), Key: "KEY"}}},
		{Name: "ABSENT", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: of("env-keys"), Key: "other", Optional: new(true)}}},
	}
	c.EnvFrom = []corev1.EnvFromSource{
		{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: of("env-keys")}},
		{Prefix: "M_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: of("env-settings")}},
	}
	if got := w.succeeds(p); got != "blue\nhush\nhush\nblue\n\n" {
		t.Errorf("it printed %q", got)
	}
	p = pod("keyless", "env=KEY")
	p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: of("env-keys"), Key: "other"}}}}
	p = w.start(p)
	w.event(p, "MandatorySecretKeyNotFound")
	if p = w.now(p); p.Status.Phase != corev1.PodPending {
		t.Errorf("it is %s", p.Status.Phase)
	}
}
