package guest

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Needs are the effective requests of a pod: what the scheduler reserves for it.
// Parts of a unit are rounded up.
type Needs struct {
	MilliCPU     int64
	MiB          int64 // memory
	EphemeralMiB int64 // ephemeral storage
	GPUs         int64 // of every kind
}

// Requests returns what pod p needs: the larger of its containers together and of
// each init container with the sidecars before it, the pod's own requests where it
// states them, and its overhead.
func Requests(p *corev1.Pod) Needs {
	total := Effective(p)
	n := Needs{MilliCPU: milli(total, corev1.ResourceCPU), MiB: mebi(total, corev1.ResourceMemory), EphemeralMiB: mebi(total, corev1.ResourceEphemeralStorage)}
	for name, quantity := range total {
		if gpu(name) {
			n.GPUs += quantity.Value()
		}
	}
	return n
}

// Effective returns the same by resource name, unrounded.
func Effective(p *corev1.Pod) corev1.ResourceList {
	total, sidecars, most := corev1.ResourceList{}, corev1.ResourceList{}, corev1.ResourceList{}
	for i := range p.Spec.Containers {
		add(total, p.Spec.Containers[i].Resources.Requests)
	}
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		if sidecar(c) {
			add(total, c.Resources.Requests)
			add(sidecars, c.Resources.Requests)
			raise(most, sidecars)
			continue
		}
		beside := sidecars.DeepCopy()
		add(beside, c.Resources.Requests)
		raise(most, beside)
	}
	raise(total, most)
	if own := p.Spec.Resources; own != nil {
		for name, quantity := range own.Requests {
			if podLevel(name) {
				total[name] = quantity.DeepCopy()
			}
		}
	}
	add(total, p.Spec.Overhead)
	return total
}

// podLevel reports resources that a pod may request as a whole.
func podLevel(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// gpu reports extended resources that are graphics processors or slices of one.
func gpu(name corev1.ResourceName) bool {
	return strings.HasSuffix(string(name), "/gpu") || strings.HasPrefix(string(name), "nvidia.com/mig-") || strings.HasPrefix(string(name), "gpu.")
}

func add(to, more corev1.ResourceList) {
	for name, quantity := range more {
		sum := to[name].DeepCopy()
		sum.Add(quantity)
		to[name] = sum
	}
}

// raise makes every quantity of to at least that of least.
func raise(to, least corev1.ResourceList) {
	for name, quantity := range least {
		if now, ok := to[name]; !ok || now.Cmp(quantity) < 0 {
			to[name] = quantity.DeepCopy()
		}
	}
}

func milli(of corev1.ResourceList, name corev1.ResourceName) int64 {
	quantity := of[name]
	return quantity.MilliValue()
}

func mebi(of corev1.ResourceList, name corev1.ResourceName) int64 {
	quantity := of[name]
	const mib = 1 << 20
	bytes := quantity.Value()
	parts := bytes / mib
	if bytes%mib > 0 {
		parts++
	}
	return parts
}
