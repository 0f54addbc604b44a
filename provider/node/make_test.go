package node

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/gate"
	"github.com/spillway-dev/spillway/provider/guest"
)

// asked is a dispatcher that admits everything, and remembers.
type asked struct {
	Gate
	waits    bool // it admits nothing
	requests []gate.Request
	ends     []gate.End
}

func (a *asked) Admit(_ context.Context, r gate.Request) (gate.Answer, error) {
	a.requests = append(a.requests, r)
	if a.waits {
		return gate.Answer{State: gate.Waiting, Attempt: r.Attempt}, nil
	}
	return gate.Answer{State: gate.Admitted, Attempt: r.Attempt}, nil
}

func (a *asked) End(_ context.Context, _ string, e gate.End) error {
	a.ends = append(a.ends, e)
	return nil
}

// TestTooLarge: what no node is large enough for holds no room of the sum of nodes; it
// goes to a cloud if it may.
func TestTooLarge(t *testing.T) {
	r, _ := worldOf(t, "one", "two", "three")
	to := &asked{}
	c := coursesOf(to)
	defer c.queue.ShutDown()
	events := record.NewFakeRecorder(10)
	c.room, c.recorder = r, events
	large := course.Facts{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "large", Namespace: "shop", UID: "1"}, Spec: asking("6")}}
	v := virtual{nameOf(large.Pod), large.Pod.UID}
	now := time.Now()
	if err := c.inquire(t.Context(), v, large, course.Ask{Attempt: 1}, now); err != nil || len(to.requests) != 0 || len(events.Events) != 1 {
		t.Errorf("%v: asked for %+v", err, to.requests)
	}
	if a := c.memory(v.uid).answer; a == nil || a.State != course.Waiting || !strings.Contains(a.Text, errTooLarge.Error()) || !a.Again.Equal(now.Add(refuseEvery)) {
		t.Errorf("it shows %+v", a)
	}
	burst := course.Ask{Attempt: 1}
	burst.Terms.Burst = "f"
	if err := c.inquire(t.Context(), v, large, burst, now); err != nil || !to.requests[0].CloudOnly || to.requests[0].NoRoom {
		t.Errorf("%v: with a burst function asked for %+v", err, to.requests)
	}
	g := hostedOf("large")
	g.Annotations = map[string]string{"spillway.dev/guest-attempt": "3"}
	g.Spec = asking("6")
	if err := c.make(t.Context(), v, large, g, time.Now()); err != nil || len(to.ends) != 1 || to.ends[0].Attempt != 3 || to.ends[0].Class != "not_executed" {
		t.Errorf("%v: what was admitted and fits no node any more holds on: %+v", err, to.ends)
	}
	small := large
	small.Pod = &corev1.Pod{ObjectMeta: large.Pod.ObjectMeta, Spec: asking("2")}
	if err := c.inquire(t.Context(), v, small, course.Ask{Attempt: 1}, now); err != nil || to.requests[1].CloudOnly || to.requests[1].NoRoom {
		t.Errorf("%v: asked for %+v", err, to.requests)
	}
}

// TestLargeAway: what only a cordoned node is large enough for waits as where all is full,
// and goes to no cloud before its time; with that node back it is asked for as any other.
func TestLargeAway(t *testing.T) {
	r, _ := worldOf(t, "one", "two", "three")
	to := &asked{waits: true}
	c := coursesOf(to)
	defer c.queue.ShutDown()
	events := record.NewFakeRecorder(10)
	c.room, c.recorder = r, events
	far := nodeOfFour("far")
	far.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("16")
	far.Spec.Unschedulable = true
	r.setNode(far)
	r.look()
	large := course.Facts{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "large", Namespace: "shop", UID: "1"}, Spec: asking("6")}}
	v, now := virtual{nameOf(large.Pod), large.Pod.UID}, time.Now()
	ask := func(a course.Ask) gate.Request {
		t.Helper()
		mustBe(t, c.inquire(t.Context(), v, large, a, now))
		return to.requests[len(to.requests)-1]
	}
	burst := course.Ask{Attempt: 1}
	burst.Terms.Burst = "f"
	if q := ask(burst); q.CloudOnly || !q.NoRoom {
		t.Errorf("with a burst function asked for %+v", q)
	}
	if q := ask(course.Ask{Attempt: 1}); q.CloudOnly || !q.NoRoom {
		t.Errorf("without one asked for %+v", q)
	}
	if len(events.Events) != 1 {
		t.Errorf("%d events", len(events.Events))
	}
	g := hostedOf("large")
	g.Annotations, g.Spec = map[string]string{"spillway.dev/guest-attempt": "3"}, asking("6")
	if err := c.make(t.Context(), v, large, g, now); err != nil || len(to.ends) != 0 || c.memory(v.uid).noRoom == nil {
		t.Errorf("%v: what was admitted ends with %+v", err, to.ends)
	}
	back := far.DeepCopy()
	back.Spec.Unschedulable = false
	r.setNode(back)
	r.look()
	if q := ask(burst); q.CloudOnly || q.NoRoom {
		t.Errorf("with the node back asked for %+v", q)
	}
	r.removeNode(back)
	r.look()
	if q := ask(burst); !q.CloudOnly || q.NoRoom {
		t.Errorf("with the node gone asked for %+v", q)
	}
}

// TestPromisedOnce: a pod that was promised room which no single node had is not promised it
// again while there is a time at which it goes to a cloud.
func TestPromisedOnce(t *testing.T) {
	r, _ := worldOf(t, "one")
	to := &asked{waits: true}
	c := coursesOf(to)
	defer c.queue.ShutDown()
	c.room, c.recorder = r, record.NewFakeRecorder(10)
	f := course.Facts{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "night", Namespace: "shop", UID: "1"}, Spec: asking("2")}}
	v, now := virtual{nameOf(f.Pod), f.Pod.UID}, time.Now()
	other := hostedOf("other")
	if _, err := r.place(other); err != nil {
		t.Fatal(err)
	}
	wait := time.Hour
	late, soon := guest.Terms{Burst: "f", MaxWait: &wait}, guest.Terms{Burst: "f", Deadline: now.Add(wait)}
	noRoom := func(attempt int, terms guest.Terms) bool {
		t.Helper()
		f.NoRoom = c.memory(v.uid).noRoom
		mustBe(t, c.inquire(t.Context(), v, f, course.Ask{Attempt: attempt, Terms: terms}, now))
		return to.requests[len(to.requests)-1].NoRoom
	}
	if noRoom(1, late) {
		t.Error("it is not promised room at first")
	}
	night := hostedOf("night")
	night.Annotations = map[string]string{"spillway.dev/guest-attempt": "1"}
	mustBe(t, c.make(t.Context(), v, f, night, now))
	if noRoom(1, late) {
		t.Error("the attempt that was promised room is asked for as another")
	}
	if !noRoom(2, late) || !noRoom(2, soon) || !noRoom(3, late) {
		t.Error("it is promised room again that no node has, so that it never goes to its cloud")
	}
	if noRoom(2, guest.Terms{Burst: "f"}) || noRoom(2, guest.Terms{MaxWait: &wait}) {
		t.Error("what goes to no cloud by its wait is promised nothing")
	}
	r.release(other)
	if noRoom(2, late) {
		t.Error("there is room, and it is not promised it")
	}
}

// TestRoomless: as long as there is no room for the guest of a pod, its facts are not read
// from the API server again.
func TestRoomless(t *testing.T) {
	r, _ := worldOf(t, "one")
	c := coursesOf(&asked{})
	defer c.queue.ShutDown()
	c.room, c.recorder = r, record.NewFakeRecorder(10)
	f := course.Facts{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "night", Namespace: "shop", UID: "1"}, Spec: asking("2")}, Answer: &course.Answer{Attempt: 1, State: course.Admitted}}
	v, now := virtual{nameOf(f.Pod), f.Pod.UID}, time.Now()
	other := hostedOf("other")
	if _, err := r.place(other); err != nil {
		t.Fatal(err)
	}
	c.waits(v, f.Pod, "WaitsForRoom", "before it was admitted", now)
	if c.roomless(v, f, now) {
		t.Error("a guest that was not tried is not tried")
	}
	night := hostedOf("night")
	night.Annotations = map[string]string{"spillway.dev/guest-attempt": "1"}
	if err := c.make(t.Context(), v, f, night, now); err != nil {
		t.Fatal(err)
	}
	if !c.roomless(v, f, now) {
		t.Error("it is looked at although there is no room")
	}
	if c.roomless(v, f, now.Add(5*time.Second)) {
		t.Error("it is not looked at when it has waited for long enough to give back what it was promised")
	}
	c.memory("1").begun = 1
	if !c.roomless(v, f, now.Add(30*time.Second)) || c.roomless(v, f, now.Add(40*time.Second)) {
		t.Error("where a guest may still come to be it is looked at too early, or never")
	}
	limit := int64(1)
	late := f
	late.Pod = f.Pod.DeepCopy()
	late.Pod.Spec.ActiveDeadlineSeconds, late.Pod.Status.StartTime = &limit, &metav1.Time{Time: now.Add(-time.Minute)}
	gone := f
	gone.Pod = f.Pod.DeepCopy()
	gone.Pod.DeletionTimestamp = &metav1.Time{Time: now}
	if c.roomless(v, late, now) || c.roomless(v, gone, now) {
		t.Error("a pod that is past its deadline or deleted is not looked at")
	}
	r.release(other)
	if c.roomless(v, f, now) {
		t.Error("it is not looked at when there is room")
	}
}

// TestNobodyAdoptsGuests: a guest has a controller, so that no other takes it for a pod of
// its own since their labels are alike; its virtual pod owns it and is none.
func TestNobodyAdoptsGuests(t *testing.T) {
	nodes := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	mustBe(t, nodes.Add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node", UID: "n"}}))
	c := coursesOf(&asked{})
	defer c.queue.ShutDown()
	c.nodes = corelisters.NewNodeLister(nodes)
	g := hostedOf("night")
	c.hold(g)
	if by := metav1.GetControllerOf(g); by == nil || by.Kind != "Node" || by.UID != "n" || len(g.OwnerReferences) != 2 {
		t.Errorf("controlled by %+v, owned by %+v", by, g.OwnerReferences)
	}
}
