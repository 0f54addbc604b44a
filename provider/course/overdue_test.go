package course_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/course"
)

// TestOverdueIsLookedAt: a kubelet that does not end a guest in time, as one that was never
// told of a limit that was set while it ran, tells nobody to look.
func TestOverdueIsLookedAt(t *testing.T) {
	w := newWorld(jobPod(corev1.RestartPolicyNever, 0, 1))
	w.says = course.Answer{State: course.Admitted, Pool: "night"}
	w.follow(t)
	w.schedule(w.live())
	w.run(w.live())
	w.follow(t)
	limit := int64(60)
	w.pod.Spec.ActiveDeadlineSeconds = &limit
	w.sync()
	for range 3 {
		s := course.Next(w.facts(false), w.now)
		if len(s.Delete) == 1 {
			return
		}
		if s.Again.IsZero() || s.Again.Sub(w.now) > 2*time.Minute {
			t.Fatalf("at %s it is looked at again at %s", w.now, s.Again)
		}
		w.now = s.Again
	}
	t.Errorf("by %s the guest is not ended", w.now)
}
