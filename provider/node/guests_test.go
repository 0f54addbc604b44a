package node

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/gate"
	"github.com/spillway-dev/spillway/provider/guest"
)

func guestOf(uid, attempt string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "night-1-" + attempt,
		Labels: map[string]string{guest.LabelOf: uid, guest.LabelNode: "node"}, Annotations: map[string]string{guest.AnnotationAttempt: attempt}}}
}

// TestLast: the latest guest that was seen to go is remembered, and whoever changes or
// goes, its pod is looked at.
func TestLast(t *testing.T) {
	c := coursesOf(holds{})
	defer c.queue.ShutDown()
	stranger := guestOf("b", "1")
	stranger.Labels[guest.LabelNode] = "elsewhere"
	second := guestOf("a", "2")
	c.guest(second, true)
	c.guest(guestOf("a", "1"), true)
	c.guest(guestOf("a", "3"), false)
	c.guest(stranger, true)
	c.guest(&corev1.Pod{}, true)
	if c.known["a"].last != second || len(c.known) != 1 || c.queue.Len() != 1 {
		t.Errorf("%+v, %d pods looked at", c.known, c.queue.Len())
	}
}

// TestOwnersTakenAway: a guest is not taken for that of a pod that is gone since somebody
// has taken its owners away.
func TestOwnersTakenAway(t *testing.T) {
	c := coursesOf(holds{})
	defer c.queue.ShutDown()
	known := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	if err := known.Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "night-1", UID: "a"}}); err != nil {
		t.Fatal(err)
	}
	c.virtual = corelisters.NewPodLister(known)
	for uid, want := range map[string]string{"a": "night-1", "b": ""} {
		if v := c.of(guestOf(uid, "1")); v.Name != want || v.Namespace != "shop" || string(v.uid) != uid {
			t.Errorf("%v", v)
		}
	}
}

// TestBegun: what another process may have begun counts as begun, and what this one has
// asked for itself does not.
func TestBegun(t *testing.T) {
	for _, row := range []struct {
		ask          course.Ask
		answer, want int
	}{{course.Ask{Attempt: 2}, 2, 0}, {course.Ask{Attempt: 2, Begun: true}, 2, 2}, {course.Ask{Attempt: 2}, 4, 4}} {
		c := coursesOf(holds{answer: gate.Answer{State: gate.Admitted, Attempt: row.answer}})
		if err := c.ask(t.Context(), virtual{uid: "a"}, row.ask, time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := c.known["a"].begun; got != row.want {
			t.Errorf("%+v: begun %d", row, got)
		}
		c.queue.ShutDown()
	}
	c := coursesOf(holds{open: []gate.Held{{UID: "a", Answer: gate.Answer{State: gate.Admitted, Attempt: 3}}}})
	defer c.queue.ShutDown()
	if err := c.resume(t.Context()); err != nil || c.known["a"].begun != 3 {
		t.Errorf("%+v, %v", c.known["a"], err)
	}
}
