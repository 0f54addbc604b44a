package cloud

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/google/uuid"
)

// scfBody is what either action may have in its body.
type scfBody struct {
	FunctionName   *string
	Qualifier      *string
	Namespace      *string
	LogType        *string
	RoutingKey     *string
	Event          *string // of InvokeFunction
	ClientContext  *string // of Invoke: the event
	InvocationType *string // of Invoke
}

func value(field *string, otherwise string) string {
	if field == nil || *field == "" {
		return otherwise
	}
	return *field
}

// parse validates a body as Tencent does: names of parameters first.
func (s *scfFront) parse(action string, body []byte) (*scfRequest, *scfError) {
	in, refused := decodeSCF(body)
	if refused != nil {
		return nil, refused
	}
	event, missing := in.Event, scfDefault
	if action == "Invoke" {
		event, missing = in.ClientContext, latest
	}
	switch {
	case action == "Invoke" && in.Event != nil, action == "InvokeFunction" && (in.ClientContext != nil || in.InvocationType != nil):
		return nil, &scfError{"UnknownParameter", "a parameter belongs to the other action; Invoke has InvocationType and ClientContext, InvokeFunction has Event"}
	case in.FunctionName == nil:
		return nil, &scfError{"MissingParameter", "FunctionName is missing"}
	case !scfNameForm.MatchString(*in.FunctionName):
		return nil, &scfError{"InvalidParameter.FunctionName", "FunctionName must have 2 to 60 letters, digits, - and _"}
	case value(in.InvocationType, "RequestResponse") != "RequestResponse":
		return nil, &scfError{"UnsupportedOperation", "InvocationType Event is not supported by this stand-in; use RequestResponse"}
	case value(in.LogType, "None") != "None" && *in.LogType != "Tail":
		return nil, &scfError{"InvalidParameterValue.Param", "LogType must be one of None, Tail"}
	case !routable(value(in.RoutingKey, "{}")):
		return nil, &scfError{"InvalidParameterValue.Param", "RoutingKey must be a JSON object of strings with at most 1024 bytes"}
	}
	q := &scfRequest{action: action, tail: value(in.LogType, "None") == "Tail"}
	q.call = call{id: uuid.NewString(), payload: []byte(value(event, "{}"))}
	if refused := checkEvent(action, q.call.payload); refused != nil {
		return nil, refused
	}
	q.call.named(q.call.payload)
	return q, s.find(q, *in.FunctionName, value(in.Namespace, "default"), value(in.Qualifier, missing))
}

func decodeSCF(body []byte) (*scfBody, *scfError) {
	var in scfBody
	return &in, decodeParameters(body, &in)
}

// decodeParameters reads a body whose parameters are the fields of into.
func decodeParameters(body []byte, into any) *scfError {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped):
		return &scfError{"InvalidParameter", "a parameter has the wrong type; all are strings"}
	case err != nil && strings.Contains(err.Error(), "unknown field"):
		return &scfError{"UnknownParameter", "a parameter is not known"}
	case err != nil || decoder.More():
		return &scfError{"InvalidParameter", "the body is not one JSON object"}
	}
	return nil
}

func checkEvent(action string, event []byte) *scfError {
	switch {
	case len(event) > maxRequest && action == "InvokeFunction":
		return &scfError{"InvalidParameter.RequestTooLarge", "an event may have 6 MB"}
	case len(event) > maxRequest:
		return &scfError{"InvalidParameterValue.Param", "an event may have 6 MB"}
	case !json.Valid(event):
		return &scfError{"InvalidParameterValue.Param", "the event is not JSON"}
	}
	return nil
}

func routable(key string) bool {
	var pairs map[string]string
	return len(key) <= maxRouting && json.Unmarshal([]byte(key), &pairs) == nil
}

// find sets the function and version of q.
func (s *scfFront) find(q *scfRequest, name, namespace, qualifier string) *scfError {
	f := s.functions[name]
	if f == nil || f.Namespace != namespace {
		return &scfError{"ResourceNotFound.Function", "the function does not exist in the namespace"}
	}
	version, known := f.version(qualifier)
	if !known && qualifier == scfDefault {
		version, known = latest, true
	}
	switch {
	case !known && q.action == "Invoke":
		return &scfError{"ResourceNotFound.Function", "the function has no such version or alias"}
	case !known:
		return &scfError{"ResourceNotFound.Qualifier", "the function has no such version or alias"}
	}
	q.call.function, q.call.version = f, version
	return nil
}
