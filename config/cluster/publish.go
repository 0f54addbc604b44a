package cluster

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway"
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
	// Approved is nil where the limits of spec hold. It is written as soon as it changes.
	Approved *kube.Approved `json:"approved,omitempty"`
}

// FunctionUse is the part of a function's status that the dispatcher knows.
type FunctionUse struct {
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	Revisions  []RevisionUse      `json:"revisions,omitempty"`
}

// RevisionUse is how many instances of a revision are started.
type RevisionUse struct {
	Name      string `json:"name"`
	Instances int64  `json:"instances"`
}

// Use is what is in use by the names of objects, and what is served by UID. Objects that
// it does not name are left as they are.
type Use struct {
	Pools  map[string]PoolUse
	Quotas map[string]QuotaUse
	Served map[types.UID]Served
	// Instances that are started, by function and revision.
	Instances map[spillway.FunctionKey]map[string]int64
}

// dispatcherManager owns what the dispatcher writes.
const dispatcherManager = "spillway-serve"

// writeEvery is how often the same object is written, but for a condition, and for
// what was approved, which are written as soon as they change.
const writeEvery = 30 * time.Second

// Publisher writes into statuses what is in use. It is not safe for concurrent use.
type Publisher struct {
	client client.Client
	wrote  map[types.UID]time.Time // or tried to
}

// NewPublisher returns one that has written nothing yet.
func NewPublisher(c *rest.Config) (*Publisher, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(kube.AddToScheme(scheme), eventsv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	to, err := client.New(c, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("write statuses: %w", err)
	}
	return &Publisher{to, map[types.UID]time.Time{}}, nil
}

// Publish writes what differs from the status that objects have, until ctx ends: the next
// time begins with what was written longest ago. After an error the rest is written all
// the same.
func (p *Publisher) Publish(ctx context.Context, now time.Time, objects []Object, use Use) error {
	var all []error
	for _, w := range p.due(now, objects, use) {
		if ctx.Err() != nil {
			return errors.Join(append(all, fmt.Errorf("write statuses: %w", context.Cause(ctx)))...)
		}
		p.wrote[w.object.GetUID()] = now
		all = append(all, p.put(ctx, w))
	}
	return errors.Join(all...)
}

// writing is a status that an object should have.
type writing struct {
	object Object
	status any
	urgent bool
	news   *Served // that people are told of in an event; nil: nothing
}

// due are the statuses to be written at now: conditions first, then what was written
// longest ago. It forgets objects that are gone.
func (p *Publisher) due(now time.Time, objects []Object, use Use) []writing {
	wrote := make(map[types.UID]time.Time, len(p.wrote))
	var all []writing
	for _, o := range objects {
		last, known := p.wrote[o.GetUID()]
		if known {
			wrote[o.GetUID()] = last
		}
		if o.GetDeletionTimestamp() != nil {
			continue
		}
		if w, differs := use.of(o, now); differs && (!known || w.urgent || now.Sub(last) >= writeEvery) {
			all = append(all, w)
		}
	}
	p.wrote = wrote
	slices.SortStableFunc(all, func(a, b writing) int {
		if a.urgent != b.urgent {
			return cmp.Compare(fromBool(b.urgent), fromBool(a.urgent))
		}
		return p.wrote[a.object.GetUID()].Compare(p.wrote[b.object.GetUID()])
	})
	return all
}

func fromBool(b bool) int {
	if b {
		return 1
	}
	return 0
}

// of is what an object's status should be, and whether it is not.
func (u *Use) of(o Object, now time.Time) (writing, bool) {
	switch o := o.(type) {
	case *kube.Pool:
		if want, named := u.Pools[o.Name]; named {
			return writing{object: o, status: want}, differ(want, PoolUse{o.Status.Capacity, o.Status.InUse})
		}
	case *kube.Quota:
		if want, named := u.Quotas[o.Name]; named {
			return writing{object: o, status: want, urgent: differ(want.Approved, o.Status.Approved)}, differ(want, QuotaUse{o.Status.InUse, o.Status.Borrowed, o.Status.Approved})
		}
	case *kube.Function:
		return u.ofFunction(o, now)
	}
	return writing{}, false
}

// ofFunction has all that is the dispatcher's, since what an apply leaves out is taken
// away. Revisions are those that the operator has put there.
func (u *Use) ofFunction(o *kube.Function, now time.Time) (writing, bool) {
	var status FunctionUse
	var news *Served
	was, urgent, differs := meta.FindStatusCondition(o.Status.Conditions, kube.Served), false, false
	if want, judged := u.Served[o.UID]; judged {
		status.Conditions, urgent = []metav1.Condition{want.condition(was, now)}, !want.is(was)
		if want.isNews(was) {
			news = &want
		}
	} else if was != nil {
		status.Conditions = []metav1.Condition{*was}
	}
	count := u.Instances[spillway.FunctionKey{Namespace: o.Namespace, Name: o.Name}]
	for _, r := range o.Status.Revisions {
		n := count[r.Name]
		differs = differs || n != r.Instances
		if n > 0 {
			status.Revisions = append(status.Revisions, RevisionUse{r.Name, n})
		}
	}
	return writing{o, status, urgent, news}, urgent || differs
}

func differ(want, has any) bool {
	a, err := json.Marshal(want)
	b, err2 := json.Marshal(has)
	return err != nil || err2 != nil || !bytes.Equal(a, b)
}

func (p *Publisher) put(ctx context.Context, w writing) error {
	o := w.object
	kind := kindOf(o)
	type metadata struct {
		Name      string    `json:"name"`
		Namespace string    `json:"namespace,omitempty"`
		UID       types.UID `json:"uid"` // not of one that was made anew meanwhile
	}
	patch, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.APIVersion, "kind": kind, "metadata": metadata{o.GetName(), o.GetNamespace(), o.GetUID()}, "status": w.status,
	})
	if err == nil {
		into, ok := o.DeepCopyObject().(client.Object)
		if !ok {
			return fmt.Errorf("%T is no object", o)
		}
		err = p.client.Status().Patch(ctx, into, client.RawPatch(types.ApplyPatchType, patch), client.FieldOwner(dispatcherManager), client.ForceOwnership)
	}
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // it is gone, or was made anew
		delete(p.wrote, o.GetUID())
	case err != nil:
		return fmt.Errorf("write the status of %s %s: %w", kind, client.ObjectKeyFromObject(o), err)
	case w.news != nil:
		return p.tell(ctx, o, w.news)
	}
	return nil
}

func kindOf(o Object) string {
	switch o.(type) {
	case *kube.Pool:
		return v1alpha1.KindPool
	case *kube.Quota:
		return v1alpha1.KindQuota
	}
	return v1alpha1.KindFunction
}
