package course_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/guest"
)

// TestBurstFunctionGone: what a cloud runs goes on when its pod names no burst function any
// more, or one that cannot be read, also for a process that was started anew; nothing runs
// in its place.
func TestBurstFunctionGone(t *testing.T) {
	for name, now := range map[string]func(map[string]string){
		"taken away": func(a map[string]string) { delete(a, guest.AnnotationBurst) },
		"unreadable": func(a map[string]string) { a[guest.AnnotationBurst] = "No Such" },
		"another":    func(a map[string]string) { a[guest.AnnotationBurst] = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			w := cloudly()
			w.follow(t)
			if len(w.sent) != 1 {
				t.Fatalf("%d runs: %s", len(w.sent), w.log)
			}
			now(w.pod.Annotations)
			w.touch(w.pod)
			w.says = course.Answer{State: course.Admitted, Pool: "night"}
			w.restart()
			w.follow(t)
			if len(w.sent) != 1 || len(w.ends) != 0 || len(w.guests) != 0 || len(w.broken) > 0 {
				t.Fatalf("%d runs, ends %v, %d guests, %v: %s", len(w.sent), w.ends, len(w.guests), w.broken, w.log)
			}
			w.now = w.now.Add(time.Minute)
			for _, run := range w.sent {
				run.State, run.Ended = course.Executed, w.now
				ended := *run
				w.cloud = &ended
			}
			w.follow(t)
			if w.pod.Status.Phase != corev1.PodSucceeded || len(w.ends) != 1 {
				t.Errorf("%s, ends %v", line(w.pod.Status), w.ends)
			}
		})
	}
}

// TestBurstFunctionGoneBefore: what was sent to no cloud goes to none without a function.
func TestBurstFunctionGoneBefore(t *testing.T) {
	w := cloudly()
	for range 10 { // all but the sending
		w.step(func(part string) bool { return part == "invoke" })
		w.sync()
	}
	delete(w.pod.Annotations, guest.AnnotationBurst)
	w.touch(w.pod)
	w.says = course.Answer{State: course.Admitted, Pool: "night"}
	w.restart()
	w.follow(t)
	w.now = w.now.Add(time.Hour)
	w.follow(t)
	if len(w.sent) != 0 || w.ends[1][0].Class != course.ClassNotExecuted || w.live() == nil || len(w.broken) > 0 {
		t.Errorf("%d runs, ends %v, %v: %s", len(w.sent), w.ends, w.broken, w.log)
	}
}

// cloudly is a world whose pod goes to a cloud.
func cloudly() *world {
	p := jobPod(corev1.RestartPolicyNever, 0, 1)
	p.Spec.NodeName = node
	p.Annotations = map[string]string{guest.AnnotationBurst: "crunch"}
	w := newWorld(p)
	w.says = course.Answer{State: course.Cloud, Pool: "lambda"}
	return w
}
