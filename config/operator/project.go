package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
)

// projecting puts the limits of the quota tree into namespaces.
type projecting struct {
	*rounds
	nodes      map[string]*spillway.QuotaNode
	namespaces map[string]*metav1.PartialObjectMetadata
	quotas     map[string]*corev1.ResourceQuota // by namespace
	wanted     map[string]bool                  // namespaces
}

// projection is what became of one Quota.
type projection struct {
	entries                            []kube.Projection
	missing, foreign, drifted, overuse []string
	failed                             error
}

// limited is what became of one namespace's limit.
type limited struct {
	*limit
	projection
}

func (p *projection) add(of *projection) {
	p.entries, p.missing, p.foreign = append(p.entries, of.entries...), append(p.missing, of.missing...), append(p.foreign, of.foreign...)
	p.drifted, p.overuse, p.failed = append(p.drifted, of.drifted...), append(p.overuse, of.overuse...), errors.Join(p.failed, of.failed)
}

func (r *rounds) projecting(ctx context.Context, p *spillway.Platform, namespaces map[string]*metav1.PartialObjectMetadata) (*projecting, error) {
	var list corev1.ResourceQuotaList
	if err := r.client.List(ctx, &list, client.MatchingLabels(ours())); err != nil {
		return nil, fmt.Errorf("read resource quotas: %w", err)
	}
	a := &projecting{rounds: r, nodes: map[string]*spillway.QuotaNode{}, namespaces: namespaces,
		quotas: map[string]*corev1.ResourceQuota{}, wanted: map[string]bool{}}
	for i := range p.Quotas {
		a.nodes[p.Quotas[i].Name] = &p.Quotas[i]
	}
	for i := range list.Items {
		if q := &list.Items[i]; q.Name == QuotaName {
			a.quotas[q.Namespace] = q
		}
	}
	return a, nil
}

// project makes what is wanted for one Quota, leaves what others changed, and says so.
func (a *projecting) project(ctx context.Context, o *kube.Quota, s *owned) error {
	node := a.nodes[o.Name]
	if node == nil {
		return nil // it is new since the objects were loaded
	}
	var p projection
	var each []*limited
	for _, name := range slices.Sorted(slices.Values(o.Spec.Namespaces)) {
		l := limitOf(node, name)
		if l == nil {
			continue
		}
		a.wanted[name] = true
		if ns := a.namespaces[name]; ns == nil || ns.DeletionTimestamp != nil {
			p.missing = append(p.missing, name)
			continue
		}
		each = append(each, &limited{limit: l})
	}
	_ = inParallel(each, func(l *limited) error { a.one(ctx, o, l.limit, &l.projection); return nil }) // it holds what failed
	for _, l := range each {
		p.add(&l.projection)
	}
	p.say(o, s, a)
	if p.failed == nil && o.Annotations[RestoreAnnotation] != "" {
		p.failed = a.restored(ctx, o)
	}
	return p.failed
}

// one makes, compares or restores the limit of one namespace.
func (a *projecting) one(ctx context.Context, o *kube.Quota, l *limit, p *projection) {
	is := a.quotas[l.namespace]
	entry := kube.Projection{To: l.to(), Want: l.want}
	if !inForce(o, l) {
		switch now, err := a.write(ctx, l, is); {
		case errors.Is(err, errForeign):
			p.foreign = append(p.foreign, l.namespace)
			return
		case err != nil:
			p.failed = errors.Join(p.failed, err)
			return
		default:
			is = now
		}
	}
	switch {
	case is == nil:
		entry.Found = &v1alpha1.Capacity{}
		p.drifted = append(p.drifted, l.to()+" was deleted, or has lost the label of ours")
	default:
		if differences := l.differences(is); differences != nil {
			entry.Found = found(is)
			p.drifted = append(p.drifted, l.to()+": "+strings.Join(differences, ", "))
		}
		p.overuse = append(p.overuse, above(is)...)
	}
	p.entries = append(p.entries, entry)
}

// inForce reports that this very limit was made before, for the Quota as it is written
// now: what differs then was changed by somebody else.
func inForce(o *kube.Quota, l *limit) bool {
	s := ownedOf(o)
	c := s.condition(kube.QuotaProjected)
	if c == nil || c.ObservedGeneration != o.Generation || o.Annotations[RestoreAnnotation] != "" {
		return false
	}
	return slices.ContainsFunc(s.Projected, func(p kube.Projection) bool {
		return p.To == l.to() && reflect.DeepEqual(p.Want, l.want)
	})
}

var errForeign = errors.New("it was not made by the operator")

// write makes what is there what is wanted.
func (a *projecting) write(ctx context.Context, l *limit, is *corev1.ResourceQuota) (*corev1.ResourceQuota, error) {
	want := l.object()
	if is != nil && l.differences(is) == nil && is.Labels[QuotaLabel] == l.quota {
		return is, nil
	}
	if is == nil {
		err := a.client.Create(ctx, want)
		if apierrors.IsAlreadyExists(err) {
			err = errForeign
		}
		return want, wrap(err, "make "+l.to())
	}
	if scopeText(is.Spec) != scopeText(want.Spec) { // a server may keep the scope as it is
		if err := a.remove(ctx, is); err != nil {
			return nil, err
		}
		return want, wrap(a.client.Create(ctx, want), "make "+l.to())
	}
	now := is.DeepCopy()
	now.Spec, now.Labels = want.Spec, want.Labels
	return now, wrap(a.client.Update(ctx, now), "change "+l.to())
}

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func (a *projecting) remove(ctx context.Context, q *corev1.ResourceQuota) error {
	err := a.client.Delete(ctx, q, client.Preconditions{UID: &q.UID})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return wrap(err, "remove "+quotaAt(q.Namespace))
}

// leave removes limits from namespaces that are in the quota tree no more.
func (a *projecting) leave(ctx context.Context) error {
	var failed []error
	for namespace, q := range a.quotas {
		if !a.wanted[namespace] && q.DeletionTimestamp == nil {
			failed = append(failed, a.remove(ctx, q))
		}
	}
	return few(failed)
}

// restored takes the annotation away that asked for it.
func (r *rounds) restored(ctx context.Context, o kube.Object) error {
	at := "/metadata/annotations/" + strings.ReplaceAll(RestoreAnnotation, "/", "~1")
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": at, "value": o.GetAnnotations()[RestoreAnnotation]}, {"op": "remove", "path": at},
	})
	if err != nil {
		return err
	}
	now, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("%T is no object", o)
	}
	err = r.client.Patch(ctx, now, client.RawPatch(types.JSONPatchType, patch))
	return wrap(client.IgnoreNotFound(err), "take annotation "+RestoreAnnotation+" from "+fileOf(o))
}

// say writes the conditions.
func (p *projection) say(o *kube.Quota, s *owned, a *projecting) {
	s.Projected = p.entries
	if s.Projected == nil && len(p.missing)+len(p.foreign) == 0 && p.failed == nil {
		s.set(kube.QuotaProjected, say{metav1.ConditionTrue, "NothingToProject", "It has no namespace whose on-prem use it limits."}, o.Generation, a.now())
		s.drop(kube.Drifted)
		return
	}
	s.set(kube.QuotaProjected, p.projected(), o.Generation, a.now())
	drift := say{metav1.ConditionFalse, "AsProjected", "What is in force is what is written."}
	if len(p.drifted) > 0 {
		drift = say{metav1.ConditionTrue, "ChangedElsewhere", strings.Join(p.drifted, "\n") +
			"\nIt is left so until spec changes. To put it back now: kubectl annotate quotas.spillway.dev " + o.Name + " " + RestoreAnnotation + "=now"}
	}
	s.set(kube.Drifted, drift, o.Generation, a.now())
}

func (p *projection) projected() say {
	switch {
	case p.failed != nil:
		return say{metav1.ConditionFalse, "Failed", p.failed.Error()}
	case len(p.foreign) > 0:
		return say{metav1.ConditionFalse, "NotOurs", "There is a ResourceQuota " + QuotaName + " that Spillway did not make in " + strings.Join(p.foreign, ", ") + ": rename or remove it."}
	case len(p.missing) > 0:
		return say{metav1.ConditionFalse, "NamespaceMissing", "There is no namespace " + strings.Join(p.missing, ", ") + " now; its limit comes with it."}
	case len(p.overuse) > 0:
		return say{metav1.ConditionTrue, "InUseAbove", strings.Join(p.overuse, "; ") + ". Nothing is stopped for that: no pod starts there until it is below."}
	}
	names := make([]string, len(p.entries))
	for i, e := range p.entries {
		names[i] = e.To
	}
	return say{metav1.ConditionTrue, "Projected", "In force in " + strings.Join(names, ", ") + "."}
}
