package guest_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

func disrupted(reason string, since int) []corev1.PodCondition {
	return []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: "because " + reason, LastTransitionTime: at(since)}}
}

// TestEnded has statuses as kubelets, the scheduler and controllers write them.
func TestEnded(t *testing.T) {
	type statuses = []corev1.ContainerStatus
	for _, row := range []struct {
		name   string
		status corev1.PodStatus
		asked  int // when its deletion was asked for; 0: it was not
		want   guest.Kind
		reason string
	}{
		{name: "not scheduled", status: corev1.PodStatus{Phase: corev1.PodPending}},
		{name: "runs", status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: statuses{running("main", 1)}}},
		{name: "its node does not answer", status: corev1.PodStatus{Phase: corev1.PodRunning, Reason: "NodeLost", ContainerStatuses: statuses{running("main", 1)}}},
		{name: "is being preempted", status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: disrupted("PreemptionByScheduler", 5), ContainerStatuses: statuses{running("main", 1)}}, asked: 5},
		{name: "succeeded", status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: statuses{ended("main", 1, 9, 0)}}, want: guest.Succeeded},
		{name: "failed", status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: statuses{ended("main", 1, 9, 3)}}, want: guest.FailedItself, reason: "Failed"},
		{name: "used more memory than its limit", status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: statuses{ended("main", 1, 9, 137)}}, want: guest.FailedItself, reason: "Failed"},
		{name: "its deadline", status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "DeadlineExceeded", Message: "Pod was active on the node longer than the specified deadline",
			ContainerStatuses: statuses{ended("main", 1, 9, 0)}}, want: guest.DeadlineExceeded, reason: "DeadlineExceeded"},
		{name: "evicted from a node under pressure", status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Conditions: disrupted("TerminationByKubelet", 9),
			ContainerStatuses: statuses{ended("main", 1, 9, 137)}}, want: guest.Disrupted, reason: "Evicted"},
		{name: "wrote more than its own limit", status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: `Usage of EmptyDir volume "x" exceeds the limit "1Mi".`,
			ContainerStatuses: statuses{ended("main", 1, 9, 137)}}, want: guest.FailedItself, reason: "Evicted"},
		{name: "its node was switched off", status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Terminated", Conditions: disrupted("TerminationByKubelet", 9),
			ContainerStatuses: statuses{ended("main", 1, 9, 0)}}, want: guest.Disrupted, reason: "Terminated"},
		{name: "its node was being switched off", status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodeShutdown", Message: "Pod was rejected as the node is shutting down."}, want: guest.Disrupted, reason: "NodeShutdown"},
		{name: "its node had no room", status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfcpu"}, want: guest.Disrupted, reason: "OutOfcpu"},
		{name: "its node cannot do what it asks", status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "SysctlForbidden"}, want: guest.FailedItself, reason: "SysctlForbidden"},
		{name: "gave way to a critical pod", status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Preempting", Conditions: disrupted("TerminationByKubelet", 9),
			ContainerStatuses: statuses{ended("main", 1, 9, 137)}}, want: guest.Disrupted, reason: "Preempting"},
		{name: "preempted", status: corev1.PodStatus{Phase: corev1.PodFailed, Conditions: disrupted("PreemptionByScheduler", 5), ContainerStatuses: statuses{ended("main", 1, 9, 143)}}, asked: 5, want: guest.Disrupted, reason: "PreemptionByScheduler"},
		{name: "preempted, and exits with 0", status: corev1.PodStatus{Phase: corev1.PodSucceeded, Conditions: disrupted("PreemptionByScheduler", 5), ContainerStatuses: statuses{ended("main", 1, 9, 0)}}, asked: 5, want: guest.Disrupted, reason: "PreemptionByScheduler"},
		{name: "its node is no more", status: corev1.PodStatus{Phase: corev1.PodFailed, Conditions: disrupted("DeletionByPodGC", 9), ContainerStatuses: statuses{running("main", 1)}}, asked: 5, want: guest.Disrupted, reason: "DeletionByPodGC"},
		{name: "deleted by hand", status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: statuses{ended("main", 1, 9, 143)}}, asked: 5, want: guest.Disrupted, reason: "GuestDeleted"},
		{name: "deleted by hand, and exits with 0", status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: statuses{ended("main", 1, 9, 0)}}, asked: 5, want: guest.Disrupted, reason: "GuestDeleted"},
		{name: "ended in the second of its deletion", status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: statuses{ended("main", 1, 5, 0)}}, asked: 5, want: guest.Disrupted, reason: "GuestDeleted"},
		{name: "deleted before it was begun", status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: statuses{{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown"}}}}}, asked: 5, want: guest.Disrupted, reason: "GuestDeleted"},
		{name: "deleted after it had succeeded", status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: statuses{ended("main", 1, 4, 0)}}, asked: 5, want: guest.Succeeded},
		{name: "deleted after it had failed", status: corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: statuses{ended("main", 1, 4, 2)}}, asked: 5, want: guest.FailedItself, reason: "Failed"},
		{name: "one container had succeeded when it was deleted", status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: statuses{ended("main", 1, 4, 0), ended("more", 1, 7, 0)}}, asked: 5, want: guest.Disrupted, reason: "GuestDeleted"},
		{name: "its init container failed", status: corev1.PodStatus{Phase: corev1.PodFailed, InitContainerStatuses: statuses{ended("init", 1, 2, 1)}, ContainerStatuses: statuses{waiting("main")}}, want: guest.FailedItself, reason: "Failed"},
		{name: "its init container had failed when it was deleted", status: corev1.PodStatus{Phase: corev1.PodFailed, InitContainerStatuses: statuses{ended("init", 1, 2, 1)}, ContainerStatuses: statuses{waiting("main")}}, asked: 5, want: guest.FailedItself, reason: "Failed"},
		{name: "its init container was killed", status: corev1.PodStatus{Phase: corev1.PodFailed, InitContainerStatuses: statuses{ended("init", 1, 9, 143)}, ContainerStatuses: statuses{waiting("main")}}, asked: 5, want: guest.Disrupted, reason: "GuestDeleted"},
	} {
		g := &corev1.Pod{Status: row.status}
		if row.asked > 0 {
			ends, grace := at(row.asked+30), int64(30)
			g.DeletionTimestamp, g.DeletionGracePeriodSeconds = &ends, &grace
		}
		if got := guest.Ended(g); got.Kind != row.want || got.Reason != row.reason {
			t.Errorf("%s: %s (%s), want %s (%s)", row.name, got.Kind, got.Reason, row.want, row.reason)
		}
	}
}

func waiting(name string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}}
}

func TestRan(t *testing.T) {
	g := &corev1.Pod{Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{ended("init", 1, 2, 0)}, ContainerStatuses: []corev1.ContainerStatus{ended("a", 3, 9, 0), ended("b", 3, 12, 0), waiting("c")}}}
	if from, to := guest.Ran(g); from != at(1).Time || to != at(12).Time {
		t.Errorf("ran from %s to %s", from, to)
	}
	if from, to := guest.Ran(&corev1.Pod{}); !from.IsZero() || !to.IsZero() {
		t.Errorf("what never ran, ran from %s to %s", from, to)
	}
}

// TestEndedByItsLastDeletion has a kubelet that has ended a guest remove it, whereupon the
// API server says that its deletion was asked for just then.
func TestEndedByItsLastDeletion(t *testing.T) {
	end := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	removed := metav1.NewTime(end.Add(5 * time.Second))
	for _, c := range []struct {
		name     string
		observed int64 // the generation that the kubelet had seen; a deletion makes it 2
		want     guest.Kind
	}{
		{"ended, then deleted", 1, guest.Succeeded},
		{"told to go, and ended", 2, guest.Disrupted},
	} {
		g := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Generation: 2, DeletionTimestamp: &removed, DeletionGracePeriodSeconds: new(int64(0))}}
		g.Status = corev1.PodStatus{Phase: corev1.PodSucceeded, ObservedGeneration: c.observed, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: end, FinishedAt: end}},
		}}}
		if got := guest.Ended(g); got.Kind != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
