package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

// played is the node beside the real one, which kwok plays.
const played = "played-0"

// TestNodeMoves has guests give way on one node and go on at once on another: a real
// kubelet's, and one that is played.
func TestNodeMoves(t *testing.T) {
	w := newWorld(t)
	must(t, w.Nodes(t.Context(), 4, played))
	w.serve()
	w.approve()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"online work takes a real node's room", fromReal},
		{"online work takes a played node's room", fromPlayed},
		{"a node is drained", fromDrained},
	} {
		t.Run(test.name, func(t *testing.T) {
			of := *w
			of.t = t
			test.run(t, &of)
		})
	}
}

// fromReal: the process on the real node is told to go, and the pod succeeds by a guest
// on the played one.
func fromReal(t *testing.T, w *world) {
	w.only(kubetest.Node)
	j := sized("leaves-real", 400, "sleep=1h")
	j.Spec.Template.Annotations = map[string]string{"kwok.x-k8s.io/runs-for": "2s"}
	w.create(j)
	v, g := w.running("leaves-real")
	w.on(g, kubetest.Node)
	w.kubectl("uncordon", played)
	w.offers(4000)
	w.fills(kubetest.Node, w.free()-20)
	w.movedTo(v, played, "Reclaimed")
	w.unharmed(v, "leaves-real")
	w.away("fills-" + kubetest.Node)
}

// fromPlayed: the other way, and the work is done by a real process.
func fromPlayed(t *testing.T, w *world) {
	w.only(played)
	w.create(sized("leaves-played", 400, "sleep=2s", "print=done"))
	v, g := w.running("leaves-played")
	w.on(g, played)
	w.kubectl("uncordon", kubetest.Node)
	w.offers(3600 + 900)
	w.fills(played, 4000-400-10)
	w.movedTo(v, kubetest.Node, "Reclaimed")
	w.unharmed(v, "leaves-played")
	if got := w.kubectl("-n", "night", "logs", v.Name); got != "done\n" {
		t.Errorf("logs say %q", got)
	}
	w.away("fills-" + played)
}

// fromDrained: an eviction moves a guest off a node that takes no new ones.
func fromDrained(_ *testing.T, w *world) {
	w.only(played)
	w.create(sized("drained", 400, "sleep=2s", "print=done"))
	v, g := w.running("drained")
	w.on(g, played)
	w.kubectl("uncordon", kubetest.Node)
	w.offers(900)
	w.kubectl("drain", played, "--force", "--ignore-daemonsets", "--timeout=300s")
	w.movedTo(v, kubetest.Node, "EvictionByEvictionAPI")
	w.unharmed(v, "drained")
	w.kubectl("uncordon", played)
}

// only has new guests go to one of the two nodes.
func (w *world) only(node string) {
	w.t.Helper()
	for _, n := range []string{kubetest.Node, played} {
		if n != node {
			w.kubectl("cordon", n)
		}
	}
	w.kubectl("uncordon", node)
	w.offers(900)
}

func (w *world) on(g *corev1.Pod, node string) {
	w.t.Helper()
	if g.Spec.NodeName != node {
		w.t.Fatalf("guest %s is on %s, not on %s", g.Name, g.Spec.NodeName, node)
	}
}

// fills makes an online pod that only one node may take.
func (w *world) fills(node string, milli int64) {
	w.t.Helper()
	w.onlineOn(node, "fills-"+node, milli)
}

// movedTo waits until a pod has its second guest, on another node, and says why.
func (w *world) movedTo(v *corev1.Pod, node, reason string) {
	w.t.Helper()
	w.until("the pod goes on on "+node, func() error {
		for _, g := range w.guests(v) {
			if g.Spec.NodeName == node && g.Annotations["spillway.dev/guest-attempt"] == "2" {
				return nil
			}
		}
		return errorf("%d guests", len(w.guests(v)))
	})
	if reason == "" {
		return
	}
	w.until("the first attempt is told of", func() error {
		w.gate.mu.Lock()
		defer w.gate.mu.Unlock()
		ends := w.gate.ends[string(v.UID)]
		if len(ends) == 0 {
			return errorf("nothing is told")
		}
		if e := ends[0]; e.Class != "executed" || e.Reason != reason || e.Failed {
			w.t.Errorf("it ended %+v, want %s", e, reason)
		}
		return nil
	})
}

func (w *world) onlineOn(node, name string, milli int64) {
	w.t.Helper()
	p := onlinePod(name, milli)
	p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	_, err := w.client.CoreV1().Pods("default").Create(w.t.Context(), p, metav1.CreateOptions{})
	must(w.t, err)
}
