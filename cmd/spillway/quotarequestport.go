package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/deployed"
	"github.com/spillway-dev/spillway/config/requested"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// requestedIn is the store of quota requests in a data directory.
func requestedIn(data string) *requested.Store {
	return requested.Open(filepath.Join(data, "requests"))
}

// additionsOf reads what a server keeps besides its configuration directory.
func additionsOf(functions *deployed.Store, requests *requested.Store) (with additions, err error) {
	if with.files, err = functions.Files(); err != nil {
		return with, err
	}
	all, err := requests.All()
	with.overlays = requested.Overlays(all)
	return with, err
}

// quotaDecision is what somebody decided, in words. An approval names the report of
// the simulation that it rests on.
type quotaDecision struct {
	Comment string `json:"comment"`
	Report  string `json:"report,omitempty"`
}

// quotaRoutes are the routes of the admin port for quota requests. Who asks and who
// decides is said by credentials as at the front door.
//
//	GET  /v1/quota/requests                    ?skip=0; some of them, oldest first
//	POST /v1/quota/requests                    the spec of a QuotaRequest, but requester
//	GET  /v1/quota/requests/{name}
//	POST /v1/quota/requests/{name}/simulation  ?days=7; or a trace as the body
//	POST /v1/quota/requests/{name}/approval    quotaDecision; so the other two
//	POST /v1/quota/requests/{name}/denial
//	POST /v1/quota/requests/{name}/revocation
func (a *app) quotaRoutes() map[string]http.Handler {
	const one = " /v1/quota/requests/{name}"
	return map[string]http.Handler{
		"GET /v1/quota/requests":     http.HandlerFunc(a.listQuotaRequests),
		"POST /v1/quota/requests":    http.HandlerFunc(a.askQuota),
		"GET" + one:                  http.HandlerFunc(a.showQuotaRequest),
		"POST" + one + "/simulation": http.HandlerFunc(a.simulateQuota),
		"POST" + one + "/approval":   a.decideQuota(true, a.requested.Approve),
		"POST" + one + "/revocation": a.decideQuota(false, a.requested.Revoke),
		"POST" + one + "/denial":     http.HandlerFunc(a.denyQuota),
	}
}

func (a *app) showQuotaRequest(w http.ResponseWriter, r *http.Request) {
	view, err := a.quotaRequest(r.PathValue("name"))
	if err != nil {
		a.sayQuotaProblem(w, err)
		return
	}
	answerJSON(w, http.StatusOK, view)
}

func (a *app) quotaRequest(name string) (quotaRequestView, error) {
	a.live.mu.Lock()
	defer a.live.mu.Unlock()
	request, err := a.requested.Read(name)
	if err != nil {
		return quotaRequestView{}, err
	}
	return viewOf(request, a.live.loaded), nil
}

// maxQuotaBody bounds what is asked and decided, in bytes.
const maxQuotaBody = 64 << 10

// quotaStep says who a request is from, and reads its body into v.
func (a *app) quotaStep(w http.ResponseWriter, r *http.Request, v any) (step requested.Step, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuotaBody))
	if err != nil {
		return step, err
	}
	who, err := a.who.Authenticate(r, body, time.Now())
	if err != nil {
		return step, err
	}
	strict := json.NewDecoder(bytes.NewReader(body))
	strict.DisallowUnknownFields()
	if err := strict.Decode(v); err != nil {
		return step, requested.Problem("the body cannot be read: " + err.Error())
	}
	if _, err := strict.Token(); !errors.Is(err, io.EOF) {
		return step, requested.Problem("the body cannot be read: there is more after its end")
	}
	return requested.Step{At: time.Now().UTC(), By: who.Name}, nil
}

// quotaDecided reads a decision, and who made it.
func (a *app) quotaDecided(w http.ResponseWriter, r *http.Request, approval bool) (requested.Step, error) {
	var decision quotaDecision
	step, err := a.quotaStep(w, r, &decision)
	if err == nil && decision.Report != "" && !approval {
		err = requested.Problem("report: is of an approval only")
	}
	step.Comment, step.Report = decision.Comment, decision.Report
	return step, err
}

func (a *app) askQuota(w http.ResponseWriter, r *http.Request) {
	var spec v1alpha1.QuotaRequestSpec
	step, err := a.quotaStep(w, r, &spec)
	var asked quotaRequestView
	if err == nil {
		asked, err = a.keepAsked(step, spec)
	}
	if err != nil {
		a.sayQuotaProblem(w, err)
		return
	}
	a.log.Info("quota asked for", "request", asked.Metadata.Name, "quota", asked.Spec.Quota, "by", step.By)
	answerJSON(w, http.StatusCreated, asked)
}

// keepAsked keeps a request if the configuration would be good with it.
func (a *app) keepAsked(step requested.Step, spec v1alpha1.QuotaRequestSpec) (view quotaRequestView, err error) {
	a.live.mu.Lock()
	defer a.live.mu.Unlock()
	c, err := a.requested.Ask(a.live.loaded, step, spec)
	if err != nil {
		return view, err
	}
	if err := a.fits(c); err != nil {
		return view, err
	}
	return viewOf(c.Request, a.live.loaded), c.Commit()
}

// loadAside loads the configuration with some overlays, to look at and not to serve.
// The caller holds live.mu.
func (a *app) loadAside(overlays []config.QuotaOverlay) (*config.Loaded, error) {
	files, err := a.deployed.Files()
	if err != nil {
		return nil, err
	}
	return a.from.load(config.Checks{Digest: pkgdigest.Digest, Policy: policyFaults, Deployed: files, QuotaOverlays: overlays, WithoutCode: true})
}

// fits refuses a request with which the configuration is not good, now or once what an
// approval gives has ended. The caller holds live.mu.
func (a *app) fits(c *requested.Candidate) error {
	now, name := time.Now(), c.Request.Metadata.Name
	moments := []time.Time{now}
	for _, o := range c.Overlays {
		if until := c.Request.Spec.Until; o.Until.After(now) && (until == nil || o.Until.Before(*until)) {
			moments = append(moments, o.Until)
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	for i, at := range slices.CompactFunc(moments, time.Time.Equal) {
		l, err := a.loadAside(slices.DeleteFunc(slices.Clone(c.Overlays), func(o config.QuotaOverlay) bool { return !o.Holds(at) }))
		if err != nil {
			return err
		}
		switch faults := l.Misfits[name]; {
		case faults != nil && i > 0:
			return fmt.Errorf("the configuration would not be good with the limits of %s from %s on, when other approvals end; ask for an earlier end (--until):\n%w", name, at.Format(time.RFC3339), faults)
		case faults != nil:
			return fmt.Errorf("the configuration would not be good with these limits:\n%w", faults)
		}
	}
	return nil
}

// decideQuota serves what a candidate of the store makes of the configuration.
func (a *app) decideQuota(approval bool, prepare func(*config.Loaded, string, requested.Step) (*requested.Candidate, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		step, err := a.quotaDecided(w, r, approval)
		var view quotaRequestView
		if err == nil {
			view, err = a.applyQuota(context.WithoutCancel(r.Context()), func(l *config.Loaded) (*requested.Candidate, error) {
				return prepare(l, r.PathValue("name"), step)
			})
		}
		if err != nil {
			a.log.Warn("quota not changed", "request", r.PathValue("name"), "by", step.By, "error", err)
			a.sayQuotaProblem(w, err)
			return
		}
		a.log.Info("quota "+view.Status.Phase, "request", view.Metadata.Name, "quota", view.Spec.Quota, "by", step.By, "comment", step.Comment)
		answerJSON(w, http.StatusOK, view)
	})
}

// applyQuota lets a decision count if the whole configuration is good with it.
func (a *app) applyQuota(ctx context.Context, prepare func(*config.Loaded) (*requested.Candidate, error)) (view quotaRequestView, err error) {
	ctx, done := a.untilStop(ctx)
	defer done()
	a.live.mu.Lock()
	defer a.live.mu.Unlock()
	if a.live.closed {
		return view, errEnding
	}
	with, err := additionsOf(a.deployed, a.requested)
	if err != nil {
		return view, err
	}
	now, err := loadFrom(a.from, a.live.loaded.Platform, with) // the directory may have changed
	if err != nil {
		now = a.live.loaded // an approval may be what is wrong, and about to be revoked
	}
	c, err := prepare(now)
	if err != nil {
		return view, err
	}
	if c.Request.Status.Phase == v1alpha1.PhaseApproved {
		if err := a.fits(c); err != nil {
			return view, err
		}
	}
	with.overlays = c.Overlays
	said, err := a.loadAndServe(ctx, with, c.Commit)
	if err != nil {
		return view, err
	}
	a.live.status.Store(said)
	a.live.rearm()
	return viewOf(c.Request, a.live.loaded), nil
}

func (a *app) denyQuota(w http.ResponseWriter, r *http.Request) {
	step, err := a.quotaDecided(w, r, false)
	var denied quotaRequestView
	if err == nil {
		denied, err = a.keepDenied(r.PathValue("name"), step)
	}
	if err != nil {
		a.sayQuotaProblem(w, err)
		return
	}
	a.log.Info("quota denied", "request", denied.Metadata.Name, "quota", denied.Spec.Quota, "by", step.By, "comment", step.Comment)
	answerJSON(w, http.StatusOK, denied)
}

func (a *app) keepDenied(name string, step requested.Step) (view quotaRequestView, err error) {
	a.live.mu.Lock()
	defer a.live.mu.Unlock()
	r, err := a.requested.Deny(a.live.loaded, name, step)
	if err != nil {
		return view, err
	}
	return viewOf(r, a.live.loaded), nil
}

// sayQuotaProblem answers with what is wrong.
func (a *app) sayQuotaProblem(w http.ResponseWriter, err error) {
	status := quotaStatus(err)
	if status == 0 {
		a.sayProblem(w, err)
		return
	}
	answerJSON(w, status, map[string]any{"error": map[string]string{"message": quotaMessage(err)}})
}

// quotaStatus is the HTTP status of what can be wrong with quota requests alone, or 0.
func quotaStatus(err error) int {
	var problem requested.Problem
	var forbidden requested.Forbidden
	var unknown *auth.Error
	switch {
	case errors.Is(err, requested.ErrUnknown):
		return http.StatusNotFound
	case errors.As(err, &forbidden), errors.As(err, &unknown):
		return http.StatusForbidden
	case errors.As(err, &problem):
		return http.StatusUnprocessableEntity
	}
	return 0
}

// quotaMessage is err for whoever asked.
func quotaMessage(err error) string {
	var unknown *auth.Error
	if errors.As(err, &unknown) {
		return unknown.Message
	}
	return err.Error()
}

// below lists the namespaces of a Quota and of those below it.
func below(p *spillway.Platform, quota string) []string {
	var all []string
	for _, ns := range p.Namespaces {
		for at := ns.Quota; at >= 0; at = p.Quotas[at].Parent {
			if p.Quotas[at].Name == quota {
				all = append(all, ns.Name)
				break
			}
		}
	}
	return all
}
