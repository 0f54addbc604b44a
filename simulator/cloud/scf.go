package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/google/uuid"
)

const (
	scfVersion  = "2018-04-16"
	maxSCFBody  = 10 << 20 // bytes of any request of Tencent's with TC3
	scfInit     = 65 * time.Second
	maxRouting  = 1024
	maxSCFReply = 6 << 20
)

// scfFront is Invoke and InvokeFunction of Tencent SCF, reads of functions, and their
// reserved quota.
type scfFront struct{ *Server }

func (s *scfFront) serve(w http.ResponseWriter, r *http.Request, open bool) {
	id := uuid.NewString()
	if !open {
		(&scfError{"InternalError.System", "the stand-in is closing"}).write(w, id)
		return
	}
	if refused := s.handle(w, r, id); refused != nil {
		refused.write(w, id)
	}
}

func (s *scfFront) handle(w http.ResponseWriter, r *http.Request, id string) *scfError {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/":
		return &scfError{"InvalidRequest", "the stand-in takes POST / only"}
	case err != nil || kind != "application/json":
		return &scfError{"InvalidRequest", "Content-Type must be application/json"}
	}
	body, refused := readSCF(w, r)
	if refused != nil {
		return refused
	}
	if refused := verifyTC3(r, body, s.config.Clock(), s.config.Keys); refused != nil {
		return refused
	}
	action := r.Header.Get("X-TC-Action")
	switch {
	case r.Header.Get("X-TC-Version") == clsVersion && action == "SearchLog" && r.Header.Get("X-TC-Region") == s.config.Region:
		return s.searchLog(w, id, body)
	case r.Header.Get("X-TC-Version") != scfVersion:
		return &scfError{"NoSuchVersion", "X-TC-Version must be " + scfVersion}
	case r.Header.Get("X-TC-Region") != s.config.Region:
		return &scfError{"UnsupportedRegion", "X-TC-Region must be " + s.config.Region}
	case scfReads[action] != nil:
		return s.read(w, id, action, body)
	case action == "PutReservedConcurrencyConfig" || action == "DeleteReservedConcurrencyConfig":
		return s.write(w, id, action, body)
	case action != "Invoke" && action != "InvokeFunction":
		return &scfError{"InvalidAction", "the stand-in knows Invoke, InvokeFunction, GetFunction, GetAlias, Get-, Put- and DeleteReservedConcurrencyConfig, GetAccount, and SearchLog of the log service"}
	}
	q, refused := s.parse(action, body)
	if refused != nil {
		return refused
	}
	return s.invoke(w, r, id, q)
}

func readSCF(w http.ResponseWriter, r *http.Request) ([]byte, *scfError) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSCFBody+maxDrain))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over), err == nil && len(body) > maxSCFBody:
		return nil, &scfError{"RequestSizeLimitExceeded", "a request may have 10 MB"}
	case err != nil:
		return nil, &scfError{"InvalidRequest", "the request body could not be read"}
	}
	return body, nil
}

// scfRequest is a request after validation.
type scfRequest struct {
	call   call
	action string
	tail   bool
}

func (s *scfFront) invoke(w http.ResponseWriter, r *http.Request, id string, q *scfRequest) *scfError {
	fault := s.faults.pick(q.call.function.Name)
	if fault != nil && !fault.Kind.executes() {
		return s.breakBefore(w, r, id, fault)
	}
	e, reason := s.fleet.acquire(s.config.Clock(), q.call.function, q.call.version)
	if reason != "" {
		return s.throttled(w, id, q, reason)
	}
	x := s.execute(&q.call, e)
	if fault != nil {
		return s.breakAfter(w, r, id, fault, q, &x)
	}
	writeResult(w, id, s.result(q, &x))
	return nil
}

// throttled answers a call over a limit: InvokeFunction documents an error for it,
// Invoke does not and tells the status in a result.
func (s *scfFront) throttled(w http.ResponseWriter, id string, q *scfRequest, reason string) *scfError {
	status := 432
	if reason == ReasonRamp {
		status = 429
	}
	if q.action == "InvokeFunction" {
		return &scfError{"LimitExceeded.Quota", fmt.Sprintf("%d %s", status, reason)}
	}
	writeResult(w, id, unexecuted(status))
	return nil
}

// start implements front.
func (s *scfFront) start(ctx context.Context, f *function, version string) (runner, time.Duration, *initError) {
	return startCustom(ctx, f, version, s.config.Region, s.scratch)
}

// settle implements front: a timeout lasts exactly the timeout, an answer over the
// limit is an error, and INIT is billed only where nothing came after it.
func (s *scfFront) settle(c *call, x *execution) {
	switch {
	case x.timedOut:
		x.duration = c.function.Timeout
		x.code, x.errorType = 433, "TimeLimitReached"
		x.payload = fmt.Appendf(nil, "Invoking task timed out after %d seconds", int64(c.function.Timeout.Seconds()))
	case x.errorType == "" && len(x.payload) > maxSCFReply:
		x.code, x.errorType = 407, "ResponseTooLarge"
		x.payload = []byte("The size of response exceeds the upper limit (6MB)")
	case x.unstarted:
		x.duration = x.init
		x.code = 405
		x.payload = []byte("ContainerStateExited: the instance did not become ready")
	case x.errorType == "Runtime.ExitError" && x.code == 0:
		x.code = 439
		x.payload = []byte("User process exit when running")
	case x.errorType != "" && x.code == 0:
		x.code = 430
	}
	x.billedMs = billedMs(x.duration)
}

// report implements front.
func (s *scfFront) report(c *call, x *execution) string { return lastLine(x.scfTail(c)) }

// named reads the caller's own names for a call from the client context that begins
// its event, if there is one.
func (c *call) named(event []byte) {
	const head = `{"$spillway":`
	if len(event) < len(head) || string(event[:len(head)]) != head {
		return
	}
	var context struct {
		Custom struct {
			Invocation string `json:"spillway-invocation"`
			Attempt    string `json:"spillway-attempt"`
		} `json:"custom"`
	}
	decoder := json.NewDecoder(bytes.NewReader(event[len(head):]))
	if decoder.Decode(&context) == nil {
		c.invocation = context.Custom.Invocation
		_, _ = fmt.Sscan(context.Custom.Attempt, &c.attempt) // not a number: none
	}
}
