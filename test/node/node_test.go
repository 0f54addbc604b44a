package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNode is the path of Jobs on idle capacity.
func TestNode(t *testing.T) {
	w := newWorld(t)
	w.serve()
	w.approve()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"a Job completes", completes},
		{"a Job fails by itself", failsByItself},
		{"a guest deleted by hand", deletedByHand},
		{"the node is killed", killed},
	} {
		t.Run(test.name, func(t *testing.T) {
			of := *w
			of.t = t
			test.run(t, &of)
			w.node, w.stopped, w.output = of.node, of.stopped, of.output
		})
	}
}

func completes(t *testing.T, w *world) {
	w.create(job("report", "print=hello", "sleep=1s", "print=done"))
	if how, j := w.ended("report"); how != "Complete" || j.Status.Succeeded != 1 || j.Status.Failed != 0 {
		t.Errorf("%s: %+v", how, j.Status)
	}
	p := w.podOf("report")
	if p.Spec.NodeName != name || p.Status.Phase != corev1.PodSucceeded {
		t.Errorf("on %s: %s", p.Spec.NodeName, p.Status.Phase)
	}
	if got := w.kubectl("-n", "night", "logs", p.Name); got != "hello\ndone\n" {
		t.Errorf("logs say %q", got)
	}
	w.until("its end is told once", func() error { return same(w.gate.told(string(p.UID)), "executed Completed") })
}

func failsByItself(t *testing.T, w *world) {
	w.create(job("broken", "warn=no", "exit=3"))
	if how, j := w.ended("broken"); how != "Failed" || j.Status.Failed != 1 {
		t.Errorf("%s: %+v", how, j.Status)
	}
	p := w.podOf("broken")
	if end := p.Status.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 3 {
		t.Errorf("%+v", p.Status.ContainerStatuses)
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.DisruptionTarget {
			t.Errorf("its own failure shows as a disruption: %+v", c)
		}
	}
}

// deletedByHand: the pod goes on with another guest, and the Job counts no failure.
func deletedByHand(t *testing.T, w *world) {
	l := w.latch()
	w.create(job("moved", l.hold, "print=done"))
	v, g := w.running("moved")
	if err := w.client.CoreV1().Pods("night").Delete(t.Context(), g.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.left(g)
	l.open()
	how, j := w.ended("moved")
	if how != "Complete" || j.Status.Failed != 0 {
		t.Errorf("%s: %+v", how, j.Status)
	}
	if p := w.podOf("moved"); p.UID != v.UID {
		t.Error("it has another pod")
	}
	w.until("both ends are told", func() error { return same(w.gate.told(string(v.UID)), "executed GuestDeleted, executed Completed") })
	w.says(v, "looks for another place")
}

// killed: guests run on without the node, and nothing is run twice.
func killed(t *testing.T, w *world) {
	l := w.latch()
	w.create(job("survivor", l.hold, "print=once"))
	v, g := w.running("survivor")
	w.kill()
	w.serve()
	l.open()
	if how, j := w.ended("survivor"); how != "Complete" || j.Status.Succeeded != 1 || j.Status.Failed != 0 {
		t.Errorf("%s: %+v", how, j.Status)
	}
	if after := w.guests(v); len(after) != 1 || after[0].UID != g.UID {
		t.Errorf("it had guest %s, and has %d", g.Name, len(after))
	}
	w.until("its end is told once", func() error { return same(w.gate.told(string(v.UID)), "executed Completed") })
}

func same(got, want string) error {
	if got != want {
		return errorf("%q, want %q", got, want)
	}
	return nil
}
