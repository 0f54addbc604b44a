package node

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/spillway-dev/spillway/provider/guest"
	"github.com/spillway-dev/spillway/provider/idle"
)

// worldOf is a room over caches that the test fills, with real nodes of four cores.
func worldOf(t *testing.T, nodes ...string) (*room, *watched) {
	t.Helper()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: "https://127.0.0.1:1"}) // never asked
	mustBe(t, err)
	w, err := watch(client, "spillway-offline")
	mustBe(t, err)
	estimate, err := idle.New(idle.Defaults())
	mustBe(t, err)
	o := Options{Identity: Identity{Name: "spillway-offline"}, Eligible: labels.Everything(), Log: slog.New(slog.DiscardHandler)}
	r := newRoom(o, w, estimate, func(Room) {}, func(idle.Choice) {})
	for _, name := range nodes {
		r.setNode(nodeOfFour(name))
	}
	r.look()
	return r, w
}

func nodeOfFour(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{
		Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("16Gi"), corev1.ResourcePods: resource.MustParse("110"), corev1.ResourceEphemeralStorage: resource.MustParse("100Gi")},
		Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
	}}
}

func asking(cpu string) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}}}}
}

// hostedOf is a guest of the virtual pod of that name, and asks for two cores.
func hostedOf(name string) *corev1.Pod {
	g := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name + "-guest", Namespace: "shop", UID: types.UID(name),
		Labels:          map[string]string{guest.LabelOf: "1", guest.LabelNode: "spillway-offline"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Pod", Name: name, UID: "1"}},
	}, Spec: asking("2")}
	g.Spec.PriorityClassName = guest.PriorityClass
	return g
}

// TestPlaceKeeps: room is promised once, before the guest is there as after; and again
// when none was made.
func TestPlaceKeeps(t *testing.T) {
	r, w := worldOf(t, "one", "two")
	first, second, third := hostedOf("first"), hostedOf("second"), hostedOf("third")
	on := map[string]bool{}
	for _, g := range []*corev1.Pod{first, second} {
		node, err := r.place(g)
		mustBe(t, err)
		on[node] = true
	}
	if !on["one"] || !on["two"] {
		t.Errorf("two guests of two cores are both sent to a node of four less a margin: %v", on)
	}
	if node, err := r.place(third); !errors.Is(err, errNoRoomNow) {
		t.Errorf("a third is sent to %q, %v", node, err)
	}
	mustBe(t, w.own.Core().V1().Pods().Informer().GetIndexer().Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "first", Namespace: "shop", UID: "1"}}))
	pin(first, "one")
	r.setPod(first) // what was kept for it is its own now
	if err := r.may(third); !errors.Is(err, errNoRoomNow) {
		t.Errorf("there is room beside the guest that was made: %v", err)
	}
	r.release(second)
	if _, err := r.place(third); err != nil {
		t.Errorf("what was given back is lost: %v", err)
	}
}

// TestGuestBeforeItsPod: a guest of which is heard before its virtual pod is a guest all
// the same, and no online work.
func TestGuestBeforeItsPod(t *testing.T) {
	r, w := worldOf(t, "one")
	g := hostedOf("night")
	g.Spec.NodeName = "one"
	mustBe(t, w.cluster.Core().V1().Pods().Informer().GetIndexer().Add(g))
	r.setPod(g)
	v := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "night", Namespace: "shop", UID: "1"}}
	mustBe(t, w.own.Core().V1().Pods().Informer().GetIndexer().Add(v))
	r.setGuests(v)
	r.look()
	if r.last.Guests.MilliCPU != 2000 || r.last.Online.MilliCPU != 0 || len(r.guests) != 1 {
		t.Errorf("guests hold %dm and online work %dm; %d may be reclaimed", r.last.Guests.MilliCPU, r.last.Online.MilliCPU, len(r.guests))
	}
}

// TestSettle: a guest that ended while it was looked up holds nothing.
func TestSettle(t *testing.T) {
	r, w := worldOf(t, "one")
	own, all := w.own.Core().V1().Pods().Informer().GetIndexer(), w.cluster.Core().V1().Pods().Informer().GetIndexer()
	mustBe(t, own.Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "night", Namespace: "shop", UID: "1"}}))
	g := hostedOf("night")
	g.Spec.NodeName = "one"
	ended := g.DeepCopy()
	ended.Status.Phase = corev1.PodSucceeded
	for name, meanwhile := range map[string]func() error{
		"it goes on": func() error { return all.Add(g) },
		"it ended":   func() error { return all.Update(ended) },
		"it is gone": func() error { return all.Delete(ended) },
	} {
		mustBe(t, meanwhile())
		r.settle(g)
		want := 0
		if name == "it goes on" {
			want = 1
		}
		if len(r.guests) != want {
			t.Errorf("%s: %d guests hold room", name, len(r.guests))
		}
	}
}

// TestGuestsOfANamespace: a pod of another namespace that says it is a guest is none.
func TestGuestsOfANamespace(t *testing.T) {
	_, w := worldOf(t)
	g := hostedOf("night")
	g.Namespace = "thief"
	mustBe(t, w.cluster.Core().V1().Pods().Informer().GetIndexer().Add(g))
	n := &Node{watched: w, courses: &courses{guests: w.cluster.Core().V1().Pods().Informer().GetIndexer()}}
	if got := n.latest(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "night", Namespace: "shop", UID: "1"}}); got != nil {
		t.Errorf("%s/%s is taken for its guest", got.Namespace, got.Name)
	}
}

// TestOtherMachines: no guest goes to a machine that its program may not run on.
func TestOtherMachines(t *testing.T) {
	r, _ := worldOf(t)
	for label, of := range map[string]string{corev1.LabelArchStable: "s390x", corev1.LabelOSStable: "windows"} {
		n := nodeOfFour("other")
		if !r.mayHost(n) {
			t.Fatal("a node without labels takes none")
		}
		if n.Labels = map[string]string{label: of}; r.mayHost(n) {
			t.Errorf("%s=%s takes guests", label, of)
		}
	}
}

// TestNoNode: that no node takes guests for a while says nothing of how large they are.
func TestNoNode(t *testing.T) {
	r, _ := worldOf(t)
	if err := r.may(hostedOf("night")); !errors.Is(err, errNoNode) {
		t.Errorf("%v", err)
	}
	r.setNode(nodeOfFour("one"))
	r.look()
	large := hostedOf("night")
	large.Spec = asking("6")
	if err := r.may(large); !errors.Is(err, errTooLarge) {
		t.Errorf("%v", err)
	}
}

// TestKeepLapses: room that was kept for a guest that nobody ever sees is not lost.
func TestKeepLapses(t *testing.T) {
	r, _ := worldOf(t, "one")
	_, err := r.place(hostedOf("first"))
	mustBe(t, err)
	for _, row := range []struct {
		after time.Duration
		want  error
	}{{keepFor / 2, errNoRoomNow}, {keepFor + time.Second, nil}} {
		r.mu.Lock()
		r.lapse(time.Now().Add(row.after))
		r.mu.Unlock()
		if err := r.may(hostedOf("second")); !errors.Is(err, row.want) {
			t.Errorf("%s after it was placed: %v, want %v", row.after, err, row.want)
		}
	}
}

// TestAway: nodes that take no guests now say how large the largest is, those that never
// do say nothing.
func TestAway(t *testing.T) {
	large := hostedOf("night")
	large.Spec = asking("6")
	taint := func(key string) func(*corev1.Node) {
		return func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: key, Effect: corev1.TaintEffectNoSchedule}}
		}
	}
	for name, test := range map[string]struct {
		is   func(*corev1.Node)
		want error
	}{
		"cordoned":        {func(n *corev1.Node) { n.Spec.Unschedulable = true }, errAway},
		"not ready":       {func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }, errAway},
		"tainted":         {taint("upgrade"), errAway},
		"full":            {func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourceMemory] = resource.MustParse("0") }, errTooLarge},
		"control plane":   {taint("node-role.kubernetes.io/control-plane"), errTooLarge},
		"being deleted":   {func(n *corev1.Node) { n.DeletionTimestamp = &metav1.Time{} }, errTooLarge},
		"other processor": {func(n *corev1.Node) { n.Labels = map[string]string{corev1.LabelArchStable: "s390x"} }, errTooLarge},
		"not selected":    {func(n *corev1.Node) { n.Labels = map[string]string{"pool": "online"} }, errTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := worldOf(t, "one")
			var err error
			r.eligible, err = labels.Parse("pool!=online")
			mustBe(t, err)
			far := nodeOfFour("far")
			far.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("16")
			test.is(far)
			r.setNode(far)
			large.Spec.Containers[0].Resources.Requests[corev1.ResourceMemory] = resource.MustParse("1Gi")
			if err := r.may(large); !errors.Is(err, test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
