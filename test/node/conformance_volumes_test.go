package node

import (
	"strings"
	"testing"

	authentication "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func volumeRows() []row {
	return []row{
		{"emptyDir", "kept while the pod's guest is where it is; empty again after a move", prints("written\n\n", func() *corev1.Pod {
			return withData(pod("empty", "write=/data/file", "cat=/data/file"))
		})},
		{"emptyDir in memory, with sizeLimit", "more than its size does not fit", memoryVolume},
		{"ConfigMap volumes", "with items and modes; a change reaches the files", configVolume},
		{"Secret volumes", "read by the kubelet of the guest's node, never by the virtual node", secretVolume},
		{"downwardAPI volumes", "labels, annotations and resources; files that would differ in the guest are refused", prints("blue\n64\n", func() *corev1.Pod {
			p := pod("downward", "cat=/pod/color", "cat=/pod/memory")
			p.Labels = map[string]string{"color": "blue"}
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: quantity("64Mi")}
			return shares(p, "pod", corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "color", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['color']"}},
				{Path: "memory", ResourceFieldRef: &corev1.ResourceFieldSelector{ContainerName: "main", Resource: "limits.memory", Divisor: quantity("1Mi")}},
			}}})
		})},
		{"Projected service account tokens", "the API server takes them for the pod's account, for the audience asked; the kubelet of the guest's node renews them", token},
	}
}

func memoryVolume(t *testing.T, w *world) {
	p := pod("memory", "fill=/shm/fits,2", "print=fits", "fill=/shm/larger,16")
	limit := quantity("4Mi")
	shares(p, "shm", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &limit}})
	p = w.in(w.start(p), corev1.PodFailed)
	if got := w.said(p, corev1.PodLogOptions{}); !besides(got, "fits\n", "no space") {
		t.Errorf("it printed %q", got)
	}
}

func configVolume(t *testing.T, w *world) {
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "volume-settings", Namespace: "night"}, Data: map[string]string{"color": "blue", "other": "x"}}
	settings, err := w.client.CoreV1().ConfigMaps("night").Create(t.Context(), settings, metav1.CreateOptions{})
	must(t, err)
	p := pod("settings", "cat=/settings/shade", "await=/settings/shade,green", "print=changed")
	p = w.in(w.start(shares(p, "settings", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "volume-settings"}, Items: []corev1.KeyToPath{{Key: "color", Path: "shade"}},
	}})), corev1.PodRunning)
	settings.Data["color"] = "green"
	_, err = w.client.CoreV1().ConfigMaps("night").Update(t.Context(), settings, metav1.UpdateOptions{})
	must(t, err)
	if got := w.said(w.in(p, corev1.PodSucceeded), corev1.PodLogOptions{}); !strings.HasSuffix(got, "changed\n") {
		t.Errorf("it printed %q", got)
	}
}

func secretVolume(t *testing.T, w *world) {
	w.secret("volume-keys", map[string]string{"key": "hush"})
	p := shares(pod("keys", "cat=/keys/key"), "keys", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "volume-keys", DefaultMode: new(int32(0o400))}})
	if got := w.succeeds(p); got != "hush\n" {
		t.Errorf("it printed %q", got)
	}
}

func (w *world) secret(name string, data map[string]string) {
	w.t.Helper()
	_, err := w.client.CoreV1().Secrets("night").Create(w.t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data}, metav1.CreateOptions{})
	must(w.t, err)
}

func token(t *testing.T, w *world) {
	p := pod("token", "cat=/identity/token", "sleep=10m")
	shares(p, "identity", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "reports", ExpirationSeconds: new(int64(600))}},
	}}})
	p = w.in(w.start(p), corev1.PodRunning)
	w.until("its token is good", func() error {
		text := strings.TrimSpace(w.said(p, corev1.PodLogOptions{}))
		r, err := w.client.AuthenticationV1().TokenReviews().Create(t.Context(), &authentication.TokenReview{
			Spec: authentication.TokenReviewSpec{Token: text, Audiences: []string{"reports"}},
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		if !r.Status.Authenticated || r.Status.User.Username != "system:serviceaccount:night:default" {
			return errorf("%+v", r.Status)
		}
		return nil
	})
}
