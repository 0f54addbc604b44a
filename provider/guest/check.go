package guest

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Refusal says why a pod cannot run as a guest.
type Refusal struct {
	Field  string // path in the pod, as in spec.volumes[0].hostPath
	Reason string // one word, for events
	Text   string // what, why and what to do
}

// Refusals is every reason at once.
type Refusals []Refusal

func (r Refusals) Error() string {
	said := make([]string, len(r))
	for i := range r {
		said[i] = r[i].Field + ": " + r[i].Text
	}
	return strings.Join(said, "; ")
}

func (r *Refusals) add(reason, text, field string, arguments ...any) {
	*r = append(*r, Refusal{Field: fmt.Sprintf(field, arguments...), Reason: reason, Text: text})
}

// Check returns every reason for which v cannot run as a guest.
func Check(v *corev1.Pod) Refusals {
	var r Refusals
	r.owner(v)
	r.host(v)
	for i := range v.Spec.Volumes {
		r.volume(v, i)
	}
	r.neighbours(v)
	_, unread := TermsOf(v)
	return append(r, unread...)
}

func (r *Refusals) owner(v *corev1.Pod) {
	controller := metav1.GetControllerOf(v)
	if controller == nil {
		return
	}
	if controller.Kind != "Job" || !strings.HasPrefix(controller.APIVersion, "batch/") {
		why := "only Jobs and pods of their own run on idle capacity, not pods of a " + controller.Kind
		if controller.Kind == "DaemonSet" {
			why += "; keep it off virtual nodes by a required node affinity: type NotIn [virtual-kubelet]"
		}
		r.add("Owner"+controller.Kind, why, "metadata.ownerReferences")
		return
	}
	if v.Labels["controller-uid"] == "" && v.Labels["batch.kubernetes.io/controller-uid"] == "" {
		r.add("ManualSelector", "a Job with manualSelector would take the guest for a pod of its own; let the Job choose its selector", "metadata.labels")
	}
}

func (r *Refusals) host(v *corev1.Pod) {
	const why = "it shares the machine with others; take it out or run the pod on a node of its own"
	for _, host := range []struct {
		field string
		asked bool
	}{{"hostNetwork", v.Spec.HostNetwork}, {"hostPID", v.Spec.HostPID}, {"hostIPC", v.Spec.HostIPC}} {
		if host.asked {
			r.add("HostNamespace", why, "spec.%s", host.field)
		}
	}
	r.ports(v.Spec.InitContainers, "initContainers", why)
	r.ports(v.Spec.Containers, "containers", why)
	if len(v.Spec.ResourceClaims) > 0 {
		r.add("ResourceClaims", "a resource claim belongs to one pod and cannot pass to its guest", "spec.resourceClaims")
	}
}

func (r *Refusals) ports(containers []corev1.Container, at, why string) {
	for i := range containers {
		for j, port := range containers[i].Ports {
			if port.HostPort != 0 {
				r.add("HostPort", why, "spec.%s[%d].ports[%d].hostPort", at, i, j)
			}
		}
	}
}

func (r *Refusals) volume(v *corev1.Pod, i int) {
	volume := &v.Spec.Volumes[i]
	switch {
	case volume.HostPath != nil:
		r.add("HostPath", "the files of one machine are not there on the next; use a claim or emptyDir", "spec.volumes[%d].hostPath", i)
	case volume.CSI != nil:
		r.add("EphemeralVolume", "an inline CSI volume is made for one pod and is lost when it moves; use a claim or emptyDir", "spec.volumes[%d].csi", i)
	case volume.Ephemeral != nil:
		r.add("EphemeralVolume", "its claim would be made for the virtual pod and again for each guest; use a claim or emptyDir", "spec.volumes[%d].ephemeral", i)
	case volume.DownwardAPI != nil:
		r.downward(v, volume.DownwardAPI.Items, fmt.Sprintf("spec.volumes[%d].downwardAPI", i))
	case volume.Projected != nil:
		for j, source := range volume.Projected.Sources {
			if source.DownwardAPI != nil {
				r.downward(v, source.DownwardAPI.Items, fmt.Sprintf("spec.volumes[%d].projected.sources[%d].downwardAPI", i, j))
			}
		}
	}
}

// downward refuses files in which a kubelet would write what is true of the guest only.
func (r *Refusals) downward(v *corev1.Pod, items []corev1.DownwardAPIVolumeFile, at string) {
	for i, item := range items {
		if item.FieldRef == nil {
			continue
		}
		path := item.FieldRef.FieldPath
		_, differs := ownField(v, path)
		if differs || path == "metadata.labels" && anyOwned(v) {
			r.add("DownwardAPI", "the file "+item.Path+" would hold "+path+" of the guest, which differs; read it from an environment variable", "%s.items[%d]", at, i)
		}
	}
}

func anyOwned(v *corev1.Pod) bool {
	for key := range v.Labels {
		if owned(key) {
			return true
		}
	}
	return false
}

// neighbours refuses placement by other pods that could not hold for guests: they
// are found by other labels, and the virtual pods themselves are on no real node.
func (r *Refusals) neighbours(v *corev1.Pod) {
	if a := v.Spec.Affinity; a != nil && a.PodAffinity != nil {
		for i, t := range a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			if selector, err := metav1.LabelSelectorAsSelector(t.LabelSelector); err == nil && (selector.Matches(labels.Set(v.Labels)) || asksFor(t.LabelSelector, owned)) {
				r.add("PodAffinity", "it asks to be near pods like itself, and those are on a node that is no machine; prefer it instead", "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[%d]", i)
			}
		}
	}
	if a := v.Spec.Affinity; a != nil && a.PodAntiAffinity != nil {
		for i, t := range a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			if asksFor(t.LabelSelector, owned) {
				r.add("PodAntiAffinity", "guests do not carry the labels that a Job sets; select by a label of your own", "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[%d]", i)
			}
		}
	}
	for i, t := range v.Spec.TopologySpreadConstraints {
		if t.WhenUnsatisfiable == corev1.DoNotSchedule && asksFor(t.LabelSelector, owned) {
			r.add("TopologySpread", "guests do not carry the labels that a Job sets; select by a label of your own", "spec.topologySpreadConstraints[%d]", i)
		}
	}
}
