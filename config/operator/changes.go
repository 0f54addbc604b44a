package operator

import (
	"context"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
)

// settle is how long changes are gathered before a round.
const settle = 200 * time.Millisecond

// all is the only request: a round looks at everything.
var all = reconcile.Request{NamespacedName: types.NamespacedName{Name: "all"}}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

func soon() handler.EventHandler {
	return handler.Funcs{
		CreateFunc:  func(_ context.Context, _ event.CreateEvent, q queue) { q.AddAfter(all, settle) },
		UpdateFunc:  func(_ context.Context, _ event.UpdateEvent, q queue) { q.AddAfter(all, settle) },
		DeleteFunc:  func(_ context.Context, _ event.DeleteEvent, q queue) { q.AddAfter(all, settle) },
		GenericFunc: func(_ context.Context, _ event.GenericEvent, q queue) { q.AddAfter(all, settle) },
	}
}

// changed leaves out updates that no round would answer: of what others keep in a
// status, such as what is in use.
func changed() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		a, b := e.ObjectOld, e.ObjectNew
		return a.GetUID() != b.GetUID() || a.GetGeneration() != b.GetGeneration() || (a.GetDeletionTimestamp() == nil) != (b.GetDeletionTimestamp() == nil) ||
			!reflect.DeepEqual(a.GetFinalizers(), b.GetFinalizers()) || a.GetAnnotations()[RestoreAnnotation] != b.GetAnnotations()[RestoreAnnotation] ||
			differ(a, b)
	}}
}

// approvedOther reports that a Quota has other limits than its spec says.
func approvedOther(a, b kube.Object) bool {
	was, ok := a.(*kube.Quota)
	is, ok2 := b.(*kube.Quota)
	return ok && ok2 && !reflect.DeepEqual(was.Status.Approved, is.Status.Approved)
}

// reservedOther reports another outcome of a reservation; its numbers alone are no news.
func reservedOther(a, b kube.Object) bool {
	was, ok := a.(*kube.Function)
	is, ok2 := b.(*kube.Function)
	return ok && ok2 && !slices.EqualFunc(was.Status.Reserved, is.Status.Reserved, func(a, b kube.Reservation) bool {
		return a.Pool == b.Pool && a.Function == b.Function && a.Reason == b.Reason && a.Problem == b.Problem
	})
}

func differ(a, b client.Object) bool {
	switch b := b.(type) {
	case *corev1.ConfigMap:
		return a.GetResourceVersion() != b.ResourceVersion
	case *corev1.ResourceQuota:
		a, ok := a.(*corev1.ResourceQuota)
		return !ok || !reflect.DeepEqual(a.Spec, b.Spec) || len(above(a)) > 0 || len(above(b)) > 0
	case kube.Object:
		a, ok := a.(kube.Object)
		return !ok || !reflect.DeepEqual(ownedOf(a), ownedOf(b)) || reservedOther(a, b) || approvedOther(a, b)
	}
	return false
}
