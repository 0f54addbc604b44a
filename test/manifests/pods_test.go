package manifests

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// instance is a pod as the dispatcher makes them.
func instance(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"spillway.dev/pool": "onprem"}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, PriorityClassName: "spillway-instance",
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			InitContainers:  []corev1.Container{confined("agent")},
			Containers:      []corev1.Container{confined("function")},
			Volumes:         []corev1.Volume{emptyDir("work")},
		},
	}
}

func confined(name string) corev1.Container {
	return corev1.Container{Name: name, Image: "localhost/app:dev", Env: []corev1.EnvVar{{Name: "SPILLWAY_AGENT_CA", Value: "public"}},
		SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}
}

// podsOfSpillway sees what the admission policy leaves of the right to make and delete
// pods everywhere.
func (s *server) podsOfSpillway(t *testing.T) {
	dispatcher, operator := s.as(t, dispatcherAccount), s.as(t, operatorAccount)
	for _, namespace := range []string{"default", "kube-system"} {
		if err := s.account(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(err error) bool { return err != nil && strings.Contains(err.Error(), "spillway-pods") }
	stranger := func() *corev1.Pod { p := instance("shop", "stranger"); p.Labels = nil; return p }
	eventually(t, "the admission policy is in force", func() bool { return refused(dispatcher.Create(t.Context(), stranger(), client.DryRunAll)) })

	secret := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "database"}, Key: "password"}
	for name, change := range map[string]func(*corev1.Pod){
		"without a label": func(p *corev1.Pod) { p.Labels = map[string]string{"app": "x"} },
		"a Secret as a volume": func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "database"}}})
		},
		"a projected Secret": func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "s", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: secret.LocalObjectReference}}}}}})
		},
		"a Secret of a driver": func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "s", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "x", NodePublishSecretRef: &secret.LocalObjectReference}}})
		},
		"a Secret in the environment": func(p *corev1.Pod) {
			p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "P", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secret}})
		},
		"a Secret as the environment of an init container": func(p *corev1.Pod) {
			p.Spec.InitContainers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: secret.LocalObjectReference}}}
		},
		"in the system's namespace": func(p *corev1.Pod) { p.Namespace = "spillway-system" },
		"in Kubernetes' namespace":  func(p *corev1.Pod) { p.Namespace = "kube-system" },
	} {
		p := instance("shop", "try")
		change(p)
		if err := dispatcher.Create(t.Context(), p, client.DryRunAll); !refused(err) {
			t.Errorf("a pod with %s: %v", name, err)
		}
		if err := s.Create(t.Context(), p, client.DryRunAll); err != nil && strings.Contains(err.Error(), "spillway-pods") {
			t.Errorf("others cannot make a pod with %s: %v", name, err)
		}
	}

	for _, namespace := range []string{"shop", "spillway-pool"} {
		p := instance(namespace, "own")
		if err := dispatcher.Create(t.Context(), p); err != nil {
			t.Fatalf("a pod of a function: %v", err)
		}
		if namespace == "shop" && len(p.Spec.Volumes) < 2 {
			t.Error("the API server gave the pod no token, so that is not tried")
		}
		by := map[string]client.Client{"shop": dispatcher, "spillway-pool": operator}[namespace]
		if err := by.Delete(t.Context(), p); err != nil {
			t.Errorf("the end of a pod of a function: %v", err)
		}
	}
	other := stranger()
	if err := s.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	for name, by := range map[string]client.Client{"the dispatcher": dispatcher, "the operator": operator} {
		if err := by.Delete(t.Context(), other); !refused(err) {
			t.Errorf("%s deletes the pod of somebody else: %v", name, err)
		}
	}
	if err := s.Delete(t.Context(), other); err != nil {
		t.Errorf("others delete their pods: %v", err)
	}
}
