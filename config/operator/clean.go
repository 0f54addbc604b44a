package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/spillway-dev/spillway"
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
	var fresh, deleted []*kube.Function
	for _, o := range objects {
		f, ok := o.(*kube.Function)
		if !ok {
			continue
		}
		switch has := slices.Contains(f.Finalizers, Finalizer); {
		case f.DeletionTimestamp == nil && !has:
			fresh = append(fresh, f)
		case f.DeletionTimestamp != nil && has:
			deleted = append(deleted, f)
		}
	}
	failed := inParallel(fresh, func(f *kube.Function) error { return r.finalizer(ctx, f, controllerutil.AddFinalizer) })
	if len(deleted) == 0 {
		return resync, failed
	}
	pods, err := r.pods(ctx)
	if err != nil {
		return lookAgain, errors.Join(failed, err)
	}
	again := resync
	for _, f := range deleted {
		done, err := r.clean(ctx, f, pods[keyOf(f)])
		if failed = errors.Join(failed, err); !done {
			again = lookAgain
		}
	}
	return again, failed
}

// pods are those of functions, by function. They are asked for, not followed: there are
// many, and they matter to functions that are deleted only.
func (r *rounds) pods(ctx context.Context) (map[spillway.FunctionKey][]metav1.PartialObjectMetadata, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	if err := r.live.List(ctx, list, client.HasLabels{podpool.LabelTenant, podpool.LabelFunction}); err != nil {
		return nil, fmt.Errorf("look for pods of functions: %w", err)
	}
	all := map[spillway.FunctionKey][]metav1.PartialObjectMetadata{}
	for _, p := range list.Items {
		key := spillway.FunctionKey{Namespace: p.Labels[podpool.LabelTenant], Name: p.Labels[podpool.LabelFunction]}
		all[key] = append(all[key], p)
	}
	return all, nil
}

// clean takes a function that is deleted one step further. Its calls may end, its pods
// that are left are deleted, and it goes when they are gone, or did not go in time.
func (r *rounds) clean(ctx context.Context, f *kube.Function, pods []metav1.PartialObjectMetadata) (done bool, err error) {
	timeout := defaultTimeout
	if t := f.Spec.Timeout; t != nil {
		timeout = time.Duration(*t)
	}
	now, drained := r.now(), f.DeletionTimestamp.Add(timeout+r.o.Drain)
	switch {
	case len(pods) == 0:
	case now.Before(drained):
		return false, nil
	case now.Before(drained.Add(r.o.Cleanup)):
		return false, r.removePods(ctx, pods)
	default:
		r.event(f, corev1.EventTypeWarning, "CleanupTimedOut", "CleanUp", fmt.Sprintf("%d pods are still there, such as %s/%s; the function goes without waiting for them.",
			len(pods), pods[0].Namespace, pods[0].Name))
	}
	return true, r.finalizer(ctx, f, controllerutil.RemoveFinalizer)
}

func (r *rounds) removePods(ctx context.Context, pods []metav1.PartialObjectMetadata) error {
	var failed error
	for i := range pods {
		p := &pods[i]
		if p.DeletionTimestamp != nil {
			continue
		}
		gone := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}}
		err := r.client.Delete(ctx, gone, client.Preconditions{UID: &p.UID}, client.DisableReadYourWritesConsistency)
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
