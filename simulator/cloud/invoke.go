package cloud

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

const (
	maxRequest       = 6 << 20 // bytes of a synchronous payload
	maxClientContext = 3583    // bytes of its base64 form
	// maxDrain is how much of a body over the limit is still read, so that the
	// client has finished writing when the refusal reaches it.
	maxDrain = 16 << 20
)

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *apiError) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest+maxDrain))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over), err == nil && len(body) > maxRequest:
		return nil, tooLarge()
	case err != nil:
		return nil, invalidContent("the request body could not be read")
	}
	return body, nil
}

// request is an Invoke request after validation.
type request struct {
	call   call
	dryRun bool
	tail   bool
}

func (s *lambdaFront) invoke(w http.ResponseWriter, r *http.Request, id, name string, body []byte) *apiError {
	q, refused := s.parse(r, id, name, body)
	if refused != nil {
		return refused
	}
	if q.dryRun {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if len(body) > 0 && !json.Valid(body) {
		return invalidContent("Could not parse request body into json")
	}
	fault := s.faults.pick(q.call.function.Name)
	if fault != nil && !fault.Kind.executes() {
		return s.breakBefore(w, r, fault)
	}
	e, reason := s.fleet.acquire(s.config.Clock(), q.call.function, q.call.version)
	if reason != "" {
		return throttled(reason, 1)
	}
	x := s.execute(&q.call, e)
	if fault != nil {
		return s.breakAfter(w, r, fault, &q, &x)
	}
	answer(w, &q, &x)
	return nil
}

func answer(w http.ResponseWriter, q *request, x *execution) {
	resultHeaders(w.Header(), q, x)
	w.Header().Set("Content-Length", strconv.Itoa(len(x.payload)))
	w.WriteHeader(http.StatusOK)
	w.Write(x.payload)
}

func resultHeaders(h http.Header, q *request, x *execution) {
	h.Set("Content-Type", "application/json")
	h.Set("X-Amz-Executed-Version", q.call.version)
	if x.errorType != "" {
		h.Set("X-Amz-Function-Error", "Unhandled")
	}
	if q.tail {
		h.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(x.tail(&q.call)))
	}
}

// parse validates everything but the payload, in the order in which Lambda does.
func (s *lambdaFront) parse(r *http.Request, id, name string, body []byte) (request, *apiError) {
	q := request{call: call{id: id, payload: body}}
	if len(body) == 0 {
		q.call.payload = []byte("{}")
	}
	if refused := q.options(r.Header); refused != nil {
		return request{}, refused
	}
	name, err := url.PathUnescape(name)
	if err != nil {
		return request{}, invalidParameter("FunctionName is not escaped correctly")
	}
	f, version, refused := s.resolve(name, r.URL.Query().Get("Qualifier"))
	if refused != nil {
		return request{}, refused
	}
	q.call.function, q.call.version = f, version
	q.call.arn = s.arn(f.Name, "")
	return q, q.clientContext(r.Header.Get("X-Amz-Client-Context"))
}

func (q *request) options(h http.Header) *apiError {
	switch h.Get("X-Amz-Invocation-Type") {
	case "", "RequestResponse":
	case "DryRun":
		q.dryRun = true
	case "Event":
		return invalidParameter("InvocationType Event is not supported by this stand-in; use RequestResponse")
	default:
		return invalidParameter("InvocationType must be one of RequestResponse, Event, DryRun")
	}
	switch h.Get("X-Amz-Log-Type") {
	case "", "None":
	case "Tail":
		q.tail = true
	default:
		return invalidParameter("LogType must be one of None, Tail")
	}
	if h.Get("X-Amz-Tenant-Id") != "" {
		return invalidParameter("the function has no tenant isolation; leave TenantId out")
	}
	if h.Get("X-Amz-Durable-Execution-Name") != "" {
		return invalidParameter("the function is not durable; leave DurableExecutionName out")
	}
	return nil
}

func (q *request) clientContext(encoded string) *apiError {
	if encoded == "" {
		return nil
	}
	if len(encoded) > maxClientContext {
		return invalidParameter("ClientContext has more than 3583 bytes")
	}
	text, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return invalidContent("Client context must be a valid Base64-encoded JSON object.")
	}
	var parsed struct {
		Custom map[string]any `json:"custom"`
	}
	if json.Unmarshal(text, &parsed) != nil {
		return invalidContent("Client context must be a valid Base64-encoded JSON object.")
	}
	q.call.clientContext = string(text)
	q.call.invocation, _ = parsed.Custom["spillway-invocation"].(string)
	if attempt, ok := parsed.Custom["spillway-attempt"].(string); ok {
		q.call.attempt, _ = strconv.Atoi(attempt) // not a number: none
	}
	return nil
}
