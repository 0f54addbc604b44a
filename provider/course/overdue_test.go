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
			if !s.Delete[0].AsSeen {
				t.Error("it is deleted as whatever it is by then")
			}
			return
		}
		if s.Again.IsZero() || s.Again.Sub(w.now) > 2*time.Minute {
			t.Fatalf("at %s it is looked at again at %s", w.now, s.Again)
		}
		w.now = s.Again
	}
	t.Errorf("by %s the guest is not ended", w.now)
}

// TestOverdueHasItsGrace: a kubelet that ends a guest at its deadline lets it use its grace,
// and shows it as running meanwhile.
func TestOverdueHasItsGrace(t *testing.T) {
	for name, c := range map[string]struct {
		grace *int64
		until time.Duration
	}{"long": {new(int64(300)), 390 * time.Second}, "none": {new(int64(0)), 90 * time.Second}, "by default": {nil, 2 * time.Minute}} {
		t.Run(name, func(t *testing.T) {
			p := jobPod(corev1.RestartPolicyNever, 0, 1)
			p.Spec.ActiveDeadlineSeconds, p.Spec.TerminationGracePeriodSeconds = new(int64(60)), c.grace
			w := newWorld(p)
			w.says = course.Answer{State: course.Admitted, Pool: "night"}
			w.follow(t)
			w.schedule(w.live())
			w.run(w.live())
			w.follow(t)
			until := w.pod.Status.StartTime.Add(c.until)
			w.now = until.Add(-time.Nanosecond)
			if s := course.Next(w.facts(false), w.now); len(s.Delete) > 0 || !s.Again.Equal(until) {
				t.Errorf("within its grace: deleted %v, looked at again at %s, want at %s", s.Delete, s.Again, until)
			}
			if s := course.Next(w.facts(false), until); len(s.Delete) != 1 || !s.Delete[0].AsSeen {
				t.Errorf("after its grace: deleted %v", s.Delete)
			}
		})
	}
}
