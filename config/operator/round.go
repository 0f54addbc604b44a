package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
)

const (
	roundWithin = 5 * time.Minute
	// resync is how long nothing may have changed before all is looked at again.
	resync = 10 * time.Minute
	// atOnce bounds the writes that are under way.
	atOnce = 8
)

// rounds makes one round after the other.
type rounds struct {
	client client.Client // reads what it has written
	live   client.Reader
	events recorder.EventRecorder
	o      Options
	now    func() time.Time
	heard  chan event.GenericEvent // something else than an object is other than before

	loader   config.Cluster
	policies map[string]string // by ConfigMap: what was last said of it
	leaving  map[types.UID]time.Time

	mu         sync.Mutex
	loaded     *config.Loaded
	loadedOnce chan struct{} // closed when loaded is set
	found      []clouddrift.Finding
	asked      bool
	plan       *reservePlan
	replanned  chan struct{} // plan is another
}

// Reconcile makes a round. What fails does not keep the rest from being done, and is
// tried again.
func (r *rounds) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	began := r.now()
	objects, err := cluster.List(ctx, r.client)
	if err != nil {
		return reconcile.Result{}, err
	}
	namespaces, err := r.namespaces(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	loaded, faults, err := r.loader.Load("", cluster.Kept(objects), began, config.Checks{InCluster: true, WithoutCode: true, NamespaceUIDs: uids(namespaces), Machine: nothing, QuotaOverlays: approvedLimits(objects)})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("load the objects of the cluster: %w", err)
	}
	r.keep(loaded)
	r.replan(objects, loaded, namespaces)
	wanted := r.judge(objects, newJudgement(loaded, faults, began))
	again, failed := r.cleanUp(ctx, objects) // before statuses, which make objects others than were read
	failed = errors.Join(failed, r.limits(ctx, objects, wanted, loaded, namespaces))
	failed = errors.Join(failed, r.write(ctx, objects, wanted), r.judgePolicies(ctx, loaded))
	r.o.Log.Debug("round", slog.Int("objects", len(objects)), slog.Int("faults", len(faults)), slog.Duration("took", r.now().Sub(began)))
	after := min(again, next(loaded, began))
	if failed != nil && ctx.Err() == nil { // of some objects: the others are not to wait for ever longer
		r.o.Log.Warn("a part of the round failed and is tried again", "after", retryAfter.String(), "error", failed)
		after = min(after, retryAfter)
	}
	return reconcile.Result{RequeueAfter: after}, nil
}

// retryAfter is when a round is made again of which a part failed.
const retryAfter = 10 * time.Second

// nothing keeps the loader from asking the machine, which is not where calls run.
var nothing = spillway.Resources{Slots: 1, MilliCPU: 1000, MiB: 1024}

// approvedLimits hold in place of those of Quotas, as the dispatcher says.
func approvedLimits(objects []cluster.Object) []config.QuotaOverlay {
	var all []config.QuotaOverlay
	for _, o := range objects {
		if q, ok := o.(*kube.Quota); ok && q.DeletionTimestamp == nil && q.Status.Approved != nil {
			all = append(all, config.QuotaOverlay{Name: "what was approved", Quota: q.Name, Base: q.Status.Approved.Base, Nominal: q.Status.Approved.Nominal})
		}
	}
	return all
}

// keep is for whoever asks clouds.
func (r *rounds) keep(loaded *config.Loaded) {
	if loaded == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loaded == nil {
		close(r.loadedOnce)
	}
	r.loaded = loaded
}

// replan is for whoever has clouds reserve concurrency.
func (r *rounds) replan(objects []cluster.Object, loaded *config.Loaded, namespaces map[string]*metav1.PartialObjectMetadata) {
	r.mu.Lock()
	plan := r.plan
	r.mu.Unlock()
	if loaded == nil {
		plan = plan.withDeletions(objects)
	} else {
		plan = planReserve(objects, loaded, namespaces)
	}
	r.mu.Lock()
	r.plan = plan
	r.mu.Unlock()
	select {
	case r.replanned <- struct{}{}:
	default: // it has not looked at the one before yet
	}
}

func (r *rounds) namespaces(ctx context.Context) (map[string]*metav1.PartialObjectMetadata, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := r.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("read namespaces: %w", err)
	}
	all := make(map[string]*metav1.PartialObjectMetadata, len(list.Items))
	for i := range list.Items {
		all[list.Items[i].Name] = &list.Items[i]
	}
	return all, nil
}

func uids(namespaces map[string]*metav1.PartialObjectMetadata) map[string]string {
	all := make(map[string]string, len(namespaces))
	for name, o := range namespaces {
		all[name] = string(o.UID)
	}
	return all
}

// judge is by UID. Objects that are being deleted are left alone.
func (r *rounds) judge(objects []cluster.Object, j *judgement) map[types.UID]*owned {
	drift := r.drift()
	wanted := make(map[types.UID]*owned, len(objects))
	for _, o := range objects {
		if o.GetDeletionTimestamp() != nil {
			continue
		}
		s := j.status(o)
		drift.say(o, &s, j.now)
		wanted[o.GetUID()] = &s
	}
	return wanted
}

// limits makes what Quotas want elsewhere. Without a platform all stays as it is.
func (r *rounds) limits(ctx context.Context, objects []cluster.Object, wanted map[types.UID]*owned, loaded *config.Loaded, namespaces map[string]*metav1.PartialObjectMetadata) error {
	if loaded == nil {
		return nil
	}
	a, err := r.projecting(ctx, loaded.Platform, namespaces)
	if err != nil {
		return err
	}
	var failed []error
	for _, o := range objects {
		if q, ok := o.(*kube.Quota); ok && wanted[q.UID] != nil {
			failed = append(failed, a.project(ctx, q, wanted[q.UID]))
		}
	}
	return errors.Join(few(failed), a.leave(ctx))
}

// write applies the statuses that differ, and says what has changed.
func (r *rounds) write(ctx context.Context, objects []cluster.Object, wanted map[types.UID]*owned) error {
	return inParallel(objects, func(o cluster.Object) error {
		s, was := wanted[o.GetUID()], ownedOf(o)
		if s == nil || s.same(was) {
			return nil
		}
		if err := r.apply(ctx, o, s); err != nil {
			return err
		}
		r.tell(o, was, *s)
		return nil
	})
}

// inParallel does what is to be done with each, and returns all that failed.
func inParallel[T any](each []T, do func(T) error) error {
	failed := make([]error, len(each))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, v := range each {
		group.Go(func() error { failed[i] = do(v); return nil })
	}
	_ = group.Wait() // failed has what failed
	return few(failed)
}

// fewErrors bounds what is said of a round in which as much failed as there are objects.
const fewErrors = 5

// few are the first of many errors, of which some may be nil, and how many there are more.
func few(all []error) error {
	all = slices.DeleteFunc(all, func(err error) bool { return err == nil })
	if more := len(all) - fewErrors; more > 0 {
		all = append(all[:fewErrors:fewErrors], fmt.Errorf("and %d more errors", more))
	}
	return errors.Join(all...)
}

func (r *rounds) apply(ctx context.Context, o kube.Object, s *owned) error {
	patch, err := s.patch(o)
	if err != nil {
		return err
	}
	into, ok := o.DeepCopyObject().(kube.Object)
	if !ok {
		return fmt.Errorf("%T is no object", o)
	}
	err = r.client.Status().Patch(ctx, into, client.RawPatch(types.ApplyPatchType, patch), client.ForceOwnership, client.FieldOwner(FieldManager))
	if err == nil && !s.same(ownedOf(into)) {
		err = r.replace(ctx, into, s)
	}
	return wrap(client.IgnoreNotFound(err), "write the status of "+fileOf(o))
}

// replace writes what an apply leaves: entries that somebody else put into our lists.
func (r *rounds) replace(ctx context.Context, into kube.Object, s *owned) error {
	patch, err := s.replacement(into)
	if err != nil {
		return err
	}
	return r.client.Status().Patch(ctx, into, client.RawPatch(types.MergePatchType, patch))
}

// good is the status of conditions that people wait for.
var good = map[string]metav1.ConditionStatus{kube.Ready: metav1.ConditionTrue, kube.QuotaProjected: metav1.ConditionTrue, kube.Drifted: metav1.ConditionFalse}

// tell makes an event of each condition that is other than before. What is good from
// the start, and whether calls may burst at the start, is no news.
func (r *rounds) tell(o kube.Object, was, is owned) {
	for _, c := range is.Conditions {
		before := was.condition(c.Type)
		if before != nil && before.Status == c.Status && before.Reason == c.Reason {
			continue
		}
		fine, judged := good[c.Type]
		if before == nil && (!judged || fine == c.Status) {
			continue
		}
		kind := corev1.EventTypeNormal
		if judged && fine != c.Status {
			kind = corev1.EventTypeWarning
		}
		r.event(o, kind, c.Reason, "Judge", c.Type+" is "+string(c.Status)+". "+c.Message)
	}
}

// maxNote is what a server takes in an event.
const maxNote = 1000

func (r *rounds) event(o client.Object, kind, reason, action, note string) {
	if len(note) > maxNote {
		note = note[:maxNote]
		for i := len(note); i > 0; i-- { // not within a character
			if note[i-1] < 0x80 {
				note = note[:i]
				break
			}
		}
	}
	r.events.Eventf(o, nil, kind, reason, action, "%s", note)
}

// next is when a round is due though nothing has changed.
func next(loaded *config.Loaded, now time.Time) time.Duration {
	if loaded == nil {
		return resync
	}
	due := resync
	if until := loaded.PricesUntil; until.After(now) {
		due = min(due, until.Sub(now)+time.Second)
	}
	if slices.ContainsFunc(loaded.Platform.BurstPolicies, func(b spillway.BurstPolicy) bool { return len(b.Windows) > 0 }) {
		due = min(due, now.Truncate(time.Minute).Add(time.Minute).Sub(now))
	}
	return due
}
