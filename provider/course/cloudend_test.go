package course_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/course"
)

// TestEndInCloud: what a pod shows of a run in a cloud is proof of it once the cloud has
// said how it ended, and not while it may be a guess; also when the end is told again.
func TestEndInCloud(t *testing.T) {
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		reason string // of the pod's status
		want   course.Class
	}{{"", course.ClassExecuted}, {"DeadlineExceeded", course.ClassUnknown}, {"OutcomeUnknown", course.ClassUnknown}} {
		p := jobPod(corev1.RestartPolicyNever, 0, 1)
		p.Spec.NodeName = node
		p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: row.reason,
			Conditions: []corev1.PodCondition{{Type: course.Condition, Status: corev1.ConditionTrue, Reason: "Cloud1"}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "c0", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 1, StartedAt: metav1.NewTime(began), FinishedAt: metav1.NewTime(began.Add(time.Minute))}}}}}
		step := course.Next(course.Facts{Node: node, Pod: p, Live: true, Answer: &course.Answer{Attempt: 1, State: course.Cloud}}, began.Add(time.Hour))
		if step.End == nil || step.End.Class != row.want || !step.End.Started.Equal(began) {
			t.Errorf("%q: the end is told as %+v, want %s", row.reason, step.End, row.want)
		}
	}
}
