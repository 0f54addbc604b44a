package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// removeWithin bounds one request to delete a pod, and removePause is how long the
	// next waits after one that failed, at first and at most.
	removeWithin       = 10 * time.Second
	firstRemovePause   = 100 * time.Millisecond
	longestRemovePause = 5 * time.Second
	// givenUpWithin is how long the calls of a pod that the cluster has given up have to
	// say how they ended, and lastWords how long what was said by then may take to arrive.
	givenUpWithin = 5 * time.Second
	lastWords     = 200 * time.Millisecond
)

// remove asks for the end of a pod. One that is not there is not an error.
func (p *Pool) remove(ctx context.Context, o metav1.Object) error {
	uid := o.GetUID()
	err := p.client.CoreV1().Pods(o.GetNamespace()).Delete(ctx, o.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, GracePeriodSeconds: new(int64(graceSeconds))})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// insist asks for the end of a pod until the API server has heard it, or ctx ends.
func (p *Pool) insist(ctx context.Context, o metav1.Object) error {
	for pause := firstRemovePause; ; pause = min(2*pause, longestRemovePause) {
		asking, cancel := context.WithTimeout(ctx, removeWithin)
		err := p.remove(asking, o)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("delete pod %s/%s: %w", o.GetNamespace(), o.GetName(), err)
		}
	}
}

// end deletes a pod and waits until it is gone, or ctx ends.
func (p *Pool) end(ctx context.Context, w *pod) error {
	o, _ := w.look()
	if err := p.insist(ctx, o); err != nil {
		return err
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-w.left:
			return nil
		case <-look.C:
			p.refresh(ctx, w)
		case <-ctx.Done():
			return fmt.Errorf("pod %s/%s %w: %w", w.namespace, w.name, errThere, context.Cause(ctx))
		}
	}
}

// errThere says that the cluster was told to end a pod and has not within its time.
var errThere = errors.New("is still there")

// lookEvery is how often a pod is looked at that is waited for: a watch that has been
// cut may take half a minute to come back.
const lookEvery = 2 * time.Second

// refresh asks the API server how a pod is, in place of the watch.
func (p *Pool) refresh(ctx context.Context, w *pod) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	found, err := p.client.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + w.name})
	if err != nil {
		return // the next look, or the watch
	}
	for i := range found.Items {
		if o := &found.Items[i]; o.UID == w.uid {
			_, _ = trim(o) // never fails
			p.podFound(w, o)
			return
		}
	}
	o, _ := w.look()
	p.podGone(o)
}

// drop deletes a pod that nobody waits for.
func (p *Pool) drop(w *pod) {
	if w.agent != nil {
		w.agent.Close()
	}
	o, _ := w.look()
	p.discard(o)
}

// discard deletes a pod, however long the API server is not there.
func (p *Pool) discard(o *corev1.Pod) {
	if p.remove(p.life, o) == nil {
		return
	}
	if err := p.insist(p.life, o); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(p.life), removeWithin)
		defer cancel()
		if err := p.remove(ctx, o); err != nil {
			p.log.Warn("a pod is left over and deleted by the next run", "pod", o.Namespace+"/"+o.Name, "error", err)
		}
	}
}

// giveUp ends the calls of a pod that has ended or that somebody deleted. One deleted by
// force is out of the cluster's sight and may still run for a moment: its agent is told
// to end it and says how its calls ended, if it can be reached.
func (p *Pool) giveUp(w *pod) {
	if o, _ := w.look(); !over(o) {
		ctx, cancel := context.WithTimeout(p.life, givenUpWithin)
		defer cancel()
		_ = w.agent.Stop(ctx) // it has most likely ended
	}
	pause(p.life, lastWords)
	w.agent.Close()
}

// undead is a pod that was to end and has not within its time. What it holds is missing
// from what the pool has until it is gone; mu is held.
func (p *Pool) undead(w *pod) {
	if p.pods[w.uid] == w {
		w.undead = true
	}
}
