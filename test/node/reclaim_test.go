package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

// TestNodeReclaim has online work take the room of guests, and real nodes go.
func TestNodeReclaim(t *testing.T) {
	w := newWorld(t)
	w.serve()
	seen := w.watched(t.Context())
	for _, test := range []struct {
		name string
		run  func(*testing.T, *world, *trail)
	}{
		{"online work takes the room", takesRoom},
		{"online work takes the margin", takesMargin},
		{"a pod that cannot go on", cannotGoOn},
		{"a node is cordoned", cordoned},
		{"a node goes, and a kubelet stops", nodesGo},
		{"start and takeover", takeover},
	} {
		t.Run(test.name, func(t *testing.T) {
			of := *w
			of.t = t
			test.run(t, &of, seen)
			w.node, w.stopped, w.output = of.node, of.stopped, of.output
		})
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.lies) > 0 {
		t.Errorf("the node said less without its taint: %s", seen.lies)
	}
}

// sized is a Job whose pod asks for so many thousandths of a core.
func sized(name string, milli int64, args ...string) *batchv1.Job {
	j := job(name, args...)
	j.Spec.Template.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = *resource.NewMilliQuantity(milli, resource.DecimalSI)
	return j
}

// online makes a pod of somebody who comes first.
func (w *world) online(name string, milli int64) {
	w.t.Helper()
	_, err := w.client.CoreV1().Pods("default").Create(w.t.Context(), onlinePod(name, milli), metav1.CreateOptions{})
	must(w.t, err)
}

func onlinePod(name string, milli int64) *corev1.Pod {
	c := container("sleep=1h")
	c.Resources.Requests[corev1.ResourceCPU] = *resource.NewMilliQuantity(milli, resource.DecimalSI)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{c}, TerminationGracePeriodSeconds: new(int64(0))},
	}
}

func (w *world) away(name string) {
	w.t.Helper()
	must(w.t, w.client.CoreV1().Pods("default").Delete(w.t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}))
}

// allocatable is what the real node has, in thousandths of a core.
func (w *world) allocatable() int64 {
	w.t.Helper()
	n, err := w.client.CoreV1().Nodes().Get(w.t.Context(), kubetest.Node, metav1.GetOptions{})
	must(w.t, err)
	return n.Status.Allocatable.Cpu().MilliValue()
}

// free is what no pod of the real node has asked for, in thousandths of a core.
func (w *world) free() int64 {
	w.t.Helper()
	left := w.allocatable()
	pods, err := w.client.CoreV1().Pods("").List(w.t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + kubetest.Node})
	must(w.t, err)
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		for j := range p.Spec.Containers {
			left -= p.Spec.Containers[j].Resources.Requests.Cpu().MilliValue()
		}
	}
	return left
}

// offers waits until the virtual node offers so much.
func (w *world) offers(milli int64) {
	w.t.Helper()
	w.until(fmt.Sprintf("the node offers %dm", milli), func() error {
		n, err := w.client.CoreV1().Nodes().Get(w.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if has := n.Status.Allocatable.Cpu().MilliValue(); has < milli || tainted(n) {
			return errorf("%dm, taints %v", has, n.Spec.Taints)
		}
		return nil
	})
}

// events are those of a pod, as kubectl prints them.
func (w *world) events(p *corev1.Pod) string {
	w.t.Helper()
	return w.kubectl("-n", p.Namespace, "get", "events", "--field-selector=involvedObject.name="+p.Name)
}

func (w *world) says(p *corev1.Pod, word string) {
	w.t.Helper()
	w.until("an event says "+word, func() error {
		if events := w.events(p); !strings.Contains(events, word) {
			return errorf("%s", events)
		}
		return nil
	})
}

// unharmed has a Job complete without a failure, by the pod it began with.
func (w *world) unharmed(v *corev1.Pod, job string) {
	w.t.Helper()
	how, j := w.ended(job)
	if how != "Complete" || j.Status.Failed != 0 {
		w.t.Errorf("Job %s: %s, %+v", job, how, j.Status)
	}
	if p := w.podOf(job); p.UID != v.UID {
		w.t.Errorf("Job %s has another pod", job)
	}
}

// takesRoom: the scheduler makes room, guests wait and begin again.
func takesRoom(t *testing.T, w *world, seen *trail) {
	w.offers(900)
	l := w.latch()
	w.create(sized("first", 400, l.hold, "print=done"))
	w.create(sized("second", 400, l.hold, "print=done"))
	v1, g1 := w.running("first")
	v2, g2 := w.running("second")
	w.online("rush", w.free()+800)
	w.until("both wait", func() error {
		for _, g := range []*corev1.Pod{g1, g2} {
			if _, gone := seen.between(seen.deleted, g.Name, seen.over, g.Name); !gone {
				return errorf("%s is there", g.Name)
			}
		}
		return nil
	})
	w.until("rush is bound", func() error {
		p, err := w.client.CoreV1().Pods("default").Get(t.Context(), "rush", metav1.GetOptions{})
		if err == nil && p.Spec.NodeName == "" {
			err = errorf("not bound")
		}
		return err
	})
	for _, v := range []*corev1.Pod{v1, v2} {
		if p, err := w.client.CoreV1().Pods("night").Get(t.Context(), v.Name, metav1.GetOptions{}); err != nil || p.Status.Phase == corev1.PodFailed {
			t.Errorf("%s: %v, %s", v.Name, err, p.Status.Phase)
		}
		w.says(v, "looks for another place")
	}
	w.away("rush")
	l.open()
	w.unharmed(v1, "first")
	w.unharmed(v2, "second")
	w.until("the dispatcher is told why", func() error {
		if told := w.gate.told(string(v1.UID)); !strings.HasPrefix(told, "executed Preempt") {
			return errorf("told %q", told)
		}
		return nil
	})
}

// takesMargin: the scheduler has room, and the node asks back what is too little.
func takesMargin(t *testing.T, w *world, seen *trail) {
	w.offers(900)
	l := w.latch()
	w.create(sized("large", 500, l.hold, "print=done"))
	v, g := w.running("large")
	w.online("creep", w.free()-20)
	w.until("the guest is asked to go", func() error {
		if _, ok := seen.between(seen.bound, "creep", seen.deleted, g.Name); !ok {
			return errorf("it stays")
		}
		return nil
	})
	w.until("it has gone", func() error {
		if _, ok := seen.between(seen.deleted, g.Name, seen.over, g.Name); !ok {
			return errorf("it stays")
		}
		return nil
	})
	asked, _ := seen.between(seen.bound, "creep", seen.deleted, g.Name)
	usable, _ := seen.between(seen.deleted, g.Name, seen.over, g.Name)
	t.Logf("pressure until the guest is asked to go: %s; until its room is usable: %s, with a grace of 3 s", asked.Round(time.Millisecond), usable.Round(time.Millisecond))
	w.says(v, "Reclaimed")
	w.until("the dispatcher is told why", func() error {
		// An attempt that finds no room while the other pod is there is given back.
		told := w.gate.told(string(v.UID))
		if rest, ok := strings.CutPrefix(told, "executed Reclaimed"); !ok || strings.ReplaceAll(rest, ", not_executed NoRoom", "") != "" {
			return errorf("told %q", told)
		}
		return nil
	})
	w.away("creep")
	l.open()
	w.unharmed(v, "large")
}

// cannotGoOn: a container has ended for good, so that the pod fails as disrupted, and
// its Job does not count it.
func cannotGoOn(t *testing.T, w *world, seen *trail) {
	w.offers(900)
	l := w.latch()
	j := sized("halves", 500, l.hold, "print=done")
	quick := container("print=half")
	quick.Name = "quick"
	j.Spec.Template.Spec.Containers = append(j.Spec.Template.Spec.Containers, quick)
	j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
		Action:          batchv1.PodFailurePolicyActionIgnore,
		OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
	}}}
	w.create(j)
	v, g := w.running("halves")
	w.until("one half is done", func() error {
		p, err := w.client.CoreV1().Pods("night").Get(t.Context(), v.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range p.Status.ContainerStatuses {
			if c.Name == "quick" && c.State.Terminated != nil {
				return nil
			}
		}
		return errorf("%+v", p.Status.ContainerStatuses)
	})
	w.online("creep", w.free()-20)
	w.until("it fails as disrupted", func() error {
		p, err := w.client.CoreV1().Pods("night").Get(t.Context(), v.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && p.Status.Phase == corev1.PodFailed {
				if c.Reason != "Reclaimed" {
					t.Errorf("for reason %s", c.Reason)
				}
				return nil
			}
		}
		return errorf("%s of guest %s: %+v", p.Status.Phase, g.Name, p.Status.Conditions)
	})
	w.away("creep")
	l.open()
	if how, j := w.ended("halves"); how != "Complete" || j.Status.Failed != 0 {
		t.Errorf("%s: %+v", how, j.Status)
	}
}

// cordoned: a guest goes on where it is, and nobody new comes.
func cordoned(t *testing.T, w *world, _ *trail) {
	w.offers(100)
	l := w.latch()
	w.create(job("stays", l.hold, "print=done"))
	v, g := w.running("stays")
	w.kubectl("cordon", kubetest.Node)
	w.says(v, "NodeCordoned")
	w.create(job("later", "print=done"))
	l.open()
	w.unharmed(v, "stays")
	if left := w.guests(v); len(left) != 1 || left[0].UID != g.UID {
		t.Errorf("%d guests", len(left))
	}
	if p := w.podOf("later"); p.Status.Phase != corev1.PodPending {
		t.Errorf("another is %s although no node takes guests", p.Status.Phase)
	}
	w.kubectl("uncordon", kubetest.Node)
	w.unharmed(w.podOf("later"), "later")
}
