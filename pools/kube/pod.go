package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools"
)

// pod is one that this run made.
type pod struct {
	namespace, name string
	uid             types.UID
	size            int // of the package pool; −1: made for one instance
	made            time.Time
	instance        *instance // that has it; guarded by Pool.mu
	undead, givenUp bool      // it should have ended; its calls have; guarded by Pool.mu
	agent           *remote.Client
	warmed          time.Time // its connections were seen to work; guarded by Pool.mu

	mu     sync.Mutex
	latest *corev1.Pod
	seen   chan struct{} // closed at the next look, and replaced
	left   chan struct{} // closed when it is gone
}

// see takes what the cluster says of the pod now.
func (w *pod) see(o *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latest = o
	close(w.seen)
	w.seen = make(chan struct{})
}

func (w *pod) gone() { close(w.left) }

func (w *pod) look() (*corev1.Pod, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest, w.seen
}

// create makes a pod. Room and quota that are not there are pools.ErrNoRoom and
// pools.ErrQuota.
func (p *Pool) create(ctx context.Context, spec *corev1.Pod, size int) (*pod, error) {
	defer func() {
		p.mu.Lock()
		delete(p.unseen, spec)
		p.mu.Unlock()
	}()
	if err := p.shut(time.Now()); err != nil {
		return nil, err
	}
	made := time.Now()
	asking, cancel := context.WithTimeout(ctx, createWithin)
	defer cancel()
	created, err := p.client.CoreV1().Pods(spec.Namespace).Create(asking, spec, metav1.CreateOptions{})
	if err != nil {
		err = createFailure(spec, err)
		if errors.Is(err, pools.ErrNoRoom) && ctx.Err() == nil {
			p.shutFor(err)
		}
		return nil, err
	}
	w := &pod{namespace: created.Namespace, name: created.Name, uid: created.UID, size: size, made: made,
		latest: created, seen: make(chan struct{}), left: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pods[w.uid] = w
	delete(p.unseen, spec)
	if e, ok := p.early[w.uid]; ok { // the watch was quicker than the answer
		delete(p.early, w.uid)
		w.see(e.pod)
		if e.gone {
			delete(p.pods, w.uid)
			w.gone()
		}
	} else {
		p.claims[w.uid] = claim{need: needOf(created)} // the watch will say where
	}
	return w, nil
}

const (
	// createWithin is when the API server is not waited for any longer, and takenWithin
	// when a node must have taken notice of a pod.
	createWithin = 5 * time.Second
	takenWithin  = 5 * time.Second
	// shutAfter is how long no pod is made after that: calls overflow at once.
	shutAfter = 2 * time.Second
)

// shut says why no pod can be made now.
func (p *Pool) shut(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Before(p.shutUntil) {
		return p.shutBy
	}
	return nil
}

func (p *Pool) shutFor(why error) {
	p.mu.Lock()
	p.shutUntil, p.shutBy = time.Now().Add(shutAfter), why
	p.mu.Unlock()
	p.changed()
}

func createFailure(spec *corev1.Pod, err error) error {
	said := fmt.Errorf("make a pod in namespace %s: %w", spec.Namespace, err)
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return errors.Join(pools.ErrQuota, said)
	case apierrors.IsConflict(err): // of those who count against one ResourceQuota at once
		return errors.Join(pools.ErrQuota, said)
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsNotFound(err), apierrors.IsBadRequest(err), apierrors.IsInternalError(err):
		return &pools.StartError{Type: "Spillway.PodRefused", Err: said}
	}
	return errors.Join(pools.ErrNoRoom, said) // the API server cannot be asked
}

// await returns the address of a pod whose container runs, or why it never will. One that
// never ran says nothing against the function.
func (p *Pool) await(ctx context.Context, w *pod) (address string, err error) {
	taken := time.NewTimer(time.Until(w.made.Add(takenWithin)))
	defer taken.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		o, next := w.look()
		if err := hopeless(o); err != nil {
			return "", err
		}
		if o.Status.PodIP != "" && running(o) {
			return o.Status.PodIP, nil
		}
		select {
		case <-next:
		case <-look.C:
			p.refresh(ctx, w)
		case <-w.left:
			return "", fmt.Errorf("%w: its pod %s/%s was deleted", pools.ErrNoRoom, w.namespace, w.name)
		case <-taken.C:
			p.refresh(ctx, w)
			if o, _ := w.look(); o.Status.StartTime == nil {
				err := fmt.Errorf("%w: its pod %s/%s is not taken within %s: %s", pools.ErrNoRoom, w.namespace, w.name, takenWithin, whyPending(o))
				p.shutFor(err)
				return "", err
			}
		case <-ctx.Done():
			return "", fmt.Errorf("%w: its pod %s/%s does not run: %s", pools.ErrNoRoom, w.namespace, w.name, whyPending(o))
		}
	}
}

func running(o *corev1.Pod) bool {
	for _, c := range o.Status.ContainerStatuses {
		if c.State.Running == nil {
			return false
		}
	}
	return len(o.Status.ContainerStatuses) > 0
}

// refusedImage are the reasons for which a container waits in vain.
var refusedImage = map[string]bool{
	"ErrImagePull": true, "ImagePullBackOff": true, "InvalidImageName": true, "ErrImageNeverPull": true, "ImageInspectError": true,
	"CreateContainerConfigError": true, "CreateContainerError": true, "RunContainerError": true,
}

// hopeless says why a pod will never run.
func hopeless(o *corev1.Pod) error {
	for _, c := range o.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return fmt.Errorf("%w: %s", pools.ErrNoRoom, c.Message)
		}
	}
	if over(o) {
		ran := len(o.Status.ContainerStatuses) > 0 // else a node that is short of something did not take it
		if o.Status.Reason == "Evicted" && (!ran || disrupted(o)) || strings.HasPrefix(o.Status.Reason, "OutOf") || o.Status.Reason == "NodeAffinity" || o.Status.Reason == "Preempting" {
			return fmt.Errorf("%w: the node says %s: %s", pools.ErrNoRoom, o.Status.Reason, o.Status.Message)
		}
		return &pools.StartError{Type: "Runtime.ExitError", Err: fmt.Errorf("its pod %s/%s has ended: %s", o.Namespace, o.Name, whyEnded(o))}
	}
	for _, statuses := range [][]corev1.ContainerStatus{o.Status.InitContainerStatuses, o.Status.ContainerStatuses} {
		for _, c := range statuses {
			if waits := c.State.Waiting; waits != nil && refusedImage[waits.Reason] {
				return &pools.StartError{Type: "Spillway.ImageError", Err: fmt.Errorf("container %s of its pod %s/%s: %s: %s", c.Name, o.Namespace, o.Name, waits.Reason, waits.Message)}
			}
		}
	}
	return nil
}

func whyPending(o *corev1.Pod) string {
	for _, statuses := range [][]corev1.ContainerStatus{o.Status.InitContainerStatuses, o.Status.ContainerStatuses} {
		for _, c := range statuses {
			if waits := c.State.Waiting; waits != nil {
				return strings.TrimSpace(waits.Reason + " " + waits.Message)
			}
		}
	}
	if o.Spec.NodeName == "" {
		return "no node was chosen yet"
	}
	return "node " + o.Spec.NodeName + " has not started it yet"
}

func whyEnded(o *corev1.Pod) string {
	if o.Status.Reason == "Evicted" {
		return "Evicted: " + o.Status.Message
	}
	for _, statuses := range [][]corev1.ContainerStatus{o.Status.InitContainerStatuses, o.Status.ContainerStatuses} {
		for _, c := range statuses {
			if end := c.State.Terminated; end != nil && (end.ExitCode != 0 || end.Reason != "Completed") {
				return strings.TrimSpace(fmt.Sprintf("container %s: %s, exit code %d %s", c.Name, end.Reason, end.ExitCode, end.Message))
			}
		}
	}
	return strings.TrimSpace(string(o.Status.Phase) + " " + o.Status.Reason + " " + o.Status.Message)
}
