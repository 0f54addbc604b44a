package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// watch begins to follow nodes and pods, and returns when all of them have been seen.
func (p *Pool) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(p.client, 0, informers.WithTransform(trim))
	nodes, pods := factory.Core().V1().Nodes().Informer(), factory.Core().V1().Pods().Informer()
	seenNodes, err := nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    p.nodeIs,
		UpdateFunc: func(_, now any) { p.nodeIs(now) },
		DeleteFunc: p.nodeGone,
	})
	if err != nil {
		return err
	}
	seenPods, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    p.podIs,
		UpdateFunc: func(_, now any) { p.podIs(now) },
		DeleteFunc: p.podGone,
	})
	if err != nil {
		return err
	}
	factory.Start(p.life.Done())
	p.background.Go(func() { <-p.life.Done(); factory.Shutdown() })
	if !cache.WaitForCacheSync(ctx.Done(), seenNodes.HasSynced, seenPods.HasSynced) {
		return fmt.Errorf("see the nodes and pods of the cluster: %w", errors.Join(context.Cause(ctx), errUnseen))
	}
	return nil
}

var errUnseen = errors.New("the API server does not list them; may the dispatcher list and watch nodes and pods?")

// trim drops what is never looked at, so that a large cluster takes little memory.
func trim(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.Pod:
		o.ManagedFields, o.Annotations, o.Spec.Volumes = nil, nil, nil
		for _, containers := range [][]corev1.Container{o.Spec.Containers, o.Spec.InitContainers} {
			for i := range containers {
				c := &containers[i]
				containers[i] = corev1.Container{Name: c.Name, Resources: c.Resources, RestartPolicy: c.RestartPolicy}
			}
		}
	case *corev1.Node:
		o.ManagedFields, o.Annotations, o.Status.Images = nil, nil, nil
	}
	return object, nil
}

func (p *Pool) nodeIs(object any) {
	n := object.(*corev1.Node)
	now := nodeOf(n, p.spec.pods.NodeSelector)
	p.mu.Lock()
	before, known := p.nodes[n.Name]
	p.nodes[n.Name] = now
	p.mu.Unlock()
	if !known || before != now {
		p.changed()
	}
}

func (p *Pool) nodeGone(object any) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	n, ok := object.(*corev1.Node)
	if !ok {
		return
	}
	p.mu.Lock()
	delete(p.nodes, n.Name)
	p.mu.Unlock()
	p.changed()
}

// over reports that no container of a pod runs any more, or will.
func over(o *corev1.Pod) bool {
	return o.Status.Phase == corev1.PodFailed || o.Status.Phase == corev1.PodSucceeded
}

func (p *Pool) podIs(object any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.is(object.(*corev1.Pod))
}

// podFound takes what somebody has looked up of a pod, unless the watch has said more since:
// what is gone is never told of again.
func (p *Pool) podFound(w *pod, o *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pods[w.uid] != w {
		return
	}
	now, _ := w.look()
	if order, err := resourceversion.CompareResourceVersion(o.ResourceVersion, now.ResourceVersion); err == nil && order <= 0 {
		return
	}
	p.is(o)
}

// is takes what the cluster says of a pod; mu is held.
func (p *Pool) is(o *corev1.Pod) {
	if over(o) {
		delete(p.claims, o.UID)
	} else {
		c := claim{o.Spec.NodeName, needOf(o), p.swept[o.UID]}
		if c.node == "" && o.Labels[LabelOwner] != p.spec.owner {
			delete(p.claims, o.UID) // it may never have a node, and takes its room with it when it has
		} else {
			p.claims[o.UID] = c
		}
	}
	p.changed()
	if w := p.own(o, false); w != nil {
		w.see(o)
		switch {
		case over(o):
			p.lost(w)
		case o.DeletionTimestamp != nil:
			p.leaving(w)
		}
	}
}

func (p *Pool) podGone(object any) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	o, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.claims, o.UID)
	p.changed()
	if w := p.own(o, true); w != nil {
		delete(p.pods, o.UID)
		w.gone()
		p.lost(w)
	}
}

// early is what the watch said of a pod of ours that nobody knows yet.
type early struct {
	pod   *corev1.Pod
	since time.Time
	gone  bool
}

// own returns the pod if this run made it; mu is held. What is said of one whose making
// has not been answered yet is kept.
func (p *Pool) own(o *corev1.Pod, gone bool) *pod {
	if o.Labels[LabelOwner] != p.spec.owner || o.Labels[LabelPool] != p.spec.pool {
		return nil
	}
	w := p.pods[o.UID]
	if w == nil {
		e, ok := p.early[o.UID]
		if !ok {
			e.since = time.Now()
		}
		p.early[o.UID] = early{o, e.since, gone}
	}
	return w
}

// unanswered takes out the pods that are there although their making was never answered
// within a while; mu is held.
func (p *Pool) unanswered(now time.Time) (strays []*corev1.Pod) {
	for uid, e := range p.early {
		if now.Sub(e.since) < strayAfter {
			continue
		}
		delete(p.early, uid)
		if !e.gone {
			strays = append(strays, e.pod)
		}
	}
	return strays
}

// lost is told of a pod that has ended by itself or is gone; mu is held. An instance
// that runs nothing is reported; the calls of others are ended.
func (p *Pool) lost(w *pod) {
	if p.unready(w) {
		p.background.Go(func() { p.drop(w) })
		return
	}
	i := w.instance
	if i == nil || p.instances[i.id] != i || !i.started || w.givenUp {
		return
	}
	w.givenUp = true
	if i.calls > 0 {
		p.background.Go(func() { p.giveUp(w) })
		return
	}
	delete(p.instances, i.id)
	if !i.stopped {
		p.exits.Add(i.id)
		p.background.Go(func() { p.drop(w) })
	}
}

// leaving is told of a pod that somebody has deleted and that may still run for its grace
// period; mu is held. It takes no more calls.
func (p *Pool) leaving(w *pod) {
	p.unready(w)
	i := w.instance
	if i == nil || p.instances[i.id] != i || !i.started || i.stopped {
		return
	}
	i.ejected = true
	if i.calls == 0 {
		delete(p.instances, i.id)
		p.exits.Add(i.id)
	}
}
