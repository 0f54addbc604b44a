package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

const (
	maxRunBody = 2 << 20 // of a request to run an attempt, in bytes: a pod's spec is no larger
	maxRunText = 512     // bytes of a function's own words
)

// mayRun says whether a node may have a burst function run. Where everybody may ask, it
// may; and what was sent may be joined that has none any more.
func (o *offline) mayRun(ctx context.Context, who auth.Identity, namespace, function string) (auth.Permission, error) {
	if o.auth == nil || function == "" {
		return auth.Allowed, nil
	}
	return o.auth.Authorise(ctx, who, namespace, function)
}

func mayNotRun(who, namespace, function string) string {
	return "its burst function " + namespace + "/" + function + " may not be run for it: give " + who +
		" the verb invoke on functions.spillway.dev in namespace " + namespace + ", or take the burst function away"
}

// forbidden is the answer to a node that names a burst function which it may not have
// run; else nil.
func (o *offline) forbidden(ctx context.Context, who auth.Identity, in *admissionJSON) (*answerJSON, error) {
	if in.BurstFunction == "" {
		return nil, nil
	}
	permission, err := o.mayRun(ctx, who, in.Namespace, in.BurstFunction)
	if err != nil || permission != auth.Denied {
		return nil, err
	}
	return &answerJSON{State: dispatcher.JobRefused.String(), Attempt: in.Attempt,
		Reason: spillway.ReasonDenied.String(), Text: mayNotRun(who.Name, in.Namespace, in.BurstFunction)}, nil
}

// answer writes a, or that err keeps the question open.
func (o *offline) answer(w http.ResponseWriter, a *answerJSON, err error) {
	if err != nil {
		o.unavailable(w, "admit", err)
		return
	}
	writeJSON(w, http.StatusOK, a)
}

// runJSON asks that an attempt runs in the cloud that it was sent to.
type runJSON struct {
	Attempt   int             `json:"attempt"`
	Namespace string          `json:"namespace"`
	Function  string          `json:"function"`
	Event     json.RawMessage `json:"event"`
}

func (in *runJSON) check(uid string) error {
	switch {
	case !isUID(uid):
		return badField("uid", "1 to 63 lower-case letters, digits and -")
	case in.Attempt < 1 || in.Attempt > 1<<30:
		return badField("attempt", "the attempt that was sent to a cloud, from 1")
	case !isLabel(in.Namespace) || in.Function != "" && !isLabel(in.Function):
		return badField("namespace, function", "DNS labels; no function if the job has none any more")
	case len(in.Event) == 0:
		return badField("event", "what the function is called with")
	}
	return nil
}

// ranJSON is what became of an attempt in a cloud.
type ranJSON struct {
	State      string     `json:"state"`    // executed, not_executed, unknown
	ExitCode   int        `json:"exitCode"` // of executed: the function's, else 1 for an error
	Reason     string     `json:"reason,omitempty"`
	Text       string     `json:"text,omitempty"`
	Pool       string     `json:"pool,omitempty"`
	Invocation string     `json:"invocation,omitempty"`
	Started    *time.Time `json:"started,omitempty"`
	Ended      *time.Time `json:"ended,omitempty"`
	Log        string     `json:"log,omitempty"` // the last 4 KiB
}

// run answers when the attempt has ended, and runs it once at most: whoever lost the
// answer asks again.
func (o *offline) run(w http.ResponseWriter, r *http.Request, who auth.Identity) {
	var in runJSON
	uid := r.PathValue("uid")
	if err := strict(r, &in); err != nil {
		writeJSON(w, http.StatusBadRequest, adminError("the request is not an attempt to run: "+err.Error()))
		return
	}
	if err := in.check(uid); err != nil {
		writeJSON(w, http.StatusUnprocessableEntity, adminError(err.Error()))
		return
	}
	setDeadline(w, deadliner.SetReadDeadline, time.Time{}) // it may run for long
	permission, err := o.mayRun(r.Context(), who, in.Namespace, in.Function)
	if err != nil {
		o.unavailable(w, "run", err)
		return
	}
	a, err := o.jobs.RunJob(r.Context(), server.JobRun{UID: uid, Attempt: in.Attempt, Caller: who.Name, Payload: in.Event, Stale: permission == auth.AllowedStale, Denied: permission == auth.Denied,
		Function: spillway.FunctionKey{Namespace: in.Namespace, Name: in.Function}})
	setDeadline(w, deadliner.SetWriteDeadline, time.Now().Add(writeGrace))
	switch {
	case errors.Is(err, server.ErrRunDenied):
		writeJSON(w, http.StatusForbidden, adminError(mayNotRun(who.Name, in.Namespace, in.Function)))
		return
	case err != nil:
		o.notRun(w, uid, in.Attempt, err)
		return
	}
	writeJSON(w, http.StatusOK, ranOf(a))
}

// notRun answers for an attempt without an Answer.
func (o *offline) notRun(w http.ResponseWriter, uid string, attempt int, err error) {
	unknown, missing := errors.AsType[*server.UnknownFunctionError](err)
	out := ranJSON{State: spillway.NotExecuted.String(), Text: err.Error(), Invocation: server.JobInvocation(uid, attempt)}
	switch {
	case missing:
		out.Text = unknown.Error()
	case errors.Is(err, server.ErrNotSent):
		out.Text, out.Invocation = server.ErrNotSent.Error(), ""
	case errors.Is(err, server.ErrJobRan):
		out.State, out.Text = spillway.Unknown.String(), server.ErrJobRan.Error()
	default:
		o.unavailable(w, "run", err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// ranOf puts an answer in the words of a container's end.
func ranOf(a *server.Answer) ranJSON {
	d := a.Decision
	out := ranJSON{State: spillway.NotExecuted.String(), Invocation: a.Placement.Invocation, Pool: a.Placement.Pool, Reason: a.Placement.Reason.String()}
	if x := a.Explanation; x != nil {
		out.Invocation, out.Pool, out.Reason = x.Invocation, x.Pool, x.Reason.String()
		if x.Limit != nil {
			out.Text = x.Limit.Reads
		}
	}
	for i := range d.Attempts[:d.Tries] {
		if d.Attempts[i].Outcome.Class == spillway.Unknown {
			out.State = spillway.Unknown.String()
		}
	}
	if d.Tries == 0 || a.Refused() != spillway.ReasonNone || a.Unknown() {
		return out
	}
	o := d.Last().Outcome
	if out.State = o.Class.String(); o.Class != spillway.Executed {
		out.Text = o.Detail
		return out
	}
	if at := o.Usage.Started; at != 0 {
		started := at.Time().UTC()
		ended := started.Add(time.Duration(o.Usage.DurationMicros) * time.Microsecond)
		out.Started, out.Ended = &started, &ended
	}
	out.ExitCode, out.Text = exitOf(a.Payload, a.FunctionError)
	out.Log = strings.ToValidUTF8(string(a.LogTail), "?")
	return out
}

// exitOf reads how the command of a job ended from what a function answered:
// {"exitCode": n}. An answer without it is success; a function error is 1.
func exitOf(payload []byte, failed spillway.FunctionError) (int, string) {
	var said struct {
		ExitCode                json.RawMessage
		ErrorType, ErrorMessage string
	}
	_ = json.Unmarshal(payload, &said) // an answer may be anything
	switch {
	case failed != spillway.FunctionOK:
		return 1, clipped(strings.Trim(said.ErrorType+": "+said.ErrorMessage, ": "))
	case said.ExitCode == nil:
		return 0, ""
	}
	n, err := strconv.ParseUint(string(said.ExitCode), 10, 8)
	if err != nil {
		return 1, odd
	}
	return int(n), ""
}

const odd = "its answer's exitCode is no whole number from 0 to 255"

func clipped(s string) string {
	if len(s) <= maxRunText {
		return s
	}
	s = s[:maxRunText]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// bodyLimit is how much of a request of a virtual node is read, in bytes.
func bodyLimit(r *http.Request) int64 {
	if strings.HasSuffix(r.URL.Path, "/run") {
		return maxRunBody
	}
	return maxOfflineBody
}
