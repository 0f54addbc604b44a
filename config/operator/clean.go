package operator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config/cluster"
	podpool "github.com/spillway-dev/spillway/pools/kube"
)

// Finalizer keeps a Function until its pods are gone, and what clouds reserve for it.
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
	r.sawLeaving(deleted)
	failed := inParallel(fresh, func(f *kube.Function) error { return r.finalizer(ctx, f, controllerutil.AddFinalizer) })
	if len(deleted) == 0 {
		return resync, failed
	}
	pods, err := r.pods(ctx)
	if err != nil {
		return lookAgain, errors.Join(failed, err)
	}
	again, each := resync, []error{failed}
	for _, f := range deleted {
		done, err := r.clean(ctx, f, pods[keyOf(f)])
		if each = append(each, err); !done {
			again = lookAgain
		}
	}
	return again, few(each)
}

// sawLeaving notes when each was first seen to be deleted, by the clock here: that of the
// API server, which an object tells, may be minutes away.
func (r *rounds) sawLeaving(deleted []*kube.Function) {
	seen, now := make(map[types.UID]time.Time, len(deleted)), r.now()
	for _, f := range deleted {
		seen[f.UID] = now
		if at, ok := r.leaving[f.UID]; ok {
			seen[f.UID] = at
		}
	}
	r.leaving = seen
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
// that are left are deleted, and it goes when they are gone and clouds have nothing
// reserved for it that was written there, or did not come to that in time.
func (r *rounds) clean(ctx context.Context, f *kube.Function, pods []metav1.PartialObjectMetadata) (done bool, err error) {
	timeout := defaultTimeout
	if t := f.Spec.Timeout; t != nil {
		timeout = time.Duration(*t)
	}
	left := stillReserved(f)
	now, drained := r.now(), r.leaving[f.UID].Add(timeout+r.o.Drain)
	switch {
	case len(pods) == 0 && len(left) == 0:
	case now.Before(drained):
		return false, nil
	case now.Before(drained.Add(r.o.Cleanup)):
		return false, r.removePods(ctx, pods)
	default:
		if len(pods) > 0 {
			left = append(left, fmt.Sprintf("%d pods, such as %s/%s", len(pods), pods[0].Namespace, pods[0].Name))
		}
		r.event(f, corev1.EventTypeWarning, "CleanupTimedOut", "CleanUp", "There are still "+strings.Join(left, "; ")+"; the function goes without waiting for that.")
	}
	return true, r.finalizer(ctx, f, controllerutil.RemoveFinalizer)
}

// stillReserved is what clouds have reserved for a function because it was written there.
func stillReserved(f *kube.Function) []string {
	var all []string
	for _, e := range f.Status.Reserved {
		if n := cmp.Or(e.Written, e.Writing); n != nil {
			all = append(all, fmt.Sprintf("%d %s at once reserved for %s in %s", *n, e.Unit, e.Function, e.Pool))
		}
	}
	return all
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
