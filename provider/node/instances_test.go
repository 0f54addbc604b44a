package node

import (
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/provider/guest"
	"github.com/spillway-dev/spillway/provider/idle"
	"github.com/spillway-dev/spillway/provider/usage"
)

// TestInstancesGo: where online work needs room, an instance whose call may be repeated
// goes before one whose call would fail, and only instances that are there.
func TestInstancesGo(t *testing.T) {
	r, _ := roomOf(t, idle.RuleUsage)
	at := metav1.NewTime(time.Now().Add(-time.Hour))
	instance := func(uid string, labels map[string]string) *corev1.Pod {
		labels[instanceLabel] = "idle"
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "night-" + uid, Namespace: "shop", CreationTimestamp: at, Labels: labels, UID: types.UID("uid-" + uid)},
			Spec: corev1.PodSpec{NodeName: "real", PriorityClassName: guest.PriorityClass, Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi")}}}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning},
		}
	}
	r.setPod(instance("a", map[string]string{}))
	r.setPod(instance("b", map[string]string{retryLabel: "idempotent"}))
	r.sample(usage.Online{Node: "real", At: time.Now(), MilliCPU: 500, MiB: 512})
	r.look()
	if len(r.instances.going) != 0 {
		t.Fatalf("there is room, and %v must go", r.instances.going)
	}
	r.sample(usage.Online{Node: "real", At: time.Now(), MilliCPU: 2000, MiB: 512})
	r.look()
	if !r.instances.going["uid-b"] || len(r.instances.going) != 1 {
		t.Errorf("%v must go", r.instances.going)
	}
	if got := slices.Sorted(maps.Keys(r.guests)); !slices.Equal(got, []string{"uid-a", "uid-b"}) || !r.guests["uid-b"].Leaving || r.guests["uid-a"].Movable || r.guests["uid-b"].Deadline != spillway.Never {
		t.Errorf("%+v", r.guests)
	}
	r.removePod(instance("b", map[string]string{}))
	if len(r.instances.going) != 0 {
		t.Errorf("gone, and still to be told: %v", r.instances.going)
	}
}
