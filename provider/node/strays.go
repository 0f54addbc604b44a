package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

const (
	straysEvery = 30 * time.Second
	// abandonedAfter is how long a virtual node is not ready until nobody is it.
	abandonedAfter = 5 * time.Minute
)

// strays ends guests of virtual nodes that nobody is any longer, for example since
// another name was given (--node-name): when nobody wants their pods any longer, none
// but this could end them.
type strays struct {
	node   string
	client kubernetes.Interface
	nodes  corelisters.NodeLister
	pods   corelisters.PodLister
	log    *slog.Logger
}

func newStrays(o Options, w *watched) *strays {
	core := w.cluster.Core().V1()
	return &strays{node: o.Name, client: o.Client, nodes: core.Nodes().Lister(), pods: core.Pods().Lister(), log: o.Log}
}

func (s *strays) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Warn("guests of another node are not ended", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(straysEvery):
		}
	}
	return nil
}

func (s *strays) sweep(ctx context.Context, now time.Time) error {
	all, err := s.pods.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, g := range all {
		of := g.Labels[guest.LabelNode]
		if of == "" || of == s.node || g.DeletionTimestamp != nil || g.Spec.PriorityClassName != guest.PriorityClass {
			continue
		}
		if !s.abandoned(of, now) || s.wanted(g) {
			continue
		}
		err := s.client.CoreV1().Pods(g.Namespace).Delete(ctx, g.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &g.UID}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete guest %s/%s of node %s: %w", g.Namespace, g.Name, of, err)
		}
		s.log.Info("a guest is ended: its pod is wanted no longer, and nobody is its node", "guest", g.Namespace+"/"+g.Name, "node", of)
	}
	return nil
}

// abandoned reports a virtual node that is gone or has long been without heartbeat.
func (s *strays) abandoned(name string, now time.Time) bool {
	n, err := s.nodes.Get(name)
	if err != nil {
		return apierrors.IsNotFound(err)
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status != corev1.ConditionTrue && now.Sub(c.LastTransitionTime.Time) > abandonedAfter
		}
	}
	return now.Sub(n.CreationTimestamp.Time) > abandonedAfter
}

// wanted reports whether g has its virtual pod, and nobody has deleted that.
func (s *strays) wanted(g *corev1.Pod) bool {
	v, err := s.pods.Pods(g.Namespace).Get(ownerName(g))
	if err != nil {
		return !apierrors.IsNotFound(err)
	}
	return string(v.UID) == g.Labels[guest.LabelOf] && v.DeletionTimestamp == nil
}
