package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/deployed"
)

// deployedIn is the store of deployed functions in a data directory.
func deployedIn(data string) *deployed.Store { return deployed.Open(filepath.Join(data, "deployed")) }

// withDeployed loads the configuration again if functions were deployed to the
// server before, or quota requests approved. What flags override stays.
func withDeployed(ctx context.Context, from origin, loaded *config.Loaded) (*config.Loaded, error) {
	store := deployedIn(loaded.Server.DataDir)
	with, err := additionsOf(store, requestedIn(loaded.Server.DataDir))
	if err != nil || len(with.files) == 0 && len(with.overlays) == 0 {
		return loaded, err
	}
	all, err := loadFrom(from, nil, with)
	if err != nil {
		return nil, err
	}
	all.Server = loaded.Server
	if err := from.sweep(ctx, store, all.Platform, time.Now()); err != nil {
		all.Warnings = append(all.Warnings, "packages that nothing uses stay: "+err.Error())
	}
	return all, nil
}

// packagesOf are the packages that the functions of a platform have.
func packagesOf(p *spillway.Platform) []string {
	paths := make([]string, len(p.Functions))
	for i, f := range p.Functions {
		paths[i] = f.Package.Path
	}
	return paths
}

// deployedNow is what serves after a change of a function.
type deployedNow struct {
	Function string `json:"function"`
	reloaded
	Revisions []revisionNow `json:"revisions"` // oldest first; none once deleted
}

type revisionNow struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Weight int64  `json:"weight"` // percent
}

// deployRoutes are the routes of the admin port for function developers, and for
// those who do the bill.
//
//	PUT    /v1/packages/{digest}                       a zip file with that SHA-256
//	HEAD   /v1/packages/{digest}                       404 if it is not here
//	PUT    /v1/functions/{namespace}/{name}            deployed.Request as JSON
//	POST   /v1/functions/{namespace}/{name}/rollback   ?revision=, the one before if empty
//	DELETE /v1/functions/{namespace}/{name}
//	GET    /v1/functions/{namespace}/{name}/logs       ?tail=100&follow=true
//	POST   /v1/reconcile                               ?since=24h&lag=1h&dryRun=false
//	GET    /v1/usage                                   ?from=&to=&namespace=, repeated; CSV
func (a *app) deployRoutes() map[string]http.Handler {
	const function = " /v1/functions/{namespace}/{name}"
	return map[string]http.Handler{
		"PUT /v1/packages/{digest}":  http.HandlerFunc(a.putPackage),
		"HEAD /v1/packages/{digest}": http.HandlerFunc(a.hasPackage),
		"GET" + function + "/logs":   http.HandlerFunc(a.logs),
		"POST /v1/reconcile":         a.reconcile(),
		"GET /v1/usage":              http.HandlerFunc(a.usage),
		"DELETE" + function: a.changing("deleted", func(k spillway.FunctionKey, _ *http.Request) (*deployed.Candidate, error) {
			return a.deployed.Delete(k)
		}),
		"PUT" + function: http.HandlerFunc(a.deploy),
		"POST" + function + "/rollback": a.changing("rolled back", func(k spillway.FunctionKey, r *http.Request) (*deployed.Candidate, error) {
			return a.deployed.Rollback(k, r.URL.Query().Get("revision"))
		}),
	}
}

func (a *app) putPackage(w http.ResponseWriter, r *http.Request) {
	err := a.deployed.PutPackage(r.PathValue("digest"), http.MaxBytesReader(w, r.Body, deployed.MaxPackage))
	if err != nil {
		a.sayProblem(w, err)
		return
	}
	if path, here := a.deployed.Package(r.PathValue("digest")); here && a.link != nil {
		a.link.arrived(spillway.Package{Path: path, Digest: r.PathValue("digest")})
	}
	if _, there := a.from.(*inCluster); there { // a Function may have waited for it
		_, _ = a.reloadNow(context.WithoutCancel(r.Context())) // it logs what came of it
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *app) hasPackage(w http.ResponseWriter, r *http.Request) {
	if !a.deployed.HasPackage(r.PathValue("digest")) {
		w.WriteHeader(http.StatusNotFound)
	}
}

// maxDeployRequest bounds the settings of a function.
const maxDeployRequest = 1 << 20

// deploy reads the request before anything else waits for it.
func (a *app) deploy(w http.ResponseWriter, r *http.Request) {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDeployRequest))
	decoder.DisallowUnknownFields()
	var request deployed.Request
	if err := decoder.Decode(&request); err != nil {
		a.sayProblem(w, errors.Join(deployed.Problem("the request is not a deployment"), err))
		return
	}
	a.changing("deployed", func(key spillway.FunctionKey, _ *http.Request) (*deployed.Candidate, error) {
		return a.deployed.Deploy(key, request)
	}).ServeHTTP(w, r)
}

func functionOf(r *http.Request) spillway.FunctionKey {
	return spillway.FunctionKey{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
}

// changing serves what a candidate of the store makes of the configuration.
func (a *app) changing(verb string, prepare func(spillway.FunctionKey, *http.Request) (*deployed.Candidate, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := functionOf(r)
		now, err := a.change(context.WithoutCancel(r.Context()), key, func() (*deployed.Candidate, error) {
			if err := a.deployable(r.Context(), key); err != nil {
				return nil, err
			}
			return prepare(key, r)
		})
		if err != nil {
			a.log.Warn("function not "+verb, "function", key.String(), "error", err)
			a.sayProblem(w, err)
			return
		}
		a.log.Info("function "+verb, "function", key.String(), "generation", now.Generation, "revisions", now.Revisions)
		answerJSON(w, http.StatusOK, now)
	})
}

// deployable refuses what an object of the cluster is.
func (a *app) deployable(ctx context.Context, key spillway.FunctionKey) error {
	from, there := a.from.(*inCluster)
	if !there {
		return nil
	}
	is, err := from.has(ctx, key)
	if err == nil && is {
		err = deployed.Problem(fmt.Sprintf("%s is an object of the cluster: change its spec.revisions and spec.traffic with kubectl, after 'spillway package push'", key))
	}
	return err
}

// change lets a change of the store count if the whole configuration is good with it.
func (a *app) change(ctx context.Context, key spillway.FunctionKey, prepare func() (*deployed.Candidate, error)) (*deployedNow, error) {
	ctx, done := a.untilStop(ctx)
	defer done()
	a.live.mu.Lock()
	defer a.live.mu.Unlock()
	if a.live.closed {
		return nil, errEnding
	}
	c, err := prepare()
	if err != nil {
		return nil, err
	}
	with, err := additionsOf(a.deployed, a.requested)
	if err != nil {
		return nil, errors.Join(err, c.Discard())
	}
	with.files = c.Files
	said, err := a.loadAndServe(ctx, with, c.Commit)
	if err != nil {
		return nil, errors.Join(blame(err, c.File, key), c.Discard())
	}
	a.live.status.Store(said)
	if err := a.from.sweep(ctx, a.deployed, a.server.Platform(), time.Now()); err != nil {
		a.log.Warn("packages that nothing uses stay", "error", err)
	}
	now := &deployedNow{Function: key.String(), reloaded: *said, Revisions: []revisionNow{}}
	if _, there := a.from.(*inCluster); there && len(c.Revisions) > 0 {
		now.Warnings = append(slices.Clone(now.Warnings), key.String()+" is in the server's data directory and no object of the cluster: kubectl does not show it, and RBAC does not say who changes it")
	}
	for _, v := range c.Revisions {
		r := revisionNow{Name: v.Name, Digest: v.Package.Digest}
		for _, t := range c.Traffic {
			if t.Revision == v.Name {
				r.Weight = *t.Weight
			}
		}
		now.Revisions = append(now.Revisions, r)
	}
	return now, nil
}

// blame names the function, and not the file that it was written to for the loader.
func blame(err error, file string, key spillway.FunctionKey) error {
	var faults config.Faults
	if !errors.As(err, &faults) {
		return err
	}
	all := make(config.Faults, len(faults))
	for i, f := range faults {
		if all[i] = f; f.File == file {
			all[i].File, all[i].Line, all[i].Col = key.String(), 0, 0
		}
	}
	return all
}

// sayProblem answers with what is wrong.
func (a *app) sayProblem(w http.ResponseWriter, err error) {
	var problem deployed.Problem
	var faults config.Faults
	var tooBig *http.MaxBytesError
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, deployed.ErrNotDeployed):
		status = http.StatusNotFound
	case errors.As(err, &tooBig):
		status = http.StatusRequestEntityTooLarge
	case errors.As(err, &problem), errors.As(err, &faults):
		status = http.StatusUnprocessableEntity
	case errors.Is(err, errEnding):
		status = http.StatusServiceUnavailable
	}
	answerJSON(w, status, map[string]any{"error": map[string]string{"message": err.Error()}})
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
