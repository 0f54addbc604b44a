package course

import corev1 "k8s.io/api/core/v1"

// InCloud reports that the attempt which v is at belongs to a cloud, so that no real
// node has it.
func InCloud(v *corev1.Pod) bool {
	r := recordOf(v)
	return r.cloud && r.begun()
}
