package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

// Response headers, in canonical form, set directly in the map.
const (
	headerInvocation = "X-Spillway-Invocation"
	headerPool       = "X-Spillway-Pool"
	headerReason     = "X-Spillway-Reason"
	headerDecision   = "X-Spillway-Decision"
	headerURLError   = "X-Spillway-Function-Error"

	headerRequestID     = "X-Amzn-Requestid"
	headerErrorType     = "X-Amzn-Errortype"
	headerFunctionError = "X-Amz-Function-Error"
	headerLogResult     = "X-Amz-Log-Result"
	headerVersion       = "X-Amz-Executed-Version"
)

const (
	noPool      = "-" // X-Spillway-Pool of a call without one
	maxDecision = 1024

	writeGrace   = 15 * time.Second
	minWriteRate = 64 << 10 // bytes per second
)

var typeJSON = []string{"application/json"} // shared: never modified

// fields sets response headers; the values share one allocation.
type fields struct {
	h      http.Header
	values [9]string
	used   int
}

func (f *fields) set(name, value string) {
	if f.used == len(f.values) {
		f.h[name] = []string{value}
		return
	}
	f.values[f.used] = value
	f.h[name] = f.values[f.used : f.used+1 : f.used+1]
	f.used++
}

// explain sets the X-Spillway headers of a decision.
func (f *fields) explain(e *dispatcher.Explanation) {
	pool := e.Pool
	if pool == "" {
		pool = noPool
	}
	f.set(headerInvocation, e.Invocation)
	f.set(headerPool, pool)
	f.set(headerReason, e.Reason.String())
	f.set(headerDecision, headerText(e.Summary()))
}

// place sets the X-Spillway headers of a call that ran.
func (f *fields) place(p server.Placement) {
	f.set(headerInvocation, p.Invocation)
	f.set(headerPool, p.Pool)
	f.set(headerReason, p.Reason.String())
	f.set(headerDecision, headerText(p.Decision))
}

// headerText makes s fit for a header value.
func headerText(s string) string {
	if len(s) > maxDecision {
		s = s[:maxDecision]
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return replaceOdd(s)
		}
	}
	return s
}

func replaceOdd(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c >= 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}

// writeAnswer writes what a function answered, be it an error.
func (x *exchange) writeAnswer(a *server.Answer) {
	f := &fields{h: x.w.Header()}
	id := a.Placement.Invocation
	if a.Explanation != nil {
		id = a.Explanation.Invocation
		f.explain(a.Explanation)
	} else {
		f.place(a.Placement)
	}
	status := http.StatusOK
	if x.target.api == apiLambda {
		f.set(headerRequestID, id)
		f.set(headerVersion, headerText(a.ExecutedVersion))
		if a.FunctionError != spillway.FunctionOK {
			f.set(headerFunctionError, string(a.FunctionError))
		}
		if x.logTail {
			tail := a.LogTail[max(0, len(a.LogTail)-pools.MaxLogTail):]
			f.set(headerLogResult, base64.StdEncoding.EncodeToString(tail))
		}
	} else if a.FunctionError != spillway.FunctionOK {
		status = http.StatusBadGateway
		f.set(headerURLError, string(a.FunctionError))
	}
	x.write(f, status, a.Payload)
}

func (x *exchange) writeDryRun(a *server.Answer) {
	f := &fields{h: x.w.Header()}
	f.explain(a.Explanation)
	f.set(headerRequestID, a.Explanation.Invocation)
	f.set(headerVersion, headerText(a.ExecutedVersion))
	x.closeIf(f, false)
	x.begin(http.StatusNoContent, 0)
}

// write sends headers and a JSON body.
func (x *exchange) write(f *fields, status int, body []byte) {
	f.h["Content-Type"] = typeJSON
	f.set("Content-Length", strconv.Itoa(len(body)))
	x.closeIf(f, false)
	x.begin(status, len(body))
	_, _ = x.w.Write(body) // fails only when the client has gone
	x.front.metrics.sent.Add(float64(len(body)))
}

// begin sends the status line, and gives a slow reader so long for the rest.
func (x *exchange) begin(status, size int) {
	allowed := writeGrace + time.Duration(size)*time.Second/minWriteRate
	setDeadline(x.w, deadliner.SetWriteDeadline, time.Now().Add(allowed))
	x.status = status
	x.w.WriteHeader(status)
}

// closeIf ends the connection after this answer if asked to, or if the request was
// framed so that the next one might be read wrongly.
func (x *exchange) closeIf(f *fields, ask bool) {
	if ask || x.odd || oddFraming(x.r) {
		f.set("Connection", "close")
	}
}

// writeProblem writes any ending but a function's answer, in the shape of the API.
func (x *exchange) writeProblem(p *problem) {
	x.audit(p)
	f := &fields{h: x.w.Header()}
	switch {
	case p.decided != nil:
		f.explain(p.decided)
	case p.placed != nil:
		f.place(*p.placed)
	default:
		f.set(headerReason, p.reason)
	}
	if p.functionError != "" {
		f.set(headerURLError, string(p.functionError))
	}
	if p.retryAfter > 0 {
		f.set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.allow != "" {
		f.set("Allow", p.allow)
	}
	unread := x.r.ContentLength > smallBody && x.body == nil
	x.closeIf(f, p.close || unread)
	if x.target.api == apiLambda {
		x.writeLambdaProblem(f, p)
		return
	}
	if p.url == http.StatusUnauthorized {
		f.set("Www-Authenticate", "Bearer")
	}
	body := p.body
	if body == nil {
		body = urlBody(p)
	}
	x.write(f, p.url, body)
}

// audit logs who was refused what, for want of credentials or of permission.
func (x *exchange) audit(p *problem) {
	status := p.url
	if x.target.api == apiLambda {
		status = p.lambda
	}
	if status != http.StatusForbidden && status != http.StatusUnauthorized {
		return
	}
	invocation := ""
	if p.decided != nil {
		invocation = p.decided.Invocation
	}
	x.front.log.Warn("refused", "status", status, "type", p.kind, "caller", x.identity.Name,
		"namespace", x.target.function.Namespace, "function", x.target.function.Name, "api", x.target.api.String(),
		"method", x.r.Method, "peer", x.r.RemoteAddr, "invocation", invocation, "why", p.text)
}

// lambdaError has the members of Lambda's exceptions. Most of them spell message
// in lower case, a few do not.
type lambdaError struct {
	Type        string                  `json:"Type"`
	Reason      string                  `json:"Reason,omitempty"`
	Lower       string                  `json:"message,omitempty"`
	Upper       string                  `json:"Message,omitempty"`
	Explanation *dispatcher.Explanation `json:"explanation,omitempty"`
}

// functionError is the body of an answer in the shape of a function error.
type functionError struct {
	Type        string                  `json:"errorType"`
	Message     string                  `json:"errorMessage"`
	Invocation  string                  `json:"invocation,omitempty"`
	Explanation *dispatcher.Explanation `json:"explanation,omitempty"`
}

func (x *exchange) writeLambdaProblem(f *fields, p *problem) {
	id := ""
	if p.decided != nil {
		id = p.decided.Invocation
		f.set(headerRequestID, id)
	} else {
		request := uuid.NewString()
		f.set(headerRequestID, request)
		x.front.log.Debug("request refused before admission", "request", request, "type", p.kind, "caller", x.identity.Name)
	}
	if p.lambda == http.StatusOK {
		f.set(headerFunctionError, string(spillway.FunctionUnhandled))
		x.write(f, p.lambda, marshal(functionError{p.kind, p.text, id, p.decided}))
		return
	}
	f.set(headerErrorType, p.kind)
	body := lambdaError{Type: "User", Reason: p.throttle, Lower: p.text, Explanation: p.decided}
	if p.lambda >= http.StatusInternalServerError {
		body.Type = "Service"
	}
	if p.kind == typeNotFound || p.kind == typeService {
		body.Lower, body.Upper = "", p.text
	}
	x.write(f, p.lambda, marshal(body))
}

func urlBody(p *problem) []byte {
	type inner struct {
		Reason      string                  `json:"reason"`
		Message     string                  `json:"message"`
		Limit       *dispatcher.LimitText   `json:"limit,omitempty"`
		Explanation *dispatcher.Explanation `json:"explanation,omitempty"`
	}
	e := inner{Reason: p.reason, Message: p.text, Explanation: p.decided}
	if p.decided != nil {
		e.Limit = p.decided.Limit
	}
	return marshal(map[string]inner{"error": e})
}

func marshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // nothing in these types can fail to be written
		panic(err)
	}
	return body
}
