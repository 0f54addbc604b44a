package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

// Jobs decides about jobs; *server.Server is one.
type Jobs interface {
	AdmitJob(context.Context, server.JobAsk) (*server.JobReply, error)
	// PreviewJob says what AdmitJob would answer; nothing is held.
	PreviewJob(context.Context, server.JobAsk) (*server.JobReply, error)
	EndJob(ctx context.Context, uid string, end dispatcher.JobEnd) (bool, error)
	RunJob(context.Context, server.JobRun) (*server.Answer, error)
	Jobs() []dispatcher.JobView
	MeasureOffline(node string, found spillway.Resources) error
}

// NodeAuthenticator tells who a request of a virtual node is from, and refuses who may
// not ask for room, or not invoke a function. Errors are *auth.Error.
type NodeAuthenticator interface {
	AuthenticateNode(*http.Request) (auth.Identity, error)
	Authorise(ctx context.Context, id auth.Identity, namespace, function string) (auth.Permission, error)
}

// maxOfflineBody bounds a request of a virtual node, in bytes.
const maxOfflineBody = 64 << 10

type offline struct {
	jobs Jobs
	auth NodeAuthenticator // nil: who reaches it may ask
	log  *slog.Logger
}

// OfflineRoutes are the routes by which a virtual node asks for room, by pattern of
// http.ServeMux:
//
//	POST /v1/offline/admissions            idempotent by uid; to be repeated while waiting
//	POST /v1/offline/preview               what an admission would be answered; changes nothing
//	GET  /v1/offline/admissions            the open ones
//	POST /v1/offline/admissions/{uid}/run  runs the burst function of one that is to go to a cloud; idempotent by uid and attempt
//	POST /v1/offline/admissions/{uid}/end  idempotent by uid and attempt
//	PUT  /v1/offline/capacity/{node}       what the node has; to be repeated each 15 s
//
// who is nil where everybody who reaches them may ask, as on the admin port.
func OfflineRoutes(j Jobs, who NodeAuthenticator, log *slog.Logger) map[string]http.Handler {
	o := &offline{j, who, log}
	return map[string]http.Handler{
		"POST /v1/offline/admissions":           o.checked(o.asked(j.AdmitJob)),
		"POST /v1/offline/preview":              o.checked(o.asked(j.PreviewJob)),
		"GET /v1/offline/admissions":            o.checked(o.list),
		"POST /v1/offline/admissions/{uid}/run": o.checked(o.run),
		"POST /v1/offline/admissions/{uid}/end": o.checked(o.end),
		"PUT /v1/offline/capacity/{node}":       o.checked(o.measure),
	}
}

// OfflineServer returns an http.Server with these routes only, for virtual nodes on
// other machines.
func OfflineServer(j Jobs, who NodeAuthenticator, log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	for pattern, h := range OfflineRoutes(j, who, log) {
		mux.Handle(pattern, h)
	}
	return newServer(mux, log)
}

// checked finds out who asks, and bounds what is read.
func (o *offline) checked(answer func(http.ResponseWriter, *http.Request, auth.Identity)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := auth.Identity{Name: "admin"}
		if o.auth != nil {
			id, err := o.auth.AuthenticateNode(r)
			if err != nil {
				p := unauthenticated(err)
				w.Header().Set(headerReason, p.reason)
				writeJSON(w, p.url, adminError(p.text))
				return
			}
			caller = id
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyLimit(r))
		answer(w, r, caller)
	})
}

// strict reads one JSON object with known fields only.
func strict(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after the object")
	}
	return nil
}

// asked answers an admission with what of it the dispatcher says.
func (o *offline) asked(of func(context.Context, server.JobAsk) (*server.JobReply, error)) func(http.ResponseWriter, *http.Request, auth.Identity) {
	return func(w http.ResponseWriter, r *http.Request, caller auth.Identity) {
		var in admissionJSON
		if err := strict(r, &in); err != nil {
			writeJSON(w, http.StatusBadRequest, adminError("the request is not an admission: "+err.Error()))
			return
		}
		ask, err := in.ask(caller.Name)
		if err != nil {
			writeJSON(w, http.StatusUnprocessableEntity, adminError(err.Error()))
			return
		}
		if refused, err := o.forbidden(r.Context(), caller, &in); err != nil || refused != nil {
			o.answer(w, refused, err)
			return
		}
		reply, err := of(r.Context(), ask)
		if err != nil {
			o.unavailable(w, "admit", err)
			return
		}
		writeJSON(w, http.StatusOK, answerOf(reply))
	}
}

func (o *offline) end(w http.ResponseWriter, r *http.Request, _ auth.Identity) {
	var in endJSON
	uid := r.PathValue("uid")
	if err := strict(r, &in); err != nil {
		writeJSON(w, http.StatusBadRequest, adminError("the request is not an end: "+err.Error()))
		return
	}
	end, err := in.end()
	if !isUID(uid) {
		err = badField("uid", "1 to 63 lower-case letters, digits and -")
	}
	if err != nil {
		writeJSON(w, http.StatusUnprocessableEntity, adminError(err.Error()))
		return
	}
	open, err := o.jobs.EndJob(r.Context(), uid, end)
	if err != nil {
		o.unavailable(w, "end", err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]bool{"wasOpen": open})
}

func (o *offline) list(w http.ResponseWriter, _ *http.Request, _ auth.Identity) {
	writeJSON(w, http.StatusOK, map[string]any{"admissions": o.jobs.Jobs()})
}

func (o *offline) measure(w http.ResponseWriter, r *http.Request, _ auth.Identity) {
	var in capacityJSON
	if err := strict(r, &in); err != nil {
		writeJSON(w, http.StatusBadRequest, adminError("the request is not a capacity: "+err.Error()))
		return
	}
	found, err := in.resources()
	if err != nil {
		writeJSON(w, http.StatusUnprocessableEntity, adminError(err.Error()))
		return
	}
	switch err := o.jobs.MeasureOffline(r.PathValue("node"), found); {
	case errors.Is(err, server.ErrUnknownNode):
		writeJSON(w, http.StatusNotFound, adminError(err.Error()+"; name it in spec.offline.node of a Pool"))
	case err != nil:
		o.unavailable(w, "capacity", err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// unavailable answers for what may be tried again: nothing was decided, or the same
// request finds what was.
func (o *offline) unavailable(w http.ResponseWriter, what string, err error) {
	o.log.Warn("a virtual node must ask again", "request", what, "error", err)
	w.Header().Set("Retry-After", "2")
	writeJSON(w, http.StatusServiceUnavailable, adminError(err.Error()))
}

// answerJSON is a JobReply as it is written.
type answerJSON struct {
	State             string                  `json:"state"`
	Attempt           int                     `json:"attempt,omitempty"`
	Pool              string                  `json:"pool,omitempty"`
	Reason            string                  `json:"reason,omitempty"`
	Text              string                  `json:"text,omitempty"`
	RetryAfterSeconds int                     `json:"retryAfterSeconds,omitempty"`
	CloudAt           *time.Time              `json:"cloudAt,omitempty"`
	CloudPool         string                  `json:"cloudPool,omitempty"`
	CloudEstimate     string                  `json:"cloudEstimate,omitempty"` // exact, nine decimals
	Currency          string                  `json:"currency,omitempty"`      // of CloudEstimate
	Decision          *dispatcher.Explanation `json:"decision,omitempty"`
}

func answerOf(r *server.JobReply) answerJSON {
	a := answerJSON{State: r.State.String(), Attempt: r.Attempt, Pool: r.Pool, Text: r.Text,
		RetryAfterSeconds: ceilSeconds(r.RetryAfter), CloudPool: r.Cloud, Decision: r.Explanation}
	if r.Reason != spillway.ReasonNone {
		a.Reason = r.Reason.String()
	}
	if !r.CloudAt.IsZero() {
		a.CloudAt = &r.CloudAt
	}
	if r.Cloud != "" {
		a.CloudEstimate, a.Currency = r.Cost.String(), r.Currency
	}
	return a
}
