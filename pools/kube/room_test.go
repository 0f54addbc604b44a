package kube

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools/internal/exits"
)

func roomy() *Pool {
	return &Pool{
		nodes: map[string]node{"a": {of(10, 10_000, 10_000), true}}, claims: map[types.UID]claim{}, unseen: map[*corev1.Pod]spillway.Resources{},
		instances: map[spillway.InstanceID]*instance{}, pods: map[types.UID]*pod{}, resting: map[revision]*resting{}, wake: make(chan struct{}, 1),
		limit: of(spillway.Unlimited, spillway.Unlimited, spillway.Unlimited), coming: []int{0}, roomless: make([]time.Time, 1),
		spec: specOf{pods: spillway.KubernetesPods{Sizes: []spillway.PodSize{{Resources: of(1, 200, 256), Ready: 1}}}},
	}
}

func instanceOf(image string) *spillway.Function {
	return &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "f"}, Image: image, Instance: of(1, 200, 256), Concurrency: 1}
}

// TestStartsCountOnce: the pod of an instance is missing from what is left from the moment
// that the instance is held, and not when it is seen.
func TestStartsCountOnce(t *testing.T) {
	for _, image := range []string{"", "x"} {
		p := roomy()
		i, err := p.reserve(1, instanceOf(image), func() {})
		if err != nil {
			t.Fatal(err)
		}
		want := of(10, 10_000, 10_000).Sub(Overhead())
		if got := p.capacity(); got != want {
			t.Errorf("image %q, not made yet: %v, want %v", image, got, want)
		}
		delete(p.unseen, i.spec)
		p.claims["made"] = claim{need: needOf(i.spec)}
		if got := p.capacity(); got != want {
			t.Errorf("image %q, made: %v, want %v", image, got, want)
		}
	}
}

// TestStartInPodThatWaits takes nothing of what is left.
func TestStartInPodThatWaits(t *testing.T) {
	p := roomy()
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "waits"}, Spec: corev1.PodSpec{NodeName: "a"}}
	w := &pod{uid: o.UID, latest: o}
	p.pods[o.UID], p.claims[o.UID], p.ready = w, claim{node: "a", need: of(1, 210, 288)}, []*pod{w}
	before := p.capacity()
	if i, err := p.reserve(1, instanceOf(""), func() {}); err != nil || i.pod != w {
		t.Fatalf("%+v, %v", i, err)
	}
	if got := p.capacity(); got != before {
		t.Errorf("%v, before %v", got, before)
	}
}

// TestNoStockThatNobodyWants: a pool that is gone, or is closed, makes no pods that wait
// and offers no room.
func TestNoStockThatNobodyWants(t *testing.T) {
	for name, change := range map[string]func(*Pool){
		"retired": func(p *Pool) { p.Renew(&spillway.Pool{Retired: true, Capacity: p.limit}) },
		"closed":  func(p *Pool) { p.closed = true },
	} {
		p := roomy()
		p.instances[1] = &instance{function: instanceOf("x")}
		change(p)
		if orders, has := p.orders(time.Now()), p.capacity(); len(orders) > 0 || has != of(1, 200, 256) {
			t.Errorf("%s: orders %v, has %v", name, orders, has)
		}
	}
}

// TestEndAfterAnswer: an instance whose function has ended before the answer of its last
// call is given back takes no more calls.
func TestEndAfterAnswer(t *testing.T) {
	p := roomy()
	p.exits = exits.New()
	defer p.exits.Close()
	i := &instance{id: 1, function: instanceOf("x"), started: true, calls: 1}
	p.instances[1] = i
	if p.ended(i) || !i.ejected || p.instances[1] != i {
		t.Errorf("with a call: %+v", i)
	}
	i.calls = 0
	if !p.ended(i) || p.instances[1] != nil {
		t.Error("idle, it stays")
	}
}

// TestStockOfTheLiving: a pod that has ended while its connections were warmed does not
// wait for functions.
func TestStockOfTheLiving(t *testing.T) {
	now := metav1.Now()
	for name, c := range map[string]struct {
		pod  corev1.Pod
		gone bool
		want bool
	}{
		"it lives":         {want: true},
		"it has ended":     {pod: corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}},
		"it is being":      {pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}}},
		"it is gone again": {gone: true},
	} {
		p, w := roomy(), &pod{uid: "w", latest: &c.pod}
		if !c.gone {
			p.pods[w.uid] = w
		}
		if got := p.stock(w); got != c.want || len(p.ready) == 1 != c.want {
			t.Errorf("%s: %v, %d wait", name, got, len(p.ready))
		}
	}
}

// TestLateLook: what was looked up of a pod before the watch said that it is gone, or is
// otherwise, brings nothing back.
func TestLateLook(t *testing.T) {
	p := roomy()
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "w", ResourceVersion: "7"}, Spec: corev1.PodSpec{NodeName: "a"}}
	w := &pod{uid: o.UID, latest: o, seen: make(chan struct{}), left: make(chan struct{})}
	p.pods[o.UID] = w
	older := o.DeepCopy()
	older.ResourceVersion, older.Status.Phase = "6", corev1.PodFailed
	p.podIs(o)
	all := p.capacity()
	if p.podFound(w, older); len(p.claims) != 1 {
		t.Error("an older state is taken for the newer")
	}
	p.podGone(o)
	delete(p.pods, o.UID)
	newer := o.DeepCopy()
	newer.ResourceVersion = "8"
	if p.podFound(w, newer); len(p.claims) != 0 || len(p.early) != 0 || p.capacity() == all {
		t.Errorf("a pod that is gone holds room: %v, %v", p.claims, p.early)
	}
}
