package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/guest"
)

func (c *courses) run(ctx context.Context, workers int) error {
	c.moved.Store(time.Now().UnixNano())
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for c.one(ctx) {
			}
		})
	}
	<-ctx.Done()
	c.queue.ShutDown()
	wg.Wait()
	c.runs.Wait()
	return nil
}

func (c *courses) one(ctx context.Context) bool {
	v, end := c.queue.Get()
	if end {
		return false
	}
	c.moved.Store(time.Now().UnixNano())
	defer c.queue.Done(v)
	again, err := c.advance(ctx, v)
	switch {
	case err != nil && ctx.Err() == nil:
		c.log.Warn("a pod's course is tried again", "pod", v.String(), "uid", v.uid, "err", err)
		if c.wanted(v) {
			c.line.hurry(v)
		}
		c.queue.AddRateLimited(v)
		return true
	case again > 0:
		c.queue.AddAfter(v, again)
	}
	c.queue.Forget(v)
	return true
}

// maxSteps bounds how often a pod is looked at in a row.
const maxSteps = 8

// advance does steps of v's course until none is due, and returns after how
// long to look again; 0 for when something changes.
func (c *courses) advance(ctx context.Context, v virtual) (time.Duration, error) {
	live := false
	for range maxSteps {
		f, err := c.facts(ctx, v, live)
		if err != nil {
			return 0, err
		}
		if f.Pod == nil && len(f.Guests) == 0 && f.Answer == nil {
			c.forget(v)
			return 0, nil
		}
		now := time.Now()
		step := course.Next(f, now)
		if step.Look && !live && c.roomless(v, f, now) {
			return roomEvery, nil
		}
		more, err := c.do(ctx, v, f, step, now)
		if err != nil {
			return 0, err
		}
		if !more && !step.Look {
			return until(step.Again, now), c.release(ctx, f)
		}
		live = live || step.Look
	}
	return time.Second, nil
}

// release lets a deleted pod go as soon as nothing of it runs, and not at the end of its
// grace.
func (c *courses) release(ctx context.Context, f course.Facts) error {
	if f.Pod == nil || f.Pod.DeletionTimestamp == nil || !guest.Terminal(f.Pod) || len(f.Guests) > 0 {
		return nil
	}
	now := int64(0)
	err := c.client.CoreV1().Pods(f.Pod.Namespace).Delete(ctx, f.Pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &f.Pod.UID}})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("let pod %s/%s go: %w", f.Pod.Namespace, f.Pod.Name, err)
}

func until(t, now time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(time.Millisecond, t.Sub(now))
}

func (c *courses) forget(v virtual) {
	c.tracked.remove(v.uid)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, v.uid)
}

// healthy says that for a while no pod was looked at although some should be, or nil.
func (c *courses) healthy(while time.Duration) error {
	last := c.moved.Load()
	if last == 0 {
		return nil // no worker has begun
	}
	since := time.Since(time.Unix(0, last))
	if waiting := c.queue.Len(); waiting > 0 && since > while {
		return fmt.Errorf("%d pods have waited for %s to be looked at", waiting, since.Round(time.Second))
	}
	return nil
}
