package requested

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/config"
)

// Problem is something that cannot be done, in words for who asked for it.
type Problem string

func (p Problem) Error() string { return string(p) }

func problem(format string, args ...any) error { return Problem(fmt.Sprintf(format, args...)) }

// Forbidden is something that this identity may not do.
type Forbidden string

func (f Forbidden) Error() string { return string(f) }

func forbidden(format string, args ...any) error { return Forbidden(fmt.Sprintf(format, args...)) }

// Bounds on what people write.
const (
	maxText        = 2000 // bytes of a reason or comment
	maxOpenOfQuota = 20
	maxAskedADay   = 50  // by one identity
	maxHistory     = 200 // events of a request that is simulated again; decisions come after
)

// Step is who does something with a request, when, and what they say.
type Step struct {
	At      time.Time
	By      string // identity
	Comment string
	Report  string // that an approval rests on, sha256:<64 hex digits>
}

// Ask prepares a new request, as if it was approved. l is the configuration that
// serves.
func (s *Store) Ask(l *config.Loaded, step Step, spec v1alpha1.QuotaRequestSpec) (*Candidate, error) {
	all, err := s.All()
	if err != nil {
		return nil, err
	}
	spec.Requester = step.By
	if err := check(l, step, &spec, all); err != nil {
		return nil, err
	}
	spec.Budgets = spelledOut(l, &spec)
	last := 0
	if len(all) > 0 {
		last = number(all[len(all)-1].Metadata.Name)
	}
	r := &v1alpha1.QuotaRequest{
		Header: v1alpha1.Header{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindQuotaRequest, Metadata: v1alpha1.Metadata{Name: fmt.Sprintf("qr-%d", last+1)}},
		Spec:   spec,
	}
	r.Status.Phase = v1alpha1.PhaseAsked
	r.Status.History = []v1alpha1.QuotaEvent{{At: step.At, By: step.By, What: v1alpha1.PhaseAsked}}
	overlays := append(Overlays(all), Overlay(r, l.QuotaBase(spec.Quota)))
	return &Candidate{Overlays: overlays, Request: r, store: s}, nil
}

// spelledOut returns the budgets that spec asks for with all that they leave to the
// Quota or to defaults, so that they mean the same later.
func spelledOut(l *config.Loaded, spec *v1alpha1.QuotaRequestSpec) []v1alpha1.Budget {
	var all []v1alpha1.Budget
	for _, b := range after(&l.Quota(spec.Quota).Spec, spec).Budgets {
		if slices.ContainsFunc(spec.Budgets, func(asked v1alpha1.Budget) bool { return asked.Window == b.Window }) {
			b.Currency, b.TimeZone, b.AtLimit = cmp.Or(b.Currency, l.Platform.Currency), cmp.Or(b.TimeZone, "UTC"), cmp.Or(b.AtLimit, "reject")
			all = append(all, b)
		}
	}
	return all
}

func check(l *config.Loaded, step Step, spec *v1alpha1.QuotaRequestSpec, all []v1alpha1.QuotaRequest) error {
	now := l.Quota(spec.Quota)
	open, asked := 0, 0
	for _, r := range all {
		if r.Spec.Quota == spec.Quota && Undecided(&r) {
			open++
		}
		if r.Spec.Requester == spec.Requester && step.At.Sub(r.Status.History[0].At) < 24*time.Hour {
			asked++
		}
	}
	switch {
	case now == nil:
		return problem("quota: there is no Quota %.80q; 'spillway quota show' lists what there is", spec.Quota)
	case len(all) >= maxRequests:
		return problem("there are %d requests, the most that are kept; move old files out of the data directory", maxRequests)
	case open >= maxOpenOfQuota:
		return problem("%d requests for Quota %s are open; allowed: %d; have some decided first", open, spec.Quota, maxOpenOfQuota)
	case asked >= maxAskedADay:
		return problem("%s asked %d times within a day; allowed: %d; ask again tomorrow", spec.Requester, asked, maxAskedADay)
	case spec.Until != nil && !spec.Until.After(step.At):
		return problem("until: %s is past; allowed: a time to come", spec.Until.Format(time.RFC3339))
	case strings.TrimSpace(spec.Reason) == "":
		return problem("reason: is required; say what the quota is for")
	case !readable(spec.Reason):
		return problem("reason: allowed: up to %d bytes of text", maxText)
	}
	for i, b := range spec.Budgets {
		if b.Amount == nil || slices.ContainsFunc(spec.Budgets[:i], func(o v1alpha1.Budget) bool { return o.Window == b.Window }) {
			return problem("budgets: allowed: one for each window, with an amount")
		}
	}
	if same(limits(&now.Spec), limits(after(&now.Spec, spec))) && !otherEnd(l, step, spec, Overlays(all)) {
		return problem("Quota %s has these limits already; ask for other ones, or for another end of approved ones", spec.Quota)
	}
	return nil
}

// otherEnd reports whether spec asks for another end than that of what the Quota has
// been given.
func otherEnd(l *config.Loaded, step Step, spec *v1alpha1.QuotaRequestSpec, approved []config.QuotaOverlay) bool {
	asked := Overlay(&v1alpha1.QuotaRequest{Spec: *spec}, "").Until
	return slices.ContainsFunc(approved, func(o config.QuotaOverlay) bool {
		return o.Quota == spec.Quota && o.Base == l.QuotaBase(o.Quota) && o.Holds(step.At) && !o.Until.Equal(asked)
	})
}

// readable reports whether text may be kept and shown.
func readable(text string) bool {
	return len(text) <= maxText && strings.IndexFunc(text, func(r rune) bool {
		return r == unicode.ReplacementChar || unicode.IsControl(r) && r != '\n' && r != '\t'
	}) < 0
}

// Undecided reports whether a request waits to be decided.
func Undecided(r *v1alpha1.QuotaRequest) bool {
	return r.Status.Phase == v1alpha1.PhaseAsked || r.Status.Phase == v1alpha1.PhaseSimulated
}

// MaySimulate returns why a request cannot be simulated by somebody: the reports that
// it is decided on are of those who ask and decide.
func MaySimulate(l *config.Loaded, r *v1alpha1.QuotaRequest, by string) error {
	who, _ := l.Approvers(r.Spec.Quota)
	switch {
	case !Undecided(r):
		return decided(r)
	case by != r.Spec.Requester && !slices.Contains(who, by):
		return forbidden("%s may not simulate %s; %s may, who asked for it, and approvers of Quota %s", by, r.Metadata.Name, r.Spec.Requester, r.Spec.Quota)
	case len(r.Status.History) >= maxHistory:
		return problem("request %s has a history of %d entries, the most for a simulation; have it decided, or ask again with 'spillway quota request'", r.Metadata.Name, maxHistory)
	}
	return nil
}

// Simulated keeps what a simulation found, and its report in the place of the one
// before.
func (s *Store) Simulated(l *config.Loaded, name string, step Step, found *v1alpha1.QuotaSimulation, report []byte) (*v1alpha1.QuotaRequest, error) {
	r, err := s.Read(name)
	if err == nil {
		err = MaySimulate(l, r, step.By)
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(report)
	found.Report = digestPrefix + hex.EncodeToString(sum[:])
	if err := s.replace(s.reportFile(found.Report), report); err != nil {
		return nil, err
	}
	before := r.Status.Simulation
	r.Status.Phase, r.Status.Simulation = v1alpha1.PhaseSimulated, found
	note(r, step, v1alpha1.QuotaEvent{What: v1alpha1.PhaseSimulated, Summary: found.Summary, Report: found.Report})
	if err := s.write(r); err != nil {
		return nil, err
	}
	if before != nil {
		_ = s.dropReport(before.Report) // what stays is removed by Sweep
	}
	return r, nil
}

// Deny decides against a request. Whoever asked may take it back so.
func (s *Store) Deny(l *config.Loaded, name string, step Step) (*v1alpha1.QuotaRequest, error) {
	r, err := s.open(name)
	if err == nil && (step.By != r.Spec.Requester || step.By == auth.AnonymousName) {
		err = mayDecide(l, r, step)
	}
	if err == nil {
		err = said(step)
	}
	if err != nil {
		return nil, err
	}
	r.Status.Phase = v1alpha1.PhaseDenied
	note(r, step, v1alpha1.QuotaEvent{What: v1alpha1.PhaseDenied})
	return r, s.write(r)
}

// open reads a request that is not decided.
func (s *Store) open(name string) (*v1alpha1.QuotaRequest, error) {
	r, err := s.Read(name)
	if err == nil && !Undecided(r) {
		err = decided(r)
	}
	return r, err
}

func decided(r *v1alpha1.QuotaRequest) error {
	return problem("request %s was %s already; ask again with 'spillway quota request'", r.Metadata.Name, r.Status.Phase)
}

// said wants a decision to say something.
func said(step Step) error {
	if strings.TrimSpace(step.Comment) == "" || !readable(step.Comment) {
		return problem("comment: a decision is recorded with one; allowed: 1 to %d bytes of text", maxText)
	}
	return nil
}

// mayDecide returns why step.By may not decide on r.
func mayDecide(l *config.Loaded, r *v1alpha1.QuotaRequest, step Step) error {
	who, by := l.Approvers(r.Spec.Quota)
	gone := l.Quota(r.Spec.Quota) == nil
	if gone {
		who = involved(l, r)
	}
	switch {
	case len(who) == 0 && !gone:
		return forbidden("nobody may decide on requests for Quota %s: write 'approvers: [IDENTITY]' into its spec or that of a Quota above it", r.Spec.Quota)
	case step.By == auth.AnonymousName:
		return forbidden("a decision needs an identity: use the token of an approver of Quota %s (--token-file)", cmp.Or(by, r.Spec.Quota))
	case !slices.Contains(who, step.By) && gone:
		return forbidden("Quota %s is not in the configuration any more; %s may not end what was asked for it, but %s may", r.Spec.Quota, step.By, strings.Join(who, ", "))
	case !slices.Contains(who, step.By):
		return forbidden("%s may not decide on requests for Quota %s; its approvers are %s (of Quota %s)", step.By, r.Spec.Quota, strings.Join(who, ", "), by)
	}
	return nil
}

// involved are who may end a request for a Quota that is gone: who asked, who
// approved, and the approvers of roots.
func involved(l *config.Loaded, r *v1alpha1.QuotaRequest) []string {
	who := append(l.RootApprovers(), r.Spec.Requester)
	for _, e := range r.Status.History {
		if e.What == v1alpha1.PhaseApproved {
			who = append(who, e.By)
		}
	}
	slices.Sort(who)
	return slices.Compact(who)
}

// note adds to the history.
func note(r *v1alpha1.QuotaRequest, step Step, e v1alpha1.QuotaEvent) {
	e.At, e.By, e.Comment = step.At, step.By, cmp.Or(e.Comment, step.Comment)
	r.Status.History = append(slices.Clip(r.Status.History), e)
}
