package node

import (
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/spillway-dev/spillway/provider/idle"
)

func named(uid string) virtual { return virtual{uid: types.UID(uid)} }

// TestLine: whose guest has changed comes before those that begin, also if it was in
// line with them, and once.
func TestLine(t *testing.T) {
	l := newLine()
	q := l.queue(workqueue.NewTypedItemExponentialFailureRateLimiter[virtual](time.Millisecond, time.Second))
	defer q.ShutDown()
	for _, uid := range []string{"a", "b", "c", "d"} {
		q.Add(named(uid))
	}
	for _, uid := range []string{"c", "e", "c"} {
		l.hurry(named(uid))
		q.Add(named(uid))
	}
	order := ""
	for q.Len() > 0 {
		v, _ := q.Get()
		order += string(v.uid)
		if v.uid == "a" && len(order) < 4 { // again while it is looked at, and then in a hurry
			q.Add(v)
			l.hurry(v)
		}
		if v.uid == "c" && len(order) < 4 {
			q.Add(v)
		}
		q.Done(v)
	}
	if order != "ceaabdc" {
		t.Errorf("in order %q", order)
	}
}

// TestLineLosesNobody: whatever is added is looked at once after that, and Len is right.
func TestLineLosesNobody(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's
	l := newLine()
	in := map[virtual]bool{}
	for range 100_000 {
		v := named(strconv.Itoa(r.IntN(40)))
		switch {
		case r.IntN(3) == 0 && len(in) > 0:
			out := l.Pop()
			if !in[out] {
				t.Fatalf("%s was not in line", out.uid)
			}
			delete(in, out)
		default:
			if r.IntN(2) == 0 {
				l.hurry(v)
			}
			if in[v] {
				l.Touch(v)
			} else {
				l.Push(v)
			}
			in[v] = true
		}
		if l.Len() != len(in) {
			t.Fatalf("%d are in line, and it says %d", len(in), l.Len())
		}
	}
	for len(in) > 0 {
		delete(in, l.Pop())
	}
	if l.Len() != 0 || len(l.left) > 0 && len(l.rest) == 0 {
		t.Errorf("%d are left: %+v", l.Len(), l.left)
	}
}

// TestLineShares: those in no hurry are taken too, however many are, and in their turn.
func TestLineShares(t *testing.T) {
	l := newLine()
	for n := range 10 {
		l.Push(named("begins" + strconv.Itoa(n)))
	}
	began := []string{}
	for n := range 10 * share {
		for _, v := range []virtual{named("a" + strconv.Itoa(n)), named("b" + strconv.Itoa(n))} {
			l.hurry(v)
			l.Push(v)
		}
		if v := l.Pop(); strings.HasPrefix(string(v.uid), "begins") {
			began = append(began, strings.TrimPrefix(string(v.uid), "begins"))
		}
	}
	if got := strings.Join(began, ""); got != "0123456789" {
		t.Errorf("of %d that were taken these began: %s", 10*share, got)
	}
}

// TestLineOvertakes: room that is wanted back, a pod that is deleted and one that is gone
// come before those that begin; that room is wanted back also when it is tried again.
func TestLineOvertakes(t *testing.T) {
	c := coursesOf(holds{})
	defer c.queue.ShutDown()
	c.log = slog.New(slog.DiscardHandler)
	night := func(uid string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "night-" + uid, UID: types.UID(uid)}}
	}
	for n := range 20 {
		c.look(night("begins" + strconv.Itoa(n)))
	}
	c.guests = cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}) // by pod it finds none, and says so
	g := hostedOf("night-1")
	mustBe(t, c.guests.Add(g))
	c.reclaim(idle.Choice{UIDs: []string{string(g.UID)}})
	deleted := night("2")
	deleted.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	c.look(deleted)
	c.one(t.Context())
	c.line.mu.Lock()
	if !c.line.hurried[virtual{nameOf(night("1")), "1"}] {
		t.Error("it is in no hurry when it is tried again")
	}
	c.line.mu.Unlock()
	for v, _ := c.queue.Get(); v.uid != "2"; v, _ = c.queue.Get() {
		if v.uid != "1" { // which may have been tried again already
			t.Fatalf("%s is looked at before the pod that is deleted", v.uid)
		}
	}
}
