package guest_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/spillway-dev/spillway/provider/guest"
)

func asks(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func with(name string, sidecar bool, pairs ...string) corev1.Container {
	c := corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: asks(pairs...)}}
	if sidecar {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy = &always
	}
	return c
}

func TestRequests(t *testing.T) {
	type containers = []corev1.Container
	for _, row := range []struct {
		name          string
		init, main    containers
		pod, overhead corev1.ResourceList
		want          guest.Needs
	}{
		{name: "nothing", main: containers{with("a", false)}},
		{name: "the sum of containers", main: containers{with("a", false, "cpu", "1", "memory", "1Gi"), with("b", false, "cpu", "250m", "memory", "1Mi")},
			want: guest.Needs{MilliCPU: 1250, MiB: 1025}},
		{name: "a larger init container", init: containers{with("i", false, "cpu", "3"), with("j", false, "cpu", "2", "memory", "64Mi")},
			main: containers{with("a", false, "cpu", "1", "memory", "1Gi")}, want: guest.Needs{MilliCPU: 3000, MiB: 1024}},
		{name: "a sidecar runs beside the containers", init: containers{with("s", true, "cpu", "1", "memory", "100Mi")},
			main: containers{with("a", false, "cpu", "1", "memory", "1Gi")}, want: guest.Needs{MilliCPU: 2000, MiB: 1124}},
		{name: "an init container beside the sidecars before it", init: containers{with("s", true, "cpu", "1"), with("i", false, "cpu", "5"), with("t", true, "cpu", "2")},
			main: containers{with("a", false, "cpu", "1")}, want: guest.Needs{MilliCPU: 6000}},
		{name: "sidecars after an init container do not count beside it", init: containers{with("i", false, "cpu", "5"), with("s", true, "cpu", "2")},
			main: containers{with("a", false, "cpu", "1")}, want: guest.Needs{MilliCPU: 5000}},
		{name: "the pod's own requests", main: containers{with("a", false, "cpu", "1", "memory", "1Gi", "nvidia.com/gpu", "2")}, pod: asks("cpu", "4", "ephemeral-storage", "9Gi"),
			want: guest.Needs{MilliCPU: 4000, MiB: 1024, GPUs: 2}},
		{name: "overhead on top of everything", init: containers{with("i", false, "cpu", "3")}, main: containers{with("a", false, "cpu", "1")}, overhead: asks("cpu", "100m", "memory", "20Mi"),
			want: guest.Needs{MilliCPU: 3100, MiB: 20}},
		{name: "overhead on top of the pod's own", main: containers{with("a", false, "cpu", "1")}, pod: asks("cpu", "2"), overhead: asks("cpu", "100m"), want: guest.Needs{MilliCPU: 2100}},
		{name: "parts of a unit are rounded up", main: containers{with("a", false, "cpu", "100u", "memory", "1", "ephemeral-storage", "1000M")}, want: guest.Needs{MilliCPU: 1, MiB: 1, EphemeralMiB: 954}},
		{name: "graphics processors of every kind", main: containers{with("a", false, "nvidia.com/gpu", "1"), with("b", false, "amd.com/gpu", "2", "nvidia.com/mig-1g.5gb", "1", "example.com/tape", "4")},
			want: guest.Needs{GPUs: 4}},
	} {
		p := &corev1.Pod{Spec: corev1.PodSpec{InitContainers: row.init, Containers: row.main, Overhead: row.overhead}}
		if row.pod != nil {
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: row.pod}
		}
		if got := guest.Requests(p); got != row.want {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
	}
}
