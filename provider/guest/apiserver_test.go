package guest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/internal/kubetest/apiserver"
	"github.com/spillway-dev/spillway/provider/guest"
)

// TestAPIServer has a real API server take guests of pods of many kinds, and the
// statuses of a pod that is moved and ends.
func TestAPIServer(t *testing.T) {
	client := kubernetes.NewForConfigOrDie(apiserver.Start(t))
	never := corev1.PreemptNever
	ctx := t.Context()
	for _, name := range []string{"default", "etl"} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := client.CoreV1().ServiceAccounts("default").Create(ctx, account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	kubetest.Class(t, client, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: guest.PriorityClass}, Value: -1000, PreemptionPolicy: &never})
	for name, change := range kinds() {
		t.Run(name, func(t *testing.T) { taken(t, client, change) })
	}
	t.Run("statuses", func(t *testing.T) { statuses(t, client) })
}

// kinds are pods that the API server changes in ways of its own when it takes them.
func kinds() map[string]func(*corev1.Pod) {
	like := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	keys := []string{"batch.kubernetes.io/job-name", "app"}
	seconds := int64(600)
	return map[string]func(*corev1.Pod){
		"plain": func(*corev1.Pod) {},
		"near others": func(v *corev1.Pod) {
			v.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
				Weight: 1, PodAffinityTerm: corev1.PodAffinityTerm{LabelSelector: like, MatchLabelKeys: []string{"batch.kubernetes.io/job-name"}, TopologyKey: "kubernetes.io/hostname"}}}}}
		},
		"spread": func(v *corev1.Pod) {
			v.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "kubernetes.io/hostname", WhenUnsatisfiable: corev1.ScheduleAnyway,
				LabelSelector: &metav1.LabelSelector{}, MatchLabelKeys: keys}}
		},
		"limits": func(v *corev1.Pod) {
			v.Spec.ActiveDeadlineSeconds = &seconds
			v.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("2"), "memory": resource.MustParse("1Gi")}
			v.Spec.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("3")}}
		},
		"gates": func(v *corev1.Pod) {
			v.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/warm"}}
			v.Name, v.Spec.Hostname = "with.dots.in-its-name", ""
		},
		"stages": func(v *corev1.Pod) { v.Spec = *staged(corev1.RestartPolicyOnFailure).Spec.DeepCopy() },
	}
}

func taken(t *testing.T, client kubernetes.Interface, change func(*corev1.Pod)) {
	pods := client.CoreV1().Pods("default")
	v := virtualOf(t, client, change)
	for attempt := 1; attempt <= 2; attempt++ {
		g, err := pods.Create(t.Context(), of(t, v, attempt, guest.Earlier{}), metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("attempt %d: %v", attempt, err)
		}
		if *g.Spec.Priority != -1000 || *g.Spec.PreemptionPolicy != corev1.PreemptNever || g.Spec.ServiceAccountName != "etl" || len(g.Spec.Volumes) != len(v.Spec.Volumes) || g.Spec.NodeName != "" {
			t.Errorf("attempt %d: %+v", attempt, g.Spec)
		}
	}
}

// virtualOf makes a pod that is bound to the virtual node.
func virtualOf(t *testing.T, client kubernetes.Interface, change func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	v := job()
	v.Namespace, v.UID, v.Spec.Priority = "default", "", nil
	change(v)
	v.Finalizers, v.Name = nil, fmt.Sprint(v.Name, "-", time.Now().UnixNano())
	made, err := client.CoreV1().Pods("default").Create(t.Context(), v, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func statuses(t *testing.T, client kubernetes.Interface) {
	v := virtualOf(t, client, func(v *corev1.Pod) { v.Spec = *staged(corev1.RestartPolicyNever).Spec.DeepCopy() })
	write := func(what string, s corev1.PodStatus) {
		t.Helper()
		v.Status = s
		written, err := client.CoreV1().Pods("default").UpdateStatus(context.WithoutCancel(t.Context()), v, metav1.UpdateOptions{})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		v = written
	}
	write("waits", guest.Waiting(v, "Waiting", "waits for idle capacity", start))
	started := at(1)
	g := of(t, v, 1, guest.Earlier{})
	write("has a guest", guest.Status(v, g, guest.Earlier{}, start))
	g.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &started, PodIP: "10.0.0.7", PodIPs: []corev1.PodIP{{IP: "10.0.0.7"}}, HostIP: "192.0.2.1", HostIPs: []corev1.HostIP{{IP: "192.0.2.1"}},
		QOSClass: corev1.PodQOSBurstable, InitContainerStatuses: []corev1.ContainerStatus{ended("fetch", 1, 2, 0), running("proxy", 2)}, ContainerStatuses: []corev1.ContainerStatus{running("main", 3)}}
	write("runs", guest.Status(v, g, guest.Earlier{}, start))
	write("is moved", guest.Waiting(v, "Reclaimed", "moves", at(10).Time))
	earlier := guest.Shown(v)
	g = of(t, v, 2, earlier)
	g.Status = corev1.PodStatus{Phase: corev1.PodPending, InitContainerStatuses: []corev1.ContainerStatus{running("fetch", 20), waiting("proxy")}, ContainerStatuses: []corev1.ContainerStatus{waiting("main")}}
	write("begins again", guest.Status(v, g, earlier, at(20).Time))
	g.Status.InitContainerStatuses, g.Status.ContainerStatuses = []corev1.ContainerStatus{ended("fetch", 20, 21, 0), running("proxy", 22)}, []corev1.ContainerStatus{ended("main", 22, 30, 3)}
	g.Status.Phase = corev1.PodFailed
	write("fails", guest.Failed(v, g, earlier, guest.Failure{Reason: "Reclaimed", Message: "it cannot go on", Disruption: true}, at(31).Time))
	if v.Status.Phase != corev1.PodFailed || conditionOf(v, corev1.DisruptionTarget).Status != corev1.ConditionTrue || v.Status.ContainerStatuses[0].State.Terminated.ExitCode != 3 {
		t.Errorf("%+v", v.Status)
	}
}
