package guest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// LabelOf holds the UID of the virtual pod of a guest, LabelNode its virtual node.
	LabelOf   = "spillway.dev/guest-of"
	LabelNode = "spillway.dev/guest-node"
	// AnnotationAttempt numbers the attempts of a virtual pod from 1.
	AnnotationAttempt = "spillway.dev/guest-attempt"
	// AnnotationEarlier is what attempts before this one left behind: Earlier as JSON.
	AnnotationEarlier = "spillway.dev/guest-earlier"

	// PriorityClass is the class of every guest.
	PriorityClass = "spillway-guest"

	taintOffline    = "spillway.dev/offline"
	taintReclaiming = "spillway.dev/reclaiming"
	labelType       = "type"
	typeVirtual     = "virtual-kubelet"
	labelNoBalancer = "node.kubernetes.io/exclude-from-external-load-balancers"
	taintProvider   = "virtual-kubelet.io/provider"
)

// maxName bounds names of guests: a name is also a host name and may be a label.
const maxName = 63

// Name returns the name of the guest of one attempt, a DNS label that differs
// between virtual pods of one name and between attempts.
func Name(pod string, uid types.UID, attempt int) string {
	sum := sha256.Sum256([]byte(pod + "/" + string(uid)))
	tail := fmt.Sprintf("-%s-%d", hex.EncodeToString(sum[:5]), attempt)
	head := dnsLabel(pod)
	if room := maxName - len(tail); len(head) > room {
		head = strings.TrimRight(head[:room], "-")
	}
	return head + tail
}

// dnsLabel writes a DNS subdomain as a label of at most 63 characters.
func dnsLabel(name string) string {
	name = strings.ReplaceAll(name, ".", "-")
	if len(name) > maxName {
		name = name[:maxName]
	}
	return strings.TrimRight(name, "-")
}

// Attempt returns which attempt g is, or 0 for a pod that is no guest.
func Attempt(g *corev1.Pod) int {
	n, err := strconv.Atoi(g.Annotations[AnnotationAttempt])
	if err != nil || n < 1 || g.Labels[LabelOf] == "" {
		return 0
	}
	return n
}

// ownedLabels are set by controllers on pods of their own, and found by them or by
// queues again. ownedPrefixes are such labels by their prefix.
var (
	ownedLabels = map[string]bool{
		"controller-uid": true, "job-name": true, "pod-template-hash": true, "controller-revision-hash": true,
		"pod-template-generation": true, "apps.kubernetes.io/pod-index": true, "job-completion-index": true,
		LabelOf: true, LabelNode: true,
	}
	ownedPrefixes = []string{
		"batch.kubernetes.io/", "statefulset.kubernetes.io/", "kueue.x-k8s.io/", "jobset.sigs.k8s.io/", "training.kubeflow.org/",
	}
)

// owned reports whether a guest must not carry the label.
func owned(key string) bool {
	if ownedLabels[key] {
		return true
	}
	for _, prefix := range ownedPrefixes {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
