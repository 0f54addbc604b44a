package course

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func FuzzRecord(f *testing.F) {
	for _, reason := range []string{"Attempt1", "Cloud2", "Attempt0", "Attempt-1", "Attempt99999999999999999999", "CloudAttempt3", ""} {
		f.Add(reason)
	}
	f.Fuzz(func(t *testing.T, reason string) {
		v := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: Condition, Status: corev1.ConditionTrue, Reason: reason}}}}
		r := recordOf(v)
		if r.attempt < 0 || r.attempt == 0 && r != (record{}) {
			t.Fatalf("%q is read as %+v", reason, r)
		}
		if r.attempt == 0 {
			return
		}
		var s corev1.PodStatus
		r.in(&s, "", time.Time{})
		if again := recordOf(&corev1.Pod{Status: s}); again != r {
			t.Errorf("%+v is written and read as %+v", r, again)
		}
	})
}
