package course_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/guest"
)

// TestGoneInACache: a guest is not ended since a cache does not show its pod, which may be
// behind that of guests; it is when the API server has none.
func TestGoneInACache(t *testing.T) {
	g := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "night-1", Namespace: "shop", UID: "g",
		Labels: map[string]string{guest.LabelOf: "a", guest.LabelNode: "node"}, Annotations: map[string]string{guest.AnnotationAttempt: "1"}}}
	g.Status.Phase = corev1.PodRunning
	f := course.Facts{Node: "node", Guests: []*corev1.Pod{g}}
	if s := course.Next(f, time.Now()); !s.Look || len(s.Delete) > 0 || s.End != nil {
		t.Errorf("by a cache: %+v", s)
	}
	f.Live = true
	if s := course.Next(f, time.Now()); s.Look || len(s.Delete) != 1 {
		t.Errorf("by the API server: %+v", s)
	}
}
