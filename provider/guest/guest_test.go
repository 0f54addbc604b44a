package guest_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/spillway-dev/spillway/provider/guest"
)

const node = "spillway-offline"

var start = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)

// job is a pod as the Job controller, the webhook and the scheduler leave it.
func job() *corev1.Pod {
	yes := true
	priority, grace := int32(0), int64(30)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "etl-0-x7f2p", GenerateName: "etl-0-", Namespace: "risk", UID: "5b4c", Generation: 1, Finalizers: []string{"batch.kubernetes.io/job-tracking"},
			Labels: map[string]string{
				"app": "etl", "controller-uid": "77", "batch.kubernetes.io/controller-uid": "77", "job-name": "etl",
				"batch.kubernetes.io/job-name": "etl", "batch.kubernetes.io/job-completion-index": "0",
			},
			Annotations:     map[string]string{"batch.kubernetes.io/job-completion-index": "0", "team": "risk"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "etl", UID: "77", Controller: &yes}},
		},
		Spec: corev1.PodSpec{
			NodeName: node, RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &grace, Priority: &priority,
			ServiceAccountName: "etl", Hostname: "etl-0",
			Containers: []corev1.Container{{
				Name: "main", Image: "etl:1", Env: []corev1.EnvVar{
					{Name: "POD", ValueFrom: field("metadata.name")},
					{Name: "UID", ValueFrom: field("metadata.uid")},
					{Name: "INDEX", ValueFrom: field("metadata.labels['batch.kubernetes.io/job-completion-index']")},
					{Name: "APP", ValueFrom: field("metadata.labels['app']")},
				},
			}},
			Tolerations: []corev1.Toleration{
				{Key: "spillway.dev/offline", Operator: corev1.TolerationOpEqual, Value: "true", Effect: corev1.TaintEffectNoSchedule},
				{Operator: corev1.TolerationOpExists},
				{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
			},
			NodeSelector: map[string]string{"spillway.dev/offline": "true", "type": "virtual-kubelet", "kubernetes.io/arch": "amd64"},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending, QOSClass: corev1.PodQOSBestEffort, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start)},
		}},
	}
}

func field(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}
}

func of(t *testing.T, v *corev1.Pod, attempt int, earlier guest.Earlier) *corev1.Pod {
	t.Helper()
	g, err := guest.Of(v, guest.Config{Node: node, Attempt: attempt, Earlier: earlier, Now: start})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGuestOfAJob(t *testing.T) {
	v := job()
	before := v.DeepCopy()
	g := of(t, v, 1, guest.Earlier{})
	if !reflect.DeepEqual(v, before) {
		t.Error("the virtual pod was changed")
	}
	if len(validation.IsDNS1123Label(g.Name)) > 0 || !strings.HasPrefix(g.Name, "etl-0-x7f2p-") {
		t.Errorf("name %q", g.Name)
	}
	for key := range g.Labels {
		if strings.HasPrefix(key, "batch.kubernetes.io/") || key == "controller-uid" || key == "job-name" {
			t.Errorf("the Job would find the guest by label %s", key)
		}
	}
	if g.Labels["app"] != "etl" || g.Labels[guest.LabelOf] != "5b4c" || g.Labels[guest.LabelNode] != node {
		t.Errorf("labels %v", g.Labels)
	}
	if g.Annotations["batch.kubernetes.io/job-completion-index"] != "0" || guest.Attempt(g) != 1 {
		t.Errorf("annotations %v", g.Annotations)
	}
	if o := g.OwnerReferences; len(o) != 1 || o[0].Kind != "Pod" || o[0].UID != v.UID || *o[0].Controller || o[0].BlockOwnerDeletion != nil {
		t.Errorf("owners %+v", o)
	}
	if g.Spec.NodeName != "" || g.Spec.PriorityClassName != "spillway-guest" || g.Spec.Priority != nil || len(g.Finalizers) > 0 {
		t.Errorf("spec %+v", g.Spec)
	}
	if len(g.Spec.Tolerations) != 1 || g.Spec.Tolerations[0].Key != "node.kubernetes.io/not-ready" {
		t.Errorf("tolerations %+v", g.Spec.Tolerations)
	}
	if len(g.Spec.NodeSelector) != 1 || g.Spec.NodeSelector["kubernetes.io/arch"] != "amd64" {
		t.Errorf("node selector %v", g.Spec.NodeSelector)
	}
	env := map[string]string{}
	for _, e := range g.Spec.Containers[0].Env {
		env[e.Name] = e.Value
	}
	if env["POD"] != v.Name || env["UID"] != "5b4c" || env["INDEX"] != "0" || env["APP"] != "" {
		t.Errorf("env %v", env)
	}
}

func at(seconds int) metav1.Time {
	return metav1.NewTime(start.Add(time.Duration(seconds) * time.Second))
}

func running(name string, since int) corev1.ContainerStatus {
	yes := true
	return corev1.ContainerStatus{Name: name, Image: "etl:1", Ready: true, Started: &yes, ContainerID: "containerd://1",
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(since)}}}
}

func ended(name string, since, until int, code int32) corev1.ContainerStatus {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	return corev1.ContainerStatus{Name: name, Image: "etl:1", ContainerID: "containerd://1", State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: at(since), FinishedAt: at(until)}}}
}

func TestMirrorOfOneContainer(t *testing.T) {
	v := job()
	g := of(t, v, 1, guest.Earlier{})
	g.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available"}}}
	s := guest.Status(v, g, guest.Earlier{}, start)
	if s.Phase != corev1.PodPending || !strings.Contains(s.Message, "0/3 nodes") || s.ContainerStatuses[0].State.Waiting == nil {
		t.Errorf("unscheduled: %+v", s)
	}
	started := at(2)
	g.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &started, PodIP: "10.0.0.7", PodIPs: []corev1.PodIP{{IP: "10.0.0.7"}},
		ContainerStatuses: []corev1.ContainerStatus{running("main", 3)},
		Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at(3)},
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at(1), Reason: "the guest's"}}}
	v.Status = s
	v.Status = guest.Status(v, g, guest.Earlier{}, start)
	if v.Status.Phase != corev1.PodRunning || !v.Status.StartTime.Equal(&started) || v.Status.PodIP != "10.0.0.7" || v.Status.Message != "" {
		t.Errorf("running: %+v", v.Status)
	}
	if c := conditionOf(v, corev1.PodReady); c.Status != corev1.ConditionTrue || c.LastTransitionTime != at(3) || c.ObservedGeneration != 1 {
		t.Errorf("Ready %+v", c)
	}
	if c := conditionOf(v, corev1.PodScheduled); c.Reason != "" {
		t.Errorf("v's own PodScheduled was replaced: %+v", c)
	}
	g.Status.Phase, g.Status.ContainerStatuses = corev1.PodSucceeded, []corev1.ContainerStatus{ended("main", 3, 9, 0)}
	v.Status = guest.Status(v, g, guest.Earlier{}, start)
	if v.Status.Phase != corev1.PodSucceeded || v.Status.ContainerStatuses[0].State.Terminated == nil {
		t.Errorf("succeeded: %+v", v.Status)
	}
	g.Status.Phase = corev1.PodFailed
	if s := guest.Status(v, g, guest.Earlier{}, start); s.Phase != corev1.PodSucceeded {
		t.Errorf("a terminal phase became %s", s.Phase)
	}
}

func conditionOf(v *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range v.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}
