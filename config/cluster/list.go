package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
)

// Object is an object of the cluster that the loader takes.
type Object interface {
	kube.Object
	config.Object
}

// List returns all objects in a fixed order: by kind, namespace and name. They are
// shared if r is a cache: do not modify them.
func List(ctx context.Context, r client.Reader) ([]Object, error) {
	var all []Object
	for _, list := range []client.ObjectList{&kube.FunctionList{}, &kube.PoolList{}, &kube.QuotaList{}, &kube.BurstPolicyList{}, &kube.PriceBookList{}} {
		if err := r.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("read the objects of the cluster: %w", err)
		}
		all = append(all, sorted(items(list))...)
	}
	return all, nil
}

// Kept are the objects that are not being deleted, which are what holds.
func Kept(all []Object) []config.Object {
	kept := make([]config.Object, 0, len(all))
	for _, o := range all {
		if o.GetDeletionTimestamp() == nil {
			kept = append(kept, o)
		}
	}
	return kept
}

func items(list client.ObjectList) []Object {
	switch l := list.(type) {
	case *kube.FunctionList:
		return pointers(l.Items, func(o *kube.Function) Object { return o })
	case *kube.PoolList:
		return pointers(l.Items, func(o *kube.Pool) Object { return o })
	case *kube.QuotaList:
		return pointers(l.Items, func(o *kube.Quota) Object { return o })
	case *kube.BurstPolicyList:
		return pointers(l.Items, func(o *kube.BurstPolicy) Object { return o })
	case *kube.PriceBookList:
		return pointers(l.Items, func(o *kube.PriceBook) Object { return o })
	}
	return nil
}

func pointers[T any](all []T, object func(*T) Object) []Object {
	out := make([]Object, len(all))
	for i := range all {
		out[i] = object(&all[i])
	}
	return out
}

func sorted(all []Object) []Object {
	slices.SortFunc(all, func(a, b Object) int {
		return cmp.Or(strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
	})
	return all
}

// PolicyMaps are the ConfigMaps with policies in the system's namespace, by name. They
// are shared if r is a cache.
func PolicyMaps(ctx context.Context, r client.Reader, namespace string) ([]corev1.ConfigMap, error) {
	var list corev1.ConfigMapList
	if err := r.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{PolicyLabel: "true"}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("read the policies of the cluster: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.ConfigMap) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// PolicyFiles are the Rego files of ConfigMaps by name, which is CONFIGMAP_KEY, so that
// two may have the same key. Keys that do not end in .rego are left out.
func PolicyFiles(maps []corev1.ConfigMap) map[string]string {
	files := map[string]string{}
	for i := range maps {
		for key, text := range maps[i].Data {
			if strings.HasSuffix(key, ".rego") {
				files[maps[i].Name+"_"+key] = text
			}
		}
	}
	return files
}
