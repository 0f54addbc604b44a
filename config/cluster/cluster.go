// Package cluster follows the objects of group spillway.dev in a Kubernetes cluster, and
// the policies there, and gives them to package config.
//
// The data path never asks the API server: calls are decided by the platform that was
// compiled last. While the API server is gone that stays as it is.
package cluster

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
)

// PolicyLabel marks the ConfigMaps of the system namespace that hold Rego, with the
// value "true". Each of their keys is a file.
const PolicyLabel = "spillway.dev/policy"

// Source is the state of a cluster as it was last heard of. It is safe for concurrent
// use.
type Source struct {
	cache     cache.Cache
	namespace string
	changes   chan struct{} // of one
}

// kinds are followed, besides ConfigMaps.
func kinds() []client.Object {
	return []client.Object{&kube.Function{}, &kube.Pool{}, &kube.Quota{}, &kube.BurstPolicy{}, &kube.PriceBook{}}
}

// Open follows the objects of the cluster until ctx ends, and returns when all of them
// have been seen. namespace is the system's own, where policies are.
func Open(ctx context.Context, c *rest.Config, namespace string) (*Source, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(kube.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	followed, err := cache.New(c, cache.Options{Scheme: scheme, DefaultTransform: cache.TransformStripManagedFields(), ByObject: map[client.Object]cache.ByObject{
		&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{namespace: {LabelSelector: labels.SelectorFromSet(labels.Set{PolicyLabel: "true"})}}},
	}})
	if err != nil {
		return nil, fmt.Errorf("follow the cluster: %w", err)
	}
	s := &Source{cache: followed, namespace: namespace, changes: make(chan struct{}, 1)}
	var seen []toolscache.InformerSynced
	for _, kind := range append(kinds(), &corev1.ConfigMap{}) {
		handled, err := s.follow(ctx, kind)
		if err != nil {
			return nil, err
		}
		seen = append(seen, handled)
	}
	handled, err := s.followNamespaces(ctx)
	if err != nil {
		return nil, err
	}
	seen = append(seen, handled)
	go func() { _ = followed.Start(ctx) }() // it returns nil when ctx ends
	if !followed.WaitForCacheSync(ctx) || !toolscache.WaitForCacheSync(ctx.Done(), seen...) {
		return nil, fmt.Errorf("see the objects of the cluster: %w", context.Cause(ctx))
	}
	select { // what was there from the start is no change
	case <-s.changes:
	default:
	}
	return s, nil
}

// follow returns what tells whether everything that was there has been handled.
func (s *Source) follow(ctx context.Context, kind client.Object) (toolscache.InformerSynced, error) {
	informer, err := s.cache.GetInformer(ctx, kind)
	if err != nil {
		return nil, fmt.Errorf("follow %T: %w; are the CRDs of spillway.dev there, and may this account list and watch them?", kind, err)
	}
	handled, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.changed() },
		UpdateFunc: func(before, now any) {
			if written(before) != written(now) {
				s.changed()
			}
		},
		DeleteFunc: func(any) { s.changed() },
	})
	if err != nil {
		return nil, err
	}
	return handled.HasSynced, nil
}

// followNamespaces hears of those that are made when their functions are there already.
func (s *Source) followNamespaces(ctx context.Context) (toolscache.InformerSynced, error) {
	informer, err := s.cache.GetInformer(ctx, namespaceMeta())
	if err != nil {
		return nil, fmt.Errorf("follow namespaces: %w; may this account list and watch them?", err)
	}
	handled, err := informer.AddEventHandler(toolscache.ResourceEventHandlerDetailedFuncs{AddFunc: func(o any, first bool) {
		if ns, ok := o.(client.Object); ok && !first && s.hasFunctions(ctx, ns.GetName()) {
			s.changed()
		}
	}})
	if err != nil {
		return nil, err
	}
	return handled.HasSynced, nil
}

func (s *Source) hasFunctions(ctx context.Context, namespace string) bool {
	var list kube.FunctionList
	err := s.cache.List(ctx, &list, client.InNamespace(namespace), client.Limit(1), client.UnsafeDisableDeepCopy)
	return err != nil || len(list.Items) > 0
}

func namespaceMeta() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return o
}

// written is what differs when a person changed an object, and does not when its status
// was: spec's generation, and for ConfigMaps the version.
func written(object any) string {
	o, ok := object.(client.Object)
	if !ok {
		return ""
	}
	if _, data := o.(*corev1.ConfigMap); data {
		return o.GetResourceVersion()
	}
	return fmt.Sprintf("%s %d %v", o.GetUID(), o.GetGeneration(), o.GetDeletionTimestamp() != nil)
}

func (s *Source) changed() {
	select {
	case s.changes <- struct{}{}:
	default:
	}
}

// Changes delivers when something is other than before. Several changes may be one.
func (s *Source) Changes() <-chan struct{} { return s.changes }

// Objects are all of them in a fixed order: by kind, namespace and name. Those that are
// being deleted are left out. They are shared: do not modify them.
func (s *Source) Objects(ctx context.Context) ([]config.Object, error) {
	list, err := s.All(ctx)
	if err != nil {
		return nil, err
	}
	return Kept(list), nil
}

// All are the objects with their statuses, in the same order, those that are being
// deleted too. They are shared: do not modify them.
func (s *Source) All(ctx context.Context) ([]Object, error) { return List(ctx, s.cache) }

// NamespaceUIDs are those of all namespaces, by name.
func (s *Source) NamespaceUIDs(ctx context.Context) (map[string]string, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := s.cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("read namespaces: %w", err)
	}
	uids := make(map[string]string, len(list.Items))
	for i := range list.Items {
		uids[list.Items[i].Name] = string(list.Items[i].UID)
	}
	return uids, nil
}

// Policies are the Rego files of the policy ConfigMaps, as PolicyFiles names them.
func (s *Source) Policies(ctx context.Context) (map[string]string, error) {
	maps, err := PolicyMaps(ctx, s.cache, s.namespace)
	if err != nil {
		return nil, err
	}
	return PolicyFiles(maps), nil
}
