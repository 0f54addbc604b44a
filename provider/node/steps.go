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
	"github.com/spillway-dev/spillway/provider/gate"
)

// do carries out a step and reports whether what it did may call for another at once.
func (c *courses) do(ctx context.Context, v virtual, f course.Facts, s course.Step, now time.Time) (bool, error) {
	more := false
	if s.Status != nil {
		if err := c.write(ctx, f.Pod, *s.Status); err != nil {
			return false, err // before anybody is told: it may be by old facts
		}
	}
	for _, e := range s.Events {
		kind := corev1.EventTypeNormal
		if e.Warning {
			kind = corev1.EventTypeWarning
		}
		if f.Pod != nil {
			c.recorder.Event(f.Pod, kind, e.Reason, e.Text)
		}
	}
	for _, d := range s.Delete {
		if err := c.remove(ctx, d); err != nil {
			return false, err
		}
	}
	if s.Create != nil {
		if err := c.make(ctx, v, f, s.Create, now); err != nil {
			return false, err
		}
	}
	if s.End != nil {
		if err := c.end(ctx, v, *s.End); err != nil {
			return false, err
		}
		more = true
	}
	if s.Invoke != nil {
		c.invoke(ctx, v, f.Pod, *s.Invoke)
	}
	if s.Ask != nil {
		if err := c.inquire(ctx, v, f, *s.Ask, now); err != nil {
			return false, err
		}
		more = true
	}
	return more, nil
}

// write makes status that of the pod. A conflict means that the facts are old: the next
// look has newer ones.
func (c *courses) write(ctx context.Context, p *corev1.Pod, status corev1.PodStatus) error {
	next := p.DeepCopy()
	next.Status = status
	written, err := c.client.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the status of pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	written.ManagedFields = nil
	c.tracked.seen(written)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory(p.UID).written = written
	return nil
}

func (c *courses) remove(ctx context.Context, d course.Deletion) error {
	only := metav1.Preconditions{UID: &d.Guest.UID}
	if d.AsSeen {
		only.ResourceVersion = &d.Guest.ResourceVersion
	}
	err := c.client.CoreV1().Pods(d.Guest.Namespace).Delete(ctx, d.Guest.Name, metav1.DeleteOptions{GracePeriodSeconds: d.GraceSeconds, Preconditions: &only})
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return fmt.Errorf("delete guest %s/%s: %w", d.Guest.Namespace, d.Guest.Name, err)
}

func (c *courses) end(ctx context.Context, v virtual, e course.End) error {
	told := gate.End{Class: string(e.Class), Attempt: e.Attempt, Reason: e.Reason, Failed: ownFault[e.Reason], Started: timeOrNil(e.Started), Ended: timeOrNil(e.Ended)}
	if err := c.gate.End(ctx, string(v.uid), told); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memory(v.uid)
	m.answer, m.vain = nil, e.Count(m.vain)
	if m.reclaim != nil && m.reclaim.Attempt <= e.Attempt {
		m.reclaim = nil
	}
	return nil
}

// ownFault are the reasons of ends that a pod has brought about itself.
var ownFault = map[string]bool{"Failed": true, "Evicted": true, "DeadlineExceeded": true}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ask asks the dispatcher. While that is away the pod waits.
func (c *courses) ask(ctx context.Context, v virtual, a course.Ask, now time.Time) error {
	answer, err := c.gate.Admit(ctx, requestOf(v, c.node, a))
	switch {
	case errors.Is(err, gate.ErrUnavailable):
		answer = gate.Answer{State: gate.Waiting, Reason: "unavailable", Text: "the dispatcher does not answer; it is asked again", RetryAfterSeconds: 2}
		c.log.Warn("a pod waits", "pod", v.String(), "err", err)
	case err != nil:
		return err
	}
	got := answerOf(answer, now)
	if got.Attempt == 0 { // it was not decided about
		got.Attempt = a.Attempt
	}
	c.answered(v, a, got)
	return nil
}

// answered keeps what came of a question.
func (c *courses) answered(v virtual, a course.Ask, got *course.Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memory(v.uid)
	if m.answer = got; a.Begun || got.Attempt != a.Attempt { // another process may have seen to it
		m.begun = max(m.begun, got.Attempt)
	}
}
