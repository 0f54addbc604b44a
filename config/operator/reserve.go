package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/clouddrift"
)

// Reserver reads and changes the concurrency that one cloud reserves for functions, in
// its own unit. Nil is no reservation. A function that is not there is
// clouddrift.ErrNoFunction.
type Reserver interface {
	Reserved(ctx context.Context, name string) (*int64, error)
	Reserve(ctx context.Context, name string, n int64) error
	Unreserve(ctx context.Context, name string) error
}

// reserveManager is whose the field status.reserved of functions is.
const reserveManager = FieldManager + "-clouds"

// Reasons of reservations that are not as wanted, beside those of clouddrift.
const (
	reasonShared      = "Shared"
	reasonNotClaimed  = "NotClaimed"
	reasonFailed      = "Failed"
	reasonUnreachable = "Unreachable"
)

// reserving makes clouds reserve what is wanted, one function after the other, beside
// the rounds.
type reserving struct {
	*rounds
	schedule schedule
	clouds   map[cloudAt]*openCloud
	silent   map[cloudAt]silence
}

// cloudAt is a pool where it is, or was.
type cloudAt struct {
	pool string
	kube.CloudPlace
}

func at(p *spillway.Pool) cloudAt { return cloudAt{p.Name, placeOf(p)} }

// silence is why a cloud is not asked, and until when.
type silence struct {
	until time.Time
	err   error
}

// openCloud is a connection to the cloud of a pool.
type openCloud struct {
	Reserver
	until time.Time // credentials may be others then
	close func()
}

// reserve works until ctx ends.
func (r *rounds) reserve(ctx context.Context) error {
	if r.o.Reserver == nil {
		return nil
	}
	w := &reserving{rounds: r, schedule: schedule{every: r.o.CloudsEvery, at: map[types.UID]turn{}},
		clouds: map[cloudAt]*openCloud{}, silent: map[cloudAt]silence{}}
	defer w.closeAll()
	for ctx.Err() == nil {
		w.one(ctx)
	}
	return nil
}

// one visits a function that is due, or waits for one, or for another plan.
func (w *reserving) one(ctx context.Context) {
	w.mu.Lock()
	plan := w.plan
	w.mu.Unlock()
	wait := w.o.CloudsEvery
	if plan != nil {
		var uid types.UID
		if uid, wait = w.schedule.next(plan, w.now()); uid != "" {
			one := plan.functions[uid]
			err := w.visit(ctx, plan, one, uid)
			if err != nil && ctx.Err() == nil && w.schedule.at[uid].failures == 0 { // later ones are in the status
				w.o.Log.Warn("concurrency is not reserved as it should be, and is tried again", "function", one.key.String(), "error", err)
			}
			w.schedule.done(uid, one.print(), err != nil, w.now())
			return
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.replanned:
	case <-ctx.Done():
	}
}

// visiting is one function while its reservations are looked at.
type visiting struct {
	*reserving
	object  *kube.Function
	plan    *reservePlan
	planned *planned
	entries []kube.Reservation // as they should be in the status
}

// visit compares and mends the reservations of one function, and writes into its status
// what there is. Its errors are those that trying again may mend.
func (w *reserving) visit(ctx context.Context, plan *reservePlan, one *planned, uid types.UID) error {
	f := &kube.Function{}
	if err := w.client.Get(ctx, one.key, f); err != nil || f.UID != uid {
		return client.IgnoreNotFound(err)
	}
	v := &visiting{reserving: w, object: f, plan: plan, planned: one, entries: slices.Clone(f.Status.Reserved)}
	var failed error
	for _, r := range v.targets() {
		err := v.mend(ctx, r)
		if errors.Is(err, errGone) {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	failed = errors.Join(failed, v.save(ctx))
	if failed == nil && one.restore && f.DeletionTimestamp == nil {
		failed = w.restored(ctx, f)
		v.sayInert()
	}
	if errors.Is(failed, errGone) {
		return nil
	}
	return failed
}

// sayInert tells who has asked for something back what was not written.
func (v *visiting) sayInert() {
	var why []string
	if !v.planned.write {
		why = append(why, "its burst policy has no concurrency written (reservedConcurrency: Write)")
	}
	for _, e := range v.entries {
		if v.planned.write && e.Reason != "" {
			why = append(why, e.Pool+" "+e.Function+": "+e.Reason)
		}
	}
	if len(why) > 0 {
		v.event(v.object, corev1.EventTypeWarning, "NotRestored", "Reserve", RestoreAnnotation+" has put nothing back: "+strings.Join(why, "; "))
	}
}

// targets are what was written and is not wanted any more, or not where it is, and then
// what is wanted.
func (v *visiting) targets() []clouddrift.Reservation {
	var all []clouddrift.Reservation
	for _, e := range v.entries {
		i := slices.IndexFunc(v.planned.want, func(r clouddrift.Reservation) bool { return r.Pool.Name == e.Pool && r.Name == e.Function })
		if i < 0 || elsewhere(e, v.planned.want[i].Pool) {
			all = append(all, clouddrift.Reservation{Pool: v.home(e), Name: e.Function})
		}
	}
	return append(all, v.planned.want...)
}

// home is the pool of an entry as it was when it was written, and retired if nobody knows.
func (v *visiting) home(e kube.Reservation) *spillway.Pool {
	if was := poolAt(e); was != nil {
		return was
	}
	if pool := v.plan.pools[e.Pool]; pool != nil {
		return pool
	}
	return &spillway.Pool{Name: e.Pool, Retired: true}
}

// mend takes one reservation a step further.
func (v *visiting) mend(ctx context.Context, r clouddrift.Reservation) error {
	was, _ := v.entry(r)
	is := kube.Reservation{Pool: r.Pool.Name, Function: r.Name, Unit: clouddrift.Unit(r.Pool), Want: r.Want, Writing: was.Writing, Written: was.Written, At: was.At, Found: was.Found}
	switch {
	case r.Pool.Retired && v.plan.blind, !r.Pool.Retired && elsewhere(was, r.Pool): // what is there goes first
		return nil
	case !v.planned.write: // it is not asked for any more, and goes with the function
		if is.Found = nil; !wrote(is) {
			v.drop(is)
		} else {
			is.Unit = cmp.Or(was.Unit, is.Unit)
			v.keep(is)
		}
		return nil
	case r.Pool.Retired:
		v.leave(was, "There is no Pool "+was.Pool+" any more")
		return nil
	case v.planned.unclaimed[r.Name] && !wrote(is):
		is.Want, is.Reason, is.Found = nil, reasonNotClaimed, nil
		is.Problem = "its namespace does not claim it, so nothing is written for it: kubectl annotate namespace " + v.planned.key.Namespace + " " + ReserveAnnotation + "=" + r.Name
		v.keep(is)
		return nil
	case v.planned.unclaimed[r.Name]:
		r.Want, is.Want = nil, nil // what was written is taken away
	case len(r.Shared) > 0:
		is.Want, is.Reason = nil, reasonShared
		is.Problem = "it is bound to " + strings.Join(r.Shared, ", ") + " too: nothing is written for it; bind one Function to it, or set it by hand"
		v.keep(is)
		return nil
	}
	if r.Want == nil && !wrote(is) {
		v.drop(is)
		return nil
	}
	return v.compare(ctx, r, is)
}

// compare asks a cloud what it has, and makes it what is wanted.
func (v *visiting) compare(ctx context.Context, r clouddrift.Reservation, is kube.Reservation) error {
	cloud, err := v.cloud(ctx, r.Pool)
	if err == nil {
		is.Found, err = cloud.Reserved(ctx, r.Name)
	}
	if errors.Is(err, clouddrift.ErrNoFunction) && r.Want == nil {
		v.drop(is)
		return nil
	}
	if err != nil {
		return v.failed(is, reasonUnreachable, r.Pool, err)
	}
	step := clouddrift.Decide(r.Want, is.Found, clouddrift.Record{Writing: is.Writing, Written: is.Written}, v.planned.restore)
	is.Writing, is.Written, is.Reason = step.Record.Writing, step.Record.Written, string(step.Left)
	if is.At = nil; wrote(is) {
		is.At = new(placeOf(r.Pool))
	}
	switch step.Do {
	case clouddrift.Reserve:
		return v.write(ctx, cloud, r, is)
	case clouddrift.Unreserve:
		return v.remove(ctx, cloud, r, is)
	}
	if r.Want == nil {
		v.drop(is)
	} else {
		v.keep(is)
	}
	return nil
}

// errGone: there is no such function any more to note anything in.
var errGone = errors.New("the function is gone")

// write notes what it is about to write, and writes it.
func (v *visiting) write(ctx context.Context, cloud Reserver, r clouddrift.Reservation, is kube.Reservation) error {
	v.keep(is)
	if err := v.save(ctx); err != nil {
		return err
	}
	if err := cloud.Reserve(ctx, r.Name, *r.Want); err != nil {
		if found, unknown := cloud.Reserved(ctx, r.Name); unknown == nil && (found == nil || *found != *r.Want) {
			is.Found, is.Writing = found, nil // it was refused, or did not arrive
		}
		return v.failed(is, reasonFailed, r.Pool, err)
	}
	is.Written, is.Found, is.Writing = r.Want, r.Want, nil
	v.keep(is)
	v.event(v.object, corev1.EventTypeNormal, "Reserved", "Reserve", fmt.Sprintf("%s %s has %d %s at once reserved now.", is.Pool, is.Function, *r.Want, is.Unit))
	return nil
}

func (v *visiting) remove(ctx context.Context, cloud Reserver, r clouddrift.Reservation, is kube.Reservation) error {
	if err := cloud.Unreserve(ctx, r.Name); err != nil && !errors.Is(err, clouddrift.ErrNoFunction) {
		return v.failed(is, reasonFailed, r.Pool, err)
	}
	v.drop(is)
	v.event(v.object, corev1.EventTypeNormal, "ReservationRemoved", "Reserve", fmt.Sprintf("%s %s has nothing reserved any more.", is.Pool, is.Function))
	return nil
}

// leave forgets what nobody can be asked for any more.
func (v *visiting) leave(was kube.Reservation, why string) {
	v.drop(was)
	if was.Written != nil {
		v.event(v.object, corev1.EventTypeWarning, "ReservationLeft", "Reserve", fmt.Sprintf("%s, so %s keeps its %d %s at once.", why, was.Function, *was.Written, was.Unit))
	}
}

func (v *visiting) failed(is kube.Reservation, reason string, pool *spillway.Pool, err error) error {
	if errors.Is(err, clouddrift.ErrNoAnswer) {
		v.silence(pool, err)
	}
	is.Reason, is.Problem = reason, err.Error()
	if errors.Is(err, clouddrift.ErrNoFunction) {
		is.Reason, is.Problem = reasonFailed, "there is no such function in "+pool.Region+": deploy it, or change the binding"
	}
	if now := v.plan.pools[pool.Name]; !v.plan.blind && wrote(is) && (now == nil || placeOf(now) != placeOf(pool)) {
		if v.planned.restore {
			v.leave(is, "Pool "+pool.Name+" is not in "+pool.Region+" as it was written any more, and that does not answer")
			return nil
		}
		is.Problem = "it was written in " + pool.Region + ", where the Pool was before, and is to be taken away there first: " + is.Problem +
			"; to leave it there: kubectl annotate functions.spillway.dev " + v.object.Name + " -n " + v.object.Namespace + " " + RestoreAnnotation + "=now"
	}
	v.keep(is)
	return fmt.Errorf("%s %s: %s", is.Pool, is.Function, is.Problem)
}

func (v *visiting) entry(r clouddrift.Reservation) (kube.Reservation, bool) {
	for _, e := range v.entries {
		if e.Pool == r.Pool.Name && e.Function == r.Name {
			return e, true
		}
	}
	return kube.Reservation{}, false
}

func (v *visiting) drop(is kube.Reservation) {
	v.entries = slices.DeleteFunc(v.entries, func(e kube.Reservation) bool { return e.Pool == is.Pool && e.Function == is.Function })
}

func (v *visiting) keep(is kube.Reservation) {
	v.drop(is)
	v.entries = append(v.entries, is)
	slices.SortFunc(v.entries, func(a, b kube.Reservation) int {
		return strings.Compare(a.Pool+" "+a.Function, b.Pool+" "+b.Function)
	})
}

// save writes the status, if it differs.
func (v *visiting) save(ctx context.Context) error {
	if reflect.DeepEqual(v.entries, v.object.Status.Reserved) || len(v.entries)+len(v.object.Status.Reserved) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"apiVersion": v1alpha1.APIVersion, "kind": v1alpha1.KindFunction,
		"metadata": map[string]any{"name": v.object.Name, "namespace": v.object.Namespace, "uid": v.object.UID},
		"status":   map[string]any{"reserved": v.entries},
	})
	if err != nil {
		return err
	}
	err = v.client.Status().Patch(ctx, v.object, client.RawPatch(types.ApplyPatchType, patch), client.ForceOwnership, client.FieldOwner(reserveManager))
	if apierrors.IsNotFound(err) {
		return errGone
	}
	return wrap(err, "write the reservations of "+fileOf(v.object))
}

// cloud connects to the cloud of a pool, or uses the connection that there is.
func (w *reserving) cloud(ctx context.Context, pool *spillway.Pool) (Reserver, error) {
	now, key := w.now(), at(pool)
	if s := w.silent[key]; now.Before(s.until) {
		return nil, s.err
	}
	for key, c := range w.clouds { // of pools that are elsewhere now too
		if !now.Before(c.until) {
			c.close()
			delete(w.clouds, key)
			delete(w.silent, key)
		}
	}
	if is := w.clouds[key]; is != nil {
		return is, nil
	}
	cloud, end, err := w.o.Reserver(ctx, pool)
	if err != nil { // its other functions are not to wait for the same again
		w.silence(pool, err)
		return nil, err
	}
	w.clouds[key] = &openCloud{cloud, now.Add(w.o.CloudsEvery), end}
	return cloud, nil
}

// silence keeps a cloud from being asked for a while, if it is not kept already.
func (w *reserving) silence(pool *spillway.Pool, err error) {
	if now, key := w.now(), at(pool); !now.Before(w.silent[key].until) {
		w.silent[key] = silence{now.Add(min(time.Minute, w.o.CloudsEvery)), err}
	}
}

func (w *reserving) closeAll() {
	for _, c := range w.clouds {
		c.close()
	}
}
