package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

// This file alone decides which status, type and reason every ending but success
// has. An SDK repeats 429, 500, 502, 503, 504 and the codes it knows as throttles or
// timeouts: they are used only where nothing ran.

// Reasons of X-Spillway-Reason for requests that were not admitted; the others
// are spillway.Reasons.
const (
	reasonUnauthenticated = "unauthenticated"
	reasonInvalid         = "invalid_request"
	reasonTooLarge        = "too_large"
	reasonUnsupported     = "unsupported"
	reasonNotFound        = "not_found"
	reasonKeyReused       = "key_reused"
	reasonResultGone      = "result_gone"
	reasonUnknown         = "outcome_unknown"
	reasonInternal        = "internal"
)

// Types of the Lambda API's errors. Spillway's own are ones that no SDK knows, so
// that none repeats them.
const (
	typeInvalidParameter = "InvalidParameterValueException"
	typeInvalidContent   = "InvalidRequestContentException"
	typeTooLarge         = "RequestTooLargeException"
	typeNotFound         = "ResourceNotFoundException"
	typeTooMany          = "TooManyRequestsException"
	typeAccessDenied     = "AccessDeniedException"
	typeUnavailable      = "ServiceUnavailable"
	typeMediaType        = "UnsupportedMediaTypeException"
	typeService          = "ServiceException"
	typeBudget           = "Spillway.BudgetExceeded"
	typeDeadline         = "Spillway.DeadlineExceeded"
	typeSlowBody         = "Spillway.RequestTooSlow"
	typeKeyReused        = "Spillway.KeyReused"
	typeResultGone       = "Spillway.ResultGone"
	typeUnknown          = "Spillway.OutcomeUnknown"
)

// problem is any ending but a function's answer.
type problem struct {
	lambda int // status on the Lambda API; 200 means in the shape of a function error
	url    int // status on the plain URL
	kind   string
	reason string
	text   string

	throttle   string // Reason of a TooManyRequestsException
	retryAfter int    // seconds; zero: not said
	close      bool   // the connection must not be used again
	allow      string // Allow of a 405
	decided    *dispatcher.Explanation

	placed        *server.Placement      // of a web call that ran
	functionError spillway.FunctionError // of a web call
	body          []byte                 // in place of the usual one
}

func same(status int, kind, reason, text string) *problem {
	return &problem{lambda: status, url: status, kind: kind, reason: reason, text: text}
}

func badValue(text string) *problem {
	return same(http.StatusBadRequest, typeInvalidParameter, reasonInvalid, text)
}

func badName(what, allowed string) *problem {
	return badValue("the " + what + " in the path or query is not valid; allowed: " + allowed)
}

func unsupported(text string) *problem {
	return same(http.StatusBadRequest, typeInvalidParameter, reasonUnsupported, text)
}

func badContent(text string) *problem {
	return same(http.StatusBadRequest, typeInvalidContent, reasonInvalid, text)
}

func oddTarget(what string) *problem {
	p := badValue("the request target " + what)
	p.close = true
	return p
}

func noSuchPath() *problem {
	return same(http.StatusNotFound, typeNotFound, reasonNotFound, "no such path; here are POST /namespaces/{namespace}/functions/{name}/invoke, "+
		"any method on /namespaces/{namespace}/functions/{name}/ and below it for web functions (mind the / after the name), "+
		"and, for AWS SDKs with the endpoint /namespaces/{namespace}, the Lambda operation Invoke")
}

func notInvoke(path string) *problem {
	if strings.HasSuffix(path, "/response-streaming-invocations") {
		return unsupported("response streaming is not supported in this version; use Invoke")
	}
	return unsupported("this Lambda operation is not supported in this version; supported: Invoke (POST 2015-03-31/functions/{FunctionName}/invocations)")
}

func isWeb() *problem {
	return unsupported("this is a web function; send it HTTP requests at /namespaces/{namespace}/functions/{name}/, it has no Invoke")
}

func noUpgrade() *problem {
	p := same(http.StatusNotImplemented, typeInvalidParameter, reasonUnsupported,
		"web functions do not switch protocols in this version: no WebSocket, other Upgrade or CONNECT; nothing ran")
	p.close = true
	return p
}

// webFailed answers for a web function that ran and did not answer.
func webFailed(a *server.Answer) *problem {
	last := a.Decision.Last().Outcome
	p := &problem{url: http.StatusBadGateway, reason: a.Placement.Reason.String(), placed: &a.Placement,
		functionError: last.FunctionError, body: a.Payload}
	if last.Cause == spillway.CauseTimeout {
		p.url = http.StatusGatewayTimeout
	}
	if p.functionError == spillway.FunctionOK { // it never started
		p.functionError = spillway.FunctionUnhandled
	}
	return p
}

func wrongMethod() *problem {
	p := same(http.StatusMethodNotAllowed, typeInvalidParameter, reasonInvalid, "this path takes POST only")
	p.allow = http.MethodPost
	return p
}

func encoded() *problem {
	return same(http.StatusUnsupportedMediaType, typeMediaType, reasonUnsupported,
		"the payload has a Content-Encoding; send it as it is, uncompressed")
}

func noLength() *problem {
	p := same(http.StatusLengthRequired, typeInvalidContent, reasonInvalid, "an HTTP/1.0 request needs a Content-Length")
	p.close = true
	return p
}

func tooLarge() *problem {
	p := same(http.StatusRequestEntityTooLarge, typeTooLarge, reasonTooLarge,
		"the payload must be at most 6291456 bytes")
	p.close = true
	return p
}

func tooSlow() *problem {
	p := same(http.StatusRequestTimeout, typeSlowBody, reasonInvalid, "the payload arrived too slowly; nothing ran")
	p.close = true
	return p
}

func bodyBroken() *problem {
	p := badContent("the payload ended early or is not framed as the headers say; nothing ran")
	p.close = true
	return p
}

func overloaded() *problem {
	p := same(http.StatusServiceUnavailable, typeUnavailable, spillway.ReasonUnavailable.String(),
		"the payloads of calls in flight fill the memory set aside for them; nothing ran, try again")
	p.retryAfter, p.close = 1, true
	return p
}

// panicked answers for a request that broke its handler. Once the call was handed
// to the server nobody knows whether it ran.
func panicked(entered bool) *problem {
	if entered {
		return unknown(nil)
	}
	p := same(http.StatusInternalServerError, typeService, reasonInternal, "the request broke its handler; nothing ran")
	p.close = true
	return p
}

// unauthenticated answers for missing or wrong credentials, and for those that nobody
// can judge now.
func unauthenticated(err error) *problem {
	p := &problem{lambda: http.StatusForbidden, url: http.StatusUnauthorized, kind: auth.TypeUnrecognizedClient,
		reason: reasonUnauthenticated, text: "the request could not be authenticated"}
	e, ok := errors.AsType[*auth.Error](err)
	if !ok {
		return p
	}
	p.lambda, p.kind, p.text = e.Status, e.Type, e.Message
	if e.Type == auth.TypeUnavailable {
		p.url, p.reason, p.retryAfter = e.Status, spillway.ReasonUnavailable.String(), ceilSeconds(e.RetryAfter)
	}
	return p
}

// forbidden is the same, byte for byte, whether the function exists or not.
func forbidden(identity string) *problem {
	return same(http.StatusForbidden, typeAccessDenied, spillway.ReasonDenied.String(),
		"User: "+identity+" is not authorized to perform: lambda:InvokeFunction on this function; ask for an invoke pattern that covers it, or in a cluster for the verb invoke on functions.spillway.dev")
}

// failed answers for an error of the server. What is not known to have run
// nothing is an unknown outcome.
func failed(err error) *problem {
	if e, ok := errors.AsType[*server.UnknownFunctionError](err); ok {
		return same(http.StatusNotFound, typeNotFound, reasonNotFound, e.Error())
	}
	switch {
	case errors.Is(err, server.ErrDraining):
		p := same(http.StatusServiceUnavailable, typeUnavailable, spillway.ReasonUnavailable.String(), err.Error())
		p.retryAfter, p.close = 1, true
		return p
	case errors.Is(err, server.ErrKeyReused):
		return same(http.StatusUnprocessableEntity, typeKeyReused, reasonKeyReused, err.Error())
	case errors.Is(err, server.ErrResultGone):
		return &problem{lambda: http.StatusOK, url: http.StatusGone, kind: typeResultGone, reason: reasonResultGone, text: err.Error()}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p := unknown(nil)
		p.text = "the first attempt of this request has not ended yet; send it again with the same key to learn its result"
		return p
	}
	return unknown(nil)
}

// unknown answers for a call that may have run. x may be nil.
func unknown(x *dispatcher.Explanation) *problem {
	p := &problem{lambda: http.StatusOK, url: http.StatusGatewayTimeout, kind: typeUnknown, reason: reasonUnknown, decided: x,
		text: "the call may have run and its result is not known; it was not repeated. Repeat it only if running twice does no harm"}
	if x != nil {
		p.text += "; spillway explain " + x.Invocation + " will tell what became of it"
	}
	return p
}

// refused answers for a refusal. If an earlier attempt of the call may have run,
// that is what matters to whoever might repeat it.
func refused(a *server.Answer) *problem {
	for _, attempt := range a.Decision.Attempts[:a.Decision.Tries] {
		if attempt.Outcome.Class != spillway.NotExecuted {
			return unknown(a.Explanation)
		}
	}
	reason := a.Refused()
	p := same(http.StatusServiceUnavailable, typeUnavailable, reason.String(), "")
	switch reason {
	case spillway.ReasonDenied:
		p.lambda, p.kind = http.StatusForbidden, typeAccessDenied
	case spillway.ReasonBudgetExceeded:
		p.lambda, p.kind = http.StatusPaymentRequired, typeBudget
	case spillway.ReasonDeadline:
		p.lambda, p.kind = http.StatusRequestTimeout, typeDeadline
	case spillway.ReasonQuotaExceeded, spillway.ReasonNoCapacity:
		p.lambda, p.kind, p.retryAfter = http.StatusTooManyRequests, typeTooMany, retrySeconds(a.Decision)
		p.throttle = throttleReason(a.Decision.Limit.Kind)
	default:
		p.retryAfter = retrySeconds(a.Decision)
	}
	p.url, p.decided = p.lambda, a.Explanation
	p.text = refusalText(reason, a.Explanation)
	return p
}

// throttleReason is Lambda's word for a limit.
func throttleReason(k spillway.LimitKind) string {
	switch k {
	case spillway.LimitQuota:
		return "ReservedFunctionConcurrentInvocationLimitExceeded"
	case spillway.LimitRequestRate:
		return "FunctionInvocationRateLimitExceeded"
	case spillway.LimitThrottled:
		return "CallerRateLimitExceeded"
	}
	return "ConcurrentInvocationLimitExceeded"
}

// retrySeconds is when to try again: as the provider said, else in a second.
func retrySeconds(d *dispatcher.Decision) int {
	if last := d.Last(); last != nil && last.Outcome.RetryAfter > time.Second {
		return ceilSeconds(last.Outcome.RetryAfter)
	}
	return 1
}

func ceilSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

var refusalTexts = map[spillway.Reason]string{
	spillway.ReasonDenied:         "denied: no pool may run this call",
	spillway.ReasonQuotaExceeded:  "quota_exceeded: the quota is used up; try again later",
	spillway.ReasonBudgetExceeded: "budget_exceeded: there is no money left for this call",
	spillway.ReasonNoCapacity:     "no_capacity: every pool that may run this call is full; try again later",
	spillway.ReasonDeadline:       "deadline: the deadline passed before the call could start",
	spillway.ReasonUnavailable:    "unavailable: what this call needs cannot take it now; try again later",
}

// refusalText says why, by which limit, and what to do.
func refusalText(r spillway.Reason, x *dispatcher.Explanation) string {
	var b strings.Builder
	b.WriteString(refusalTexts[r])
	if x.Limit != nil {
		b.WriteString(" (" + x.Limit.Reads + ")")
	}
	if x.Policy.Failed != "" {
		b.WriteString(" (policy failed: " + x.Policy.Failed + ")")
	}
	if r == spillway.ReasonDenied {
		for _, p := range x.Pools {
			if !p.Permitted {
				b.WriteString("; " + p.Name + ": " + strings.TrimSuffix(p.Filter+" "+p.Detail, " "))
			}
		}
	}
	b.WriteString(". Nothing ran. More: spillway explain " + x.Invocation)
	return b.String()
}
