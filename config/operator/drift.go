package operator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/clouddrift"
)

// askClouds asks now and then, until ctx ends, and has a round made of the answers.
func (r *rounds) askClouds(ctx context.Context) error {
	if r.o.Clouds == nil {
		return nil
	}
	select {
	case <-r.loadedOnce:
	case <-ctx.Done():
		return nil
	}
	every := time.NewTicker(r.o.CloudsEvery)
	defer every.Stop()
	for {
		r.mu.Lock()
		loaded := r.loaded
		r.mu.Unlock()
		found := r.o.Clouds(ctx, loaded)
		if ctx.Err() != nil {
			return nil
		}
		r.mu.Lock()
		r.found, r.asked = found, true
		r.mu.Unlock()
		select {
		case r.heard <- event.GenericEvent{Object: namespaceKind()}:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// drifting is what clouds said last, by function ("shop/pay") and by pool.
type drifting struct {
	asked     bool         // or nobody will
	unwritten *reservePlan // what nobody reserves, since clouds are not asked
	functions map[string][]clouddrift.Finding
	pools     map[string][]clouddrift.Finding
}

func (r *rounds) drift() drifting {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := drifting{asked: r.asked || r.o.Clouds == nil && r.o.Reserver != nil, functions: map[string][]clouddrift.Finding{}, pools: map[string][]clouddrift.Finding{}}
	if r.o.Reserver == nil {
		d.unwritten = r.plan
	}
	for _, f := range r.found {
		if f.Function == "" {
			d.pools[f.Pool] = append(d.pools[f.Pool], f)
		} else {
			d.functions[f.Function] = append(d.functions[f.Function], f)
		}
	}
	return d
}

// say sets Drifted of functions and pools that clouds told of. Until they are asked it
// stays as it was.
func (d drifting) say(o kube.Object, s *owned, now time.Time) {
	var found []clouddrift.Finding
	var reserved []kube.Reservation
	switch o := o.(type) {
	case *kube.Function:
		found, reserved = d.functions[keyOf(o).String()], o.Status.Reserved
		if d.asksInVain(o) {
			s.set(kube.Drifted, say{metav1.ConditionUnknown, notAsked, "Its burst policy has concurrency reserved (reservedConcurrency: Write), and the operator does not ask clouds: it needs --clouds-every, and credentials."}, o.Generation, now)
			return
		}
	case *kube.Pool:
		found = d.pools[o.Name]
	default:
		return
	}
	was := s.condition(kube.Drifted)
	switch {
	case !d.asked && (was == nil || was.Reason != notAsked):
	case len(found) == 0 && len(reserved) == 0:
		s.drop(kube.Drifted)
	default:
		s.set(kube.Drifted, driftSaid(o, found, reserved), o.GetGeneration(), now)
	}
}

const notAsked = "CloudsNotAsked"

// asksInVain reports a function for which something is to be reserved by nobody.
func (d drifting) asksInVain(o *kube.Function) bool {
	return d.unwritten != nil && d.unwritten.functions[o.UID] != nil && d.unwritten.functions[o.UID].wants()
}

// driftSaid takes the worst first: what is missing, what differs, what is reserved
// otherwise than is wanted, what is not known.
func driftSaid(o kube.Object, found []clouddrift.Finding, reserved []kube.Reservation) say {
	said, reason, unknown := reservedSaid(o, reserved)
	var missing, differs []string
	for _, f := range found {
		at := strings.TrimSpace(f.Pool + " " + f.Name)
		switch f.Status {
		case clouddrift.Missing:
			missing = append(missing, at+": "+f.Problem)
		case clouddrift.Drift:
			for _, d := range f.Differences {
				if d.Field == clouddrift.FieldReserved && slices.ContainsFunc(reserved, func(e kube.Reservation) bool { return e.Pool == f.Pool && e.Function == f.Name }) {
					continue // they know better
				}
				differs = append(differs, fmt.Sprintf("%s: %s: %s wanted, %s found: %s", at, d.Field, d.Expected, d.Found, d.Why))
			}
		case clouddrift.Unreachable:
			unknown = append(unknown, at+": "+f.Problem)
		}
	}
	text := strings.Join(slices.Concat(missing, differs, said, unknown), "\n")
	switch {
	case len(missing) > 0:
		return say{metav1.ConditionTrue, "MissingInCloud", text}
	case len(differs) > 0:
		return say{metav1.ConditionTrue, "DiffersInCloud", text}
	case len(said) > 0:
		return say{metav1.ConditionTrue, reason, text}
	case len(unknown) > 0:
		return say{metav1.ConditionUnknown, "CloudUnreachable", text}
	}
	return say{metav1.ConditionFalse, "AsWritten", "What clouds have is what is written."}
}

// reservedSaid is what is to be said of reservations, with the reason of the first, and
// what is not known of them.
func reservedSaid(o kube.Object, all []kube.Reservation) (said []string, reason string, unknown []string) {
	for _, e := range all {
		at := e.Pool + " " + e.Function + ": "
		switch e.Reason {
		case "":
			continue
		case reasonUnreachable:
			unknown = append(unknown, at+e.Problem)
			continue
		case reasonShared, reasonFailed, reasonNotClaimed:
			at += "reserved concurrency: " + e.Problem
		default:
			at += "reserved concurrency: " + reservedText(e.Want, e.Unit) + " wanted, " + reservedText(e.Found, e.Unit) + " found: " +
				map[string]string{
					string(clouddrift.ChangedElsewhere): "somebody else changed it. It is left so until another number is wanted. To write it now: kubectl annotate functions.spillway.dev " + o.GetName() + " -n " + o.GetNamespace() + " " + RestoreAnnotation + "=now",
					string(clouddrift.NotOurs):          "it was there before, and is left. To have it written, take it away there first",
				}[e.Reason]
		}
		said = append(said, at)
		if reason == "" {
			reason = map[string]string{reasonFailed: "ReserveFailed", reasonShared: "SharedInCloud"}[e.Reason]
			reason = cmp.Or(reason, e.Reason)
		}
	}
	return said, reason, unknown
}

func reservedText(n *int64, unit string) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprintf("%d %s at once", *n, unit)
}
