package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
)

// PoolUse is the part of a pool's status that the dispatcher knows.
type PoolUse struct {
	Capacity *v1alpha1.Capacity `json:"capacity,omitempty"`
	InUse    *v1alpha1.Capacity `json:"inUse,omitempty"`
}

// QuotaUse is the part of a quota's status that the dispatcher knows.
type QuotaUse struct {
	InUse    v1alpha1.Nominal `json:"inUse,omitzero"`
	Borrowed v1alpha1.Nominal `json:"borrowed,omitzero"`
}

// Use is what is in use, by the names of objects.
type Use struct {
	Pools  map[string]PoolUse
	Quotas map[string]QuotaUse
}

// dispatcherManager owns what the dispatcher writes.
const dispatcherManager = "spillway-serve"

// Publisher writes into statuses what is in use. It is not safe for concurrent use.
type Publisher struct {
	client client.Client
	last   map[string][]byte // by kind and name
}

// NewPublisher returns one that has written nothing yet.
func NewPublisher(c *rest.Config) (*Publisher, error) {
	scheme := runtime.NewScheme()
	if err := kube.AddToScheme(scheme); err != nil {
		return nil, err
	}
	to, err := client.New(c, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("write statuses: %w", err)
	}
	return &Publisher{to, map[string][]byte{}}, nil
}

// Publish writes what is other than it wrote last. Objects that are gone are passed
// over; after an error the rest is written all the same.
func (p *Publisher) Publish(ctx context.Context, use Use) error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(use.Pools)) {
		all = append(all, p.put(ctx, &kube.Pool{ObjectMeta: metav1.ObjectMeta{Name: name}}, v1alpha1.KindPool, use.Pools[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(use.Quotas)) {
		all = append(all, p.put(ctx, &kube.Quota{ObjectMeta: metav1.ObjectMeta{Name: name}}, v1alpha1.KindQuota, use.Quotas[name]))
	}
	return errors.Join(all...)
}

func (p *Publisher) put(ctx context.Context, o client.Object, kind string, status any) error {
	patch, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.APIVersion, "kind": kind, "metadata": map[string]string{"name": o.GetName()}, "status": status,
	})
	if err != nil {
		return fmt.Errorf("write the status of %s %s: %w", kind, o.GetName(), err)
	}
	key := kind + " " + o.GetName()
	if bytes.Equal(p.last[key], patch) {
		return nil
	}
	err = p.client.Status().Patch(ctx, o, client.RawPatch(types.ApplyPatchType, patch), client.FieldOwner(dispatcherManager), client.ForceOwnership)
	switch {
	case apierrors.IsNotFound(err): // it is of a file, or gone
	case err != nil:
		return fmt.Errorf("write the status of %s %s: %w", kind, o.GetName(), err)
	}
	p.last[key] = patch
	return nil
}
