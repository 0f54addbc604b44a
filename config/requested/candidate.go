package requested

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/config"
)

// Candidate is the store as it would be after an approval or its end. Commit makes it
// count; what is not committed changes nothing.
type Candidate struct {
	Overlays []config.QuotaOverlay // of all approved requests
	Request  *v1alpha1.QuotaRequest

	store *Store
}

// Commit makes the change the one that counts, also after a crash.
func (c *Candidate) Commit() error { return c.store.write(c.Request) }

// Approve prepares to give a Quota the limits that a request asks for. It must have
// been simulated on the limits that the Quota has now, and the one who asked for
// it cannot approve it.
func (s *Store) Approve(l *config.Loaded, name string, step Step) (*Candidate, error) {
	r, err := s.open(name)
	if err == nil {
		err = mayApprove(l, r, step)
	}
	if err != nil {
		return nil, err
	}
	r.Status.Phase, r.Status.Base = v1alpha1.PhaseApproved, l.QuotaBase(r.Spec.Quota)
	note(r, step, v1alpha1.QuotaEvent{What: v1alpha1.PhaseApproved, Summary: r.Status.Simulation.Summary, Report: r.Status.Simulation.Report})
	return s.candidate(l, r)
}

func mayApprove(l *config.Loaded, r *v1alpha1.QuotaRequest, step Step) error {
	if l.Quota(r.Spec.Quota) == nil {
		return problem("Quota %s is not in the configuration any more; deny the request", r.Spec.Quota)
	}
	if err := mayDecide(l, r, step); err != nil {
		return err
	}
	name, simulation := r.Metadata.Name, r.Status.Simulation
	switch {
	case r.Spec.Requester == auth.AnonymousName:
		return forbidden("nobody knows who asked for %s, so nobody can approve it: ask again with a token", name)
	case step.By == r.Spec.Requester:
		return forbidden("%s asked for %s and cannot approve it; another approver must", step.By, name)
	case simulation == nil:
		return problem("request %s was not simulated; run 'spillway quota simulate %s'", name, name)
	case step.Report == "":
		return problem("report: is required; name the one of the simulation that you approve %s on", name)
	case step.Report != simulation.Report:
		return problem("request %s was simulated again, and has another report now: %s; look at it with 'spillway quota show %s'", name, simulation.Report, name)
	case simulation.Base != l.QuotaNow(r.Spec.Quota):
		return problem("Quota %s was changed since the simulation of %s; run 'spillway quota simulate %s'", r.Spec.Quota, name, name)
	case r.Spec.Until != nil && !r.Spec.Until.After(step.At):
		return problem("request %s asks for limits until %s, which is past; deny it", name, r.Spec.Until.Format(time.RFC3339))
	}
	return said(step)
}

// Revoke prepares to end an approval.
func (s *Store) Revoke(l *config.Loaded, name string, step Step) (*Candidate, error) {
	r, err := s.Read(name)
	if err == nil && r.Status.Phase != v1alpha1.PhaseApproved {
		err = problem("request %s is %s; only an approved one can be revoked", name, r.Status.Phase)
	}
	if err == nil {
		err = mayDecide(l, r, step)
	}
	if err == nil {
		err = said(step)
	}
	if err != nil {
		return nil, err
	}
	r.Status.Phase = v1alpha1.PhaseRevoked
	note(r, step, v1alpha1.QuotaEvent{What: v1alpha1.PhaseRevoked})
	return s.candidate(l, r)
}

// candidate is the store with r, whose latest event it completes by the limits before
// and after it.
func (s *Store) candidate(l *config.Loaded, r *v1alpha1.QuotaRequest) (*Candidate, error) {
	all, err := s.All()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Metadata.Name == r.Metadata.Name {
			all[i] = *r
		}
	}
	c := &Candidate{Overlays: Overlays(all), Request: r, store: s}
	if now := l.Quota(r.Spec.Quota); now != nil {
		e := &r.Status.History[len(r.Status.History)-1]
		e.Before, e.After = limits(&now.Spec), limits(overlaid(l, r.Spec.Quota, c.Overlays, e.At))
	}
	return c, nil
}

// Overlays are the approved requests of all in the order of their approval. The loader
// leaves out those that have ended.
func Overlays(all []v1alpha1.QuotaRequest) []config.QuotaOverlay {
	var approved []*v1alpha1.QuotaRequest
	for i := range all {
		if all[i].Status.Phase == v1alpha1.PhaseApproved {
			approved = append(approved, &all[i])
		}
	}
	slices.SortStableFunc(approved, func(a, b *v1alpha1.QuotaRequest) int { return last(a).Compare(last(b)) })
	overlays := make([]config.QuotaOverlay, len(approved))
	for i, r := range approved {
		overlays[i] = Overlay(r, r.Status.Base)
	}
	return overlays
}

// last is when something last happened to a request.
func last(r *v1alpha1.QuotaRequest) time.Time { return r.Status.History[len(r.Status.History)-1].At }

// Overlay is a request as if it was approved for a Quota with the limits of base.
func Overlay(r *v1alpha1.QuotaRequest, base string) config.QuotaOverlay {
	o := config.QuotaOverlay{Name: r.Metadata.Name, Quota: r.Spec.Quota, Base: base, Nominal: r.Spec.Nominal, Budgets: r.Spec.Budgets}
	if r.Spec.Until != nil {
		o.Until = *r.Spec.Until
	}
	return o
}

// overlaid is a Quota of the directory with the overlays that apply to it at a time.
func overlaid(l *config.Loaded, quota string, overlays []config.QuotaOverlay, at time.Time) *v1alpha1.QuotaSpec {
	spec := *l.WrittenQuota(quota)
	for _, o := range overlays {
		if o.Quota == quota && o.Base == l.QuotaBase(quota) && o.Holds(at) {
			spec = o.On(spec)
		}
	}
	return &spec
}

// limits are those of spec that requests can change.
func limits(spec *v1alpha1.QuotaSpec) *v1alpha1.QuotaLimits {
	return &v1alpha1.QuotaLimits{Nominal: spec.Nominal, Budgets: spec.Budgets}
}

// after is now with what asked asks for.
func after(now *v1alpha1.QuotaSpec, asked *v1alpha1.QuotaRequestSpec) *v1alpha1.QuotaSpec {
	o := config.QuotaOverlay{Nominal: asked.Nominal, Budgets: asked.Budgets}
	next := o.On(*now)
	return &next
}

func same(a, b *v1alpha1.QuotaLimits) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && string(x) == string(y)
}
