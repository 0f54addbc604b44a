package node

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func refusedRows() []row {
	return []row{
		{"hostPath", "`HostPath`", refuses("HostPath", func(p *corev1.Pod) {
			shares(p, "host", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/tmp"}})
		})},
		{"hostNetwork, hostPID, hostIPC", "`HostNamespace`", refuses("HostNamespace", func(p *corev1.Pod) {
			p.Spec.HostNetwork, p.Spec.HostPID, p.Spec.HostIPC = true, true, true
		})},
		{"hostPort", "`HostPort`", refuses("HostPort", func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 38080}}
		})},
		{"Inline CSI and generic ephemeral volumes", "`EphemeralVolume`", refuses("EphemeralVolume", func(p *corev1.Pod) {
			p.Spec.NodeName = name // the scheduler may know of limits of drivers
			shares(p, "inline", corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "inline.example.com"}})
			claim := corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}}
			claim.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: quantity("1Mi")}
			shares(p, "claimed", corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: claim}}})
		})},
		{"resourceClaims", "`ResourceClaims`", refuses("ResourceClaims", func(p *corev1.Pod) {
			p.Spec.NodeName = name // the scheduler would wait for the claim
			p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "card", ResourceClaimName: new("card")}}
		})},
		{"downwardAPI files that would lie", "`DownwardAPI`: the name and UID of a pod in a file", refuses("DownwardAPI", func(p *corev1.Pod) {
			shares(p, "pod", corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "name", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}})
		})},
		{"A deadline that cannot be read", "`UnreadableDeadline`: the annotation `spillway.dev/deadline`; likewise the others", refuses("UnreadableDeadline", func(p *corev1.Pod) {
			p.Annotations = map[string]string{"spillway.dev/deadline": "tomorrow"}
		})},
		{"Pods of DaemonSets", "`OwnerDaemonSet`, as of everything but Jobs; [an affinity](kubernetes.md#daemonsets-keep-them-off-the-node) keeps them off", daemons},
	}
}

// refuses is a row of a pod that is refused for a reason.
func refuses(reason string, shape func(*corev1.Pod)) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		p := pod("refused-"+strings.ToLower(reason), "print=ran")
		shape(p)
		p = w.in(w.start(p), corev1.PodFailed)
		if p.Status.Reason != reason || p.Status.Message == "" || len(w.guests(p)) > 0 {
			t.Errorf("%s: %s", p.Status.Reason, p.Status.Message)
		}
		if e := w.event(p, reason); e.Type != corev1.EventTypeWarning || e.Message != p.Status.Message {
			t.Errorf("%s: %s", e.Type, e.Message)
		}
	}
}

func daemons(t *testing.T, w *world) {
	must(t, w.Apply(t.Context(), `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere, namespace: night}
spec:
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere}}
    spec:
      nodeSelector: {spillway.dev/offline: "true"}
      tolerations: [{operator: Exists}]
      containers: [{name: main, image: "`+work+`", args: [sleep=10m]}]
`))
	w.until("a pod of it is refused", func() error {
		all, err := w.client.CoreV1().Events("night").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=OwnerDaemonSet"})
		if err != nil {
			return err
		}
		if len(all.Items) == 0 {
			return errorf("no event")
		}
		return nil
	})
	must(t, w.client.AppsV1().DaemonSets("night").Delete(t.Context(), "everywhere", metav1.DeleteOptions{}))
}
