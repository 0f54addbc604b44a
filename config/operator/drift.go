package operator

import (
	"context"
	"fmt"
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
	asked     bool
	functions map[string][]clouddrift.Finding
	pools     map[string][]clouddrift.Finding
}

func (r *rounds) drift() drifting {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := drifting{asked: r.asked, functions: map[string][]clouddrift.Finding{}, pools: map[string][]clouddrift.Finding{}}
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
	if !d.asked {
		return
	}
	var found []clouddrift.Finding
	switch o := o.(type) {
	case *kube.Function:
		found = d.functions[keyOf(o).String()]
	case *kube.Pool:
		found = d.pools[o.Name]
	default:
		return
	}
	if len(found) == 0 {
		s.drop(kube.Drifted)
		return
	}
	s.set(kube.Drifted, driftSaid(found), o.GetGeneration(), now)
}

// driftSaid takes the worst first: what is missing, what differs, what is not known.
func driftSaid(found []clouddrift.Finding) say {
	var missing, differs, unknown []string
	for _, f := range found {
		at := strings.TrimSpace(f.Pool + " " + f.Name)
		switch f.Status {
		case clouddrift.Missing:
			missing = append(missing, at+": "+f.Problem)
		case clouddrift.Drift:
			for _, d := range f.Differences {
				differs = append(differs, fmt.Sprintf("%s: %s: %s wanted, %s found: %s", at, d.Field, d.Expected, d.Found, d.Why))
			}
		case clouddrift.Unreachable:
			unknown = append(unknown, at+": "+f.Problem)
		}
	}
	text := strings.Join(append(append(missing, differs...), unknown...), "\n")
	switch {
	case len(missing) > 0:
		return say{metav1.ConditionTrue, "MissingInCloud", text}
	case len(differs) > 0:
		return say{metav1.ConditionTrue, "DiffersInCloud", text}
	case len(unknown) > 0:
		return say{metav1.ConditionUnknown, "CloudUnreachable", text}
	}
	return say{metav1.ConditionFalse, "AsWritten", "What clouds have is what is written."}
}
