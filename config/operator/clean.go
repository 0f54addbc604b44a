package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config/cluster"
	podpool "github.com/spillway-dev/spillway/pools/kube"
)

// Finalizer keeps a Function until its pods are gone.
const Finalizer = "spillway.dev/cleanup"

const (
	defaultTimeout = 3 * time.Second // of a function that does not say
	lookAgain      = time.Second     // at pods that should go
)

// cleanUp gives functions their finalizer, and takes it from those that are deleted
// when their pods are gone. It returns when it is due again.
func (r *rounds) cleanUp(ctx context.Context, objects []cluster.Object) (time.Duration, error) {
	again := resync
	var failed error
	for _, o := range objects {
		f, ok := o.(*kube.Function)
		if !ok {
			continue
		}
		has := slices.Contains(f.Finalizers, Finalizer)
		switch {
		case f.DeletionTimestamp == nil && !has:
			failed = errors.Join(failed, r.finalizer(ctx, f, controllerutil.AddFinalizer))
		case f.DeletionTimestamp != nil && has:
			done, err := r.clean(ctx, f)
			if failed = errors.Join(failed, err); !done {
				again = lookAgain
			}
		}
	}
	return again, failed
}

// clean takes a function that is deleted one step further. Its calls may end, its pods
// that are left are deleted, and it goes when they are gone, or did not go in time.
func (r *rounds) clean(ctx context.Context, f *kube.Function) (done bool, err error) {
	var pods corev1.PodList
	if err := r.live.List(ctx, &pods, client.MatchingLabels{podpool.LabelTenant: f.Namespace, podpool.LabelFunction: f.Name}); err != nil {
		return false, fmt.Errorf("look for pods of function %s: %w", keyOf(f), err)
	}
	timeout := defaultTimeout
	if t := f.Spec.Timeout; t != nil {
		timeout = time.Duration(*t)
	}
	now, drained := r.now(), f.DeletionTimestamp.Add(timeout+r.o.Drain)
	switch {
	case len(pods.Items) == 0:
	case now.Before(drained):
		return false, nil
	case now.Before(drained.Add(r.o.Cleanup)):
		return false, r.removePods(ctx, pods.Items)
	default:
		r.event(f, corev1.EventTypeWarning, "CleanupTimedOut", "CleanUp", fmt.Sprintf("%d pods are still there, such as %s/%s; the function goes without waiting for them.",
			len(pods.Items), pods.Items[0].Namespace, pods.Items[0].Name))
	}
	return true, r.finalizer(ctx, f, controllerutil.RemoveFinalizer)
}

func (r *rounds) removePods(ctx context.Context, pods []corev1.Pod) error {
	var failed error
	for i := range pods {
		p := &pods[i]
		if p.DeletionTimestamp != nil {
			continue
		}
		err := r.client.Delete(ctx, p, client.Preconditions{UID: &p.UID})
		failed = errors.Join(failed, wrap(client.IgnoreNotFound(err), "delete pod "+p.Namespace+"/"+p.Name))
	}
	return failed
}

// finalizer changes the finalizers, unless somebody else has changed the function.
func (r *rounds) finalizer(ctx context.Context, f *kube.Function, change func(client.Object, string) bool) error {
	now := f.DeepCopy()
	change(now, Finalizer)
	patch := client.MergeFromWithOptions(f, client.MergeFromWithOptimisticLock{})
	var options []client.PatchOption
	if f.DeletionTimestamp != nil {
		options = append(options, client.DisableReadYourWritesConsistency) // there may be nothing to read then
	}
	return wrap(client.IgnoreNotFound(r.client.Patch(ctx, now, patch, options...)), "change the finalizers of "+fileOf(f))
}
