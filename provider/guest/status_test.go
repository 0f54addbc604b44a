package guest_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

func staged(policy corev1.RestartPolicy) *corev1.Pod {
	v := job()
	always := corev1.ContainerRestartPolicyAlways
	v.Spec.RestartPolicy = policy
	v.Spec.InitContainers = []corev1.Container{{Name: "fetch", Image: "etl:1"}, {Name: "proxy", Image: "proxy:1", RestartPolicy: &always}}
	return v
}

// TestLaterAttempt: an init container that ended stays ended while the next guest
// runs it again; a sidecar and the container, which may, begin anew.
func TestLaterAttempt(t *testing.T) {
	v := staged(corev1.RestartPolicyNever)
	g := of(t, v, 1, guest.Earlier{})
	started := at(1)
	g.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &started,
		InitContainerStatuses: []corev1.ContainerStatus{ended("fetch", 1, 2, 0), running("proxy", 2)}, ContainerStatuses: []corev1.ContainerStatus{running("main", 3)},
		Conditions: []corev1.PodCondition{{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: at(2)}}}
	g.Status.InitContainerStatuses[1].RestartCount = 2
	v.Status = guest.Status(v, g, guest.Earlier{}, start)
	v.Status = guest.Waiting(v, "Reclaimed", "moves", at(10).Time)
	if s := v.Status; s.Phase != corev1.PodPending || s.PodIP != "" || !s.StartTime.Equal(&started) || s.ContainerStatuses[0].State.Waiting == nil || s.ContainerStatuses[0].State.Waiting.Reason != "Reclaimed" {
		t.Errorf("between two guests: %+v", s)
	}
	earlier := guest.Shown(v)
	again := of(t, v, 2, earlier)
	if read, err := guest.EarlierOf(again); err != nil || read.Restarts["proxy"] != 2 || !read.Started.Equal(&started) {
		t.Errorf("the note on the guest says %+v, %v", read, err)
	}
	again.Status = corev1.PodStatus{Phase: corev1.PodPending, StartTime: new(metav1.Time),
		InitContainerStatuses: []corev1.ContainerStatus{running("fetch", 20), waiting("proxy")}, ContainerStatuses: []corev1.ContainerStatus{waiting("main")}}
	again.Status.InitContainerStatuses[1].RestartCount = 1
	v.Status = guest.Status(v, again, earlier, at(21).Time)
	s := v.Status
	if s.InitContainerStatuses[0].State.Terminated == nil {
		t.Errorf("the init container runs again: %+v", s.InitContainerStatuses[0])
	}
	if c := s.InitContainerStatuses[1]; c.State.Waiting == nil || c.RestartCount != 3 {
		t.Errorf("sidecar %+v", c)
	}
	if conditionOf(v, corev1.PodInitialized).Status != corev1.ConditionTrue || !s.StartTime.Equal(&started) {
		t.Errorf("%+v", s)
	}
	// It fails this time, and that shows.
	again.Status.Phase, again.Status.InitContainerStatuses[0] = corev1.PodFailed, ended("fetch", 20, 25, 4)
	if s := guest.Status(v, again, earlier, at(26).Time); s.Phase != corev1.PodFailed || s.InitContainerStatuses[0].State.Terminated.ExitCode != 4 {
		t.Errorf("%+v", s)
	}
}

// TestKilledIsNotShown: of a guest that is made to end, v shows what was before.
func TestKilledIsNotShown(t *testing.T) {
	for _, code := range []int32{0, 143} {
		v := job()
		g := of(t, v, 1, guest.Earlier{})
		g.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{running("main", 3)}}
		v.Status = guest.Status(v, g, guest.Earlier{}, start)
		ends, grace := at(40), int64(30)
		g.DeletionTimestamp, g.DeletionGracePeriodSeconds = &ends, &grace
		g.Status.Phase, g.Status.ContainerStatuses[0] = corev1.PodFailed, ended("main", 3, 12, code)
		if code == 0 {
			g.Status.Phase = corev1.PodSucceeded
		}
		s := guest.Status(v, g, guest.Earlier{}, start)
		if s.Phase != corev1.PodRunning || s.ContainerStatuses[0].State.Running == nil || s.ContainerStatuses[0].Ready {
			t.Errorf("exit code %d: %+v", code, s)
		}
		if name, stuck := guest.Stuck(v, g); stuck {
			t.Errorf("exit code %d: container %s stands in the way", code, name)
		}
		v.DeletionTimestamp = &ends
		if s := guest.Status(v, g, guest.Earlier{}, start); s.Phase != corev1.PodFailed || s.ContainerStatuses[0].State.Terminated == nil {
			t.Errorf("v is deleted itself: %+v", s)
		}
	}
}

func TestReadinessGates(t *testing.T) {
	v := job()
	v.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/warm"}}
	g := of(t, v, 1, guest.Earlier{})
	if len(g.Spec.ReadinessGates) > 0 {
		t.Error("nobody would open the guest's gates")
	}
	g.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	v.Status = guest.Status(v, g, guest.Earlier{}, start)
	if c := conditionOf(v, corev1.PodReady); c.Status != corev1.ConditionFalse || c.Reason != "ReadinessGatesNotReady" {
		t.Errorf("Ready %+v", c)
	}
	v.Status.Conditions = append(v.Status.Conditions, corev1.PodCondition{Type: "example.com/warm", Status: corev1.ConditionTrue})
	v.Status = guest.Status(v, g, guest.Earlier{}, start)
	if conditionOf(v, corev1.PodReady).Status != corev1.ConditionTrue || conditionOf(v, "example.com/warm").Status != corev1.ConditionTrue {
		t.Errorf("%+v", v.Status.Conditions)
	}
}

// TestSettled: a status that nothing has changed is the same, so that it is not
// written again.
func TestSettled(t *testing.T) {
	v := staged(corev1.RestartPolicyOnFailure)
	g := of(t, v, 1, guest.Earlier{})
	g.Status = corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{running("main", 3)}}
	v.Status = guest.Status(v, g, guest.Earlier{}, start)
	if again := guest.Status(v, g, guest.Earlier{}, at(99).Time); again.String() != v.Status.String() {
		t.Errorf("%s\n%s", again.String(), v.Status.String())
	}
}

func TestMayRestart(t *testing.T) {
	onFailure := corev1.ContainerRestartPolicyOnFailure
	never := corev1.ContainerRestartPolicyNever
	rules := []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestart,
		ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}}
	v := staged(corev1.RestartPolicyNever)
	v.Spec.Containers = append(v.Spec.Containers, corev1.Container{Name: "own", RestartPolicy: &onFailure}, corev1.Container{Name: "ruled", RestartPolicy: &never, RestartPolicyRules: rules})
	for _, row := range []struct {
		name string
		code int32
		want bool
	}{
		{"main", 0, false}, {"main", 1, false}, {"fetch", 0, false}, {"proxy", 0, true}, {"proxy", 1, true},
		{"own", 0, false}, {"own", 1, true}, {"ruled", 42, true}, {"ruled", 1, false}, {"unknown", 1, false},
	} {
		if guest.MayRestart(v, row.name, row.code) != row.want {
			t.Errorf("%s after %d: want %t", row.name, row.code, row.want)
		}
	}
}

// TestFailedBeforeItStarted: kubectl shows of a pod what its containers wait for, if they
// do, and else that it has failed.
func TestFailedBeforeItStarted(t *testing.T) {
	v := staged(corev1.RestartPolicyNever)
	v.Status = guest.Waiting(v, "Waiting", "asks for a place", at(1).Time)
	why := guest.Failure{Reason: "denied", Message: "nobody would pay"}
	s := guest.Failed(v, nil, guest.Earlier{}, why, at(2).Time)
	for _, c := range slices.Concat(s.InitContainerStatuses, s.ContainerStatuses) {
		if w := c.State.Waiting; w == nil || w.Reason != why.Reason || w.Message != why.Message {
			t.Errorf("%s: %+v", c.Name, c.State)
		}
	}
	g := of(t, v, 1, guest.Earlier{})
	g.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{waiting("main")}}
	seen := g.Status.ContainerStatuses[0].State.Waiting.Reason
	if s := guest.Failed(v, g, guest.Earlier{}, why, at(2).Time); s.ContainerStatuses[0].State.Waiting.Reason != seen {
		t.Errorf("its kubelet's word is lost: %+v", s.ContainerStatuses[0])
	}
}
