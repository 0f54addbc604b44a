package guest

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Config says which guest is wanted.
type Config struct {
	Node    string // the virtual node
	Attempt int    // from 1
	Earlier Earlier
	Now     time.Time
}

// Of returns the guest of an attempt of the virtual pod v. A pod that cannot run
// as a guest is an error of type Refusals, with all the reasons at once.
func Of(v *corev1.Pod, c Config) (*corev1.Pod, error) {
	if refused := Check(v); len(refused) > 0 {
		return nil, refused
	}
	controls := false
	g := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: Name(v.Name, v.UID, c.Attempt), Namespace: v.Namespace,
			Labels: labelsOf(v, c), Annotations: annotationsOf(v, c),
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: v.Name, UID: v.UID, Controller: &controls}},
		},
		Spec: *v.Spec.DeepCopy(),
	}
	spec := &g.Spec
	spec.Hostname = hostname(v)
	spec.ActiveDeadlineSeconds = remains(v, c)
	place(spec, c.Node)
	literals(v, spec.InitContainers)
	literals(v, spec.Containers)
	return g, nil
}

func labelsOf(v *corev1.Pod, c Config) map[string]string {
	labels := map[string]string{LabelOf: string(v.UID), LabelNode: c.Node}
	for key, value := range v.Labels {
		if !owned(key) {
			labels[key] = value
		}
	}
	return labels
}

func annotationsOf(v *corev1.Pod, c Config) map[string]string {
	annotations := map[string]string{}
	for key, value := range v.Annotations {
		annotations[key] = value
	}
	annotations[AnnotationAttempt] = strconv.Itoa(c.Attempt)
	annotations[AnnotationEarlier] = c.Earlier.text()
	return annotations
}

// hostname is the one that a kubelet would give v itself. A name with dots, which
// spec.hostname does not take, is written with hyphens.
func hostname(v *corev1.Pod) string {
	if v.Spec.Hostname != "" {
		return v.Spec.Hostname
	}
	return dnsLabel(v.Name)
}

// remains is what is left of v's own deadline, which runs from its first start.
func remains(v *corev1.Pod, c Config) *int64 {
	ends, bounded := Deadline(v)
	if !bounded {
		return v.Spec.ActiveDeadlineSeconds
	}
	left := max(1, int64(ends.Sub(c.Now)/time.Second))
	return &left
}

// Deadline returns when spec.activeDeadlineSeconds of v ends, and false while it
// has none or has not started.
func Deadline(v *corev1.Pod) (time.Time, bool) {
	if v.Spec.ActiveDeadlineSeconds == nil || v.Status.StartTime == nil {
		return time.Time{}, false
	}
	return v.Status.StartTime.Add(time.Duration(*v.Spec.ActiveDeadlineSeconds) * time.Second), true
}
