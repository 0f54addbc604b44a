package node

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/gate"
)

// holds is a dispatcher that holds something open, and answers the same to every question.
type holds struct {
	Gate
	open   []gate.Held
	answer gate.Answer
}

func (s holds) Open(context.Context, string) ([]gate.Held, error) { return s.open, nil }

func (s holds) Admit(context.Context, gate.Request) (gate.Answer, error) { return s.answer, nil }

func coursesOf(g Gate) *courses {
	l := newLine()
	return &courses{node: "node", line: l, gate: g, virtual: corelisters.NewPodLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})), known: map[types.UID]*memory{},
		queue: l.queue(workqueue.DefaultTypedControllerRateLimiter[virtual]())}
}

// TestResume: what is held open is looked at, also if its pod went while nobody looked.
func TestResume(t *testing.T) {
	c := coursesOf(holds{open: []gate.Held{{UID: "a", Namespace: "shop", Pod: "night-1", Answer: gate.Answer{State: gate.Admitted, Attempt: 3}}}})
	defer c.queue.ShutDown()
	if err := c.resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.queue.Len() != 1 {
		t.Fatalf("%d pods are looked at", c.queue.Len())
	}
	v, _ := c.queue.Get()
	if a := c.known["a"].answer; v != (virtual{types.NamespacedName{Namespace: "shop", Name: "night-1"}, "a"}) || a.State != course.Admitted || a.Attempt != 3 {
		t.Errorf("%v: %+v", v, a)
	}
}

// TestAttemptOfAnswer: an answer is of the attempt that the dispatcher says.
func TestAttemptOfAnswer(t *testing.T) {
	for said, want := range map[int]int{0: 2, 1: 1, 2: 2} {
		c := coursesOf(holds{answer: gate.Answer{State: gate.Admitted, Attempt: said}})
		if err := c.ask(t.Context(), virtual{uid: "a"}, course.Ask{Attempt: 2}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := c.known["a"].answer.Attempt; got != want {
			t.Errorf("asked for 2 and told of %d, it takes it for %d", said, got)
		}
		c.queue.ShutDown()
	}
}
