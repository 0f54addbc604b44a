package cloud

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/spillway-dev/spillway/auth"
)

// apiError is an error answer of the Lambda API. The capital of the message's key
// differs between exceptions; that is how the service writes them.
type apiError struct {
	status     int
	kind       string // X-Amzn-ErrorType
	who        string // Type in the body: User or Service; empty where the service has none
	message    string
	lower      bool   // key is "message"
	reason     string // of TooManyRequestsException
	retryAfter int    // seconds; 0 for none
}

func (e *apiError) Error() string { return e.kind + ": " + e.message }

func invalidParameter(message string) *apiError {
	return &apiError{status: 400, kind: "InvalidParameterValueException", who: "User", message: message, lower: true}
}

func invalidContent(message string) *apiError {
	return &apiError{status: 400, kind: "InvalidRequestContentException", who: "User", message: message, lower: true}
}

func notFound(message string) *apiError {
	return &apiError{status: 404, kind: "ResourceNotFoundException", who: "User", message: message}
}

func accessDenied(message string) *apiError {
	return &apiError{status: 403, kind: "AccessDeniedException", message: message}
}

func unknownOperation() *apiError {
	return &apiError{status: 404, kind: "UnknownOperationException", message: "the stand-in knows Invoke, GetFunction, GetFunctionConfiguration, GetAlias, GetFunctionConcurrency, PutFunctionConcurrency, DeleteFunctionConcurrency and GetAccountSettings"}
}

func tooLarge() *apiError {
	return &apiError{status: 413, kind: "RequestTooLargeException", who: "User", lower: true, message: "Request must be smaller than " + strconv.Itoa(maxRequest) + " bytes for the InvokeFunction operation"}
}

func throttled(reason string, retryAfter int) *apiError {
	return &apiError{status: 429, kind: "TooManyRequestsException", who: "User", message: "Rate Exceeded.", lower: true, reason: reason, retryAfter: retryAfter}
}

func serviceFailure() *apiError {
	return &apiError{status: 500, kind: "ServiceException", who: "Service", message: "The service encountered an internal error."}
}

func ec2Throttled() *apiError {
	return &apiError{status: 502, kind: "EC2ThrottledException", who: "Server", message: "Amazon EC2 throttled the start of an environment."}
}

func unauthenticated(e *auth.Error) *apiError {
	return &apiError{status: e.Status, kind: e.Type, message: e.Message, lower: true}
}

// write answers with e. The request id header is set already.
func (e *apiError) write(w http.ResponseWriter) {
	fields := map[string]string{}
	if e.lower {
		fields["message"] = e.message
	} else {
		fields["Message"] = e.message
	}
	if e.who != "" {
		fields["Type"] = e.who
	}
	if e.reason != "" {
		fields["Reason"] = e.reason
	}
	body, _ := json.Marshal(fields) // a map of strings always marshals
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Amzn-ErrorType", e.kind)
	if e.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.status)
	w.Write(body)
}
