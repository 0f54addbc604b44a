package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/guest"
)

const (
	roomEvery   = time.Second      // a guest that waits for room is tried again
	refuseEvery = 10 * time.Second // one that is too large
)

// make makes a guest, or says why there is none yet and tries again later. Room that no
// node can have is given back: others have use for it.
func (c *courses) make(ctx context.Context, v virtual, f course.Facts, g *corev1.Pod, now time.Time) error {
	switch err := c.create(ctx, v, g); {
	case err == nil:
		c.mu.Lock()
		c.memory(v.uid).waits = ""
		c.mu.Unlock()
		c.missing(ctx, f.Pod)
	case errors.Is(err, errNoRoomNow), errors.Is(err, errNoNode), errors.Is(err, errAway):
		c.lacks(v, guest.Attempt(g), err.Error(), now)
		c.waits(v, f.Pod, "WaitsForRoom", err.Error(), now)
		c.queue.AddAfter(v, roomEvery)
	case errors.Is(err, errTooLarge):
		c.waits(v, f.Pod, "WaitsForRoom", err.Error(), now)
		c.queue.AddAfter(v, refuseEvery)
		return c.end(ctx, v, course.End{Attempt: guest.Attempt(g), Class: course.ClassNotExecuted, Reason: "TooLarge"})
	case refused(err):
		c.lacks(v, guest.Attempt(g), err.Error(), now)
		c.mu.Lock()
		c.memory(v.uid).noRoom.Refused = true
		c.mu.Unlock()
		c.waits(v, f.Pod, "GuestRefused", err.Error(), now)
		c.queue.Add(v) // to give back what it was promised
	default:
		return err
	}
	return nil
}

// refused reports that the API server made nothing, and would not if it were asked again.
func refused(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) }

// lacks notes that an attempt finds no room now.
func (c *courses) lacks(v virtual, attempt int, why string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memory(v.uid)
	next := &course.NoRoom{Attempt: attempt, Since: now, Text: why}
	switch before := m.noRoom; {
	case before == nil:
	case before.Attempt == attempt:
		next.Since, next.Before = before.Since, before.Before
	default:
		next.Before = before.Before + 1
	}
	m.noRoom = next
}

// roomless reports that all that a pod waits for is room for its guest, and there is none
// yet, nor has it waited long enough to give that up: nothing need be read from the API server to see that.
func (c *courses) roomless(v virtual, f course.Facts, now time.Time) bool {
	if f.Pod == nil || f.Pod.DeletionTimestamp != nil || guest.Terminal(f.Pod) || len(f.Guests) > 0 || f.Answer == nil || f.Answer.State != course.Admitted {
		return false
	}
	if ends, bounded := guest.Deadline(f.Pod); bounded && !now.Before(ends) {
		return false
	}
	c.mu.Lock()
	m := c.memory(v.uid)
	waits := m.noRoom != nil && now.Before(m.noRoom.Until(m.begun))
	c.mu.Unlock()
	return waits && c.room.may(f.Pod) != nil
}

// inquire asks the dispatcher. What no node is large enough for is asked for in a cloud
// only; without one it waits for a larger node, holds nothing, and nobody need be asked.
func (c *courses) inquire(ctx context.Context, v virtual, f course.Facts, a course.Ask, now time.Time) error {
	err := c.room.may(f.Pod)
	switch large := errors.Is(err, errTooLarge); {
	case len(f.Guests) > 0, !large && !errors.Is(err, errAway) && !inVain(f, a, err):
		return c.ask(ctx, v, a, now)
	case large && a.Terms.Burst == "":
		c.answered(v, a, &course.Answer{Attempt: a.Attempt, State: course.Waiting, Text: because("waits for idle capacity", err.Error()), Again: now.Add(refuseEvery)})
	default:
		a.CloudOnly, a.NoRoom = large, !large
		if err := c.ask(ctx, v, a, now); err != nil {
			return err
		}
	}
	if c.is(v, course.Waiting) {
		c.waits(v, f.Pod, "WaitsForRoom", err.Error(), now)
	}
	return nil
}

// inVain reports that an attempt would be promised room that no single node has, as one
// before it was, while there is a time from which the pod may go to a cloud: that comes
// only to what waits.
func inVain(f course.Facts, a course.Ask, room error) bool {
	goes := a.Terms.Burst != "" && (a.Terms.MaxWait != nil || !a.Terms.Deadline.IsZero())
	return room != nil && goes && f.NoRoom != nil && f.NoRoom.Attempt < a.Attempt
}

// is reports that what is open of a pod has a state.
func (c *courses) is(v virtual, s course.State) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.memory(v.uid).answer
	return a != nil && a.State == s
}

// sayAgain is after how long an event is repeated while nothing has changed.
const sayAgain = 5 * time.Minute

// waits says, once and now and then, why a pod's guest is not made.
func (c *courses) waits(v virtual, p *corev1.Pod, reason, why string, now time.Time) {
	c.mu.Lock()
	m := c.memory(v.uid)
	said := m.waits == why && now.Sub(m.waitsAt) < sayAgain
	if !said {
		m.waits, m.waitsAt = why, now
	}
	c.mu.Unlock()
	if !said {
		c.recorder.Event(p, corev1.EventTypeWarning, reason, why)
	}
}

// create makes a guest on a node that has room for it. Without one it is not made.
func (c *courses) create(ctx context.Context, v virtual, g *corev1.Pod) error {
	node, err := c.room.place(g)
	if err != nil {
		return err
	}
	pin(g, node)
	c.hold(g)
	before := c.begins(v, guest.Attempt(g))
	_, err = c.client.CoreV1().Pods(g.Namespace).Create(ctx, g, metav1.CreateOptions{})
	if err == nil {
		return nil // its room is kept until the informer shows it
	}
	c.room.release(g)
	if refused(err) {
		c.mu.Lock()
		m := c.memory(v.uid)
		m.begun, m.noRoom = before.begun, before.noRoom
		c.mu.Unlock()
	}
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return fmt.Errorf("make guest %s/%s: %w", g.Namespace, g.Name, err)
}

// hold makes g the virtual node's too. The cluster's garbage collector would else end it
// as soon as its pod is gone, and with its whole grace, which no kubelet shortens any more:
// of a pod that is deleted by force the guest has to go at once.
func (c *courses) hold(g *corev1.Pod) {
	n, err := c.nodes.Get(c.node)
	if err != nil {
		return // then the garbage collector it is
	}
	controls := true // a guest without a controller is adopted by any whose selector it matches
	g.OwnerReferences = append(g.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID, Controller: &controls})
}

// begins notes, before it is tried, that a guest of an attempt may be there from now on,
// and returns what was known before.
func (c *courses) begins(v virtual, attempt int) memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memory(v.uid)
	before := *m
	m.begun, m.noRoom = max(m.begun, attempt), nil
	return before
}
