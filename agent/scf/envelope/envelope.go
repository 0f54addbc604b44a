// Package envelope carries a Lambda client context in the event of a cloud whose
// API has no room beside it.
//
// An event that is an object keeps its fields and gets one more in front; any
// other is put into an object of its own:
//
//	{"a":1}  →  {"$spillway":CONTEXT,"a":1}
//	[1,2]    →  {"$spillway":CONTEXT,"$event":[1,2]}
//
// Unwrap restores the event byte for byte.
//
// An event in which a caller uses one of these names in any spelling that a reader
// might take for it is put into an object of our own too, also when there is no
// context: what "$spillway" says at the top of an event is always ours.
//
//	{"a":1,"$spillway":2}  →  {"$spillway":null,"$event":{"a":1,"$spillway":2}}
package envelope

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
)

const (
	head   = `{"$spillway":`
	middle = `,"$event":`
)

const (
	contextName = "$spillway"
	eventName   = "$event"
)

// Wrap returns payload with clientContext, which is a JSON object or empty. Without a
// context the payload is returned as it is, unless it uses our name itself.
func Wrap(payload []byte, clientContext string) []byte {
	merged := false
	switch {
	case clientContext != "":
		merged = bytes.HasPrefix(payload, []byte(`{"`)) && !claims(payload, contextName, eventName)
	case !claims(payload, contextName):
		return payload
	default:
		clientContext = "null"
	}
	out := make([]byte, 0, len(head)+len(clientContext)+len(middle)+len(payload)+1)
	out = append(append(out, head...), clientContext...)
	if merged {
		return append(append(out, ','), payload[1:]...)
	}
	return append(append(append(out, middle...), payload...), '}')
}

// claims reports that payload is an object with a field that a reader could take for
// one of names, or that this cannot be told. Readers unescape names, many take the
// last of two, and encoding/json does not look at their case.
func claims(payload []byte, names ...string) bool {
	if !bytes.ContainsRune(payload, '$') && !bytes.Contains(payload, []byte(`\u0024`)) {
		return false
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return err != nil
	}
	for decoder.More() {
		name, err := decoder.Token()
		text, ok := name.(string)
		var value json.RawMessage
		if err != nil || !ok || decoder.Decode(&value) != nil {
			return true
		}
		if slices.ContainsFunc(names, func(ours string) bool { return strings.EqualFold(text, ours) }) {
			return true
		}
	}
	_, err := decoder.Token() // its end
	_, rest := decoder.Token()
	return err != nil || rest != io.EOF
}

// Unwrap takes apart what Wrap made. Any other event is returned as it is.
func Unwrap(event []byte) (payload []byte, clientContext string) {
	rest, wrapped := bytes.CutPrefix(event, []byte(head))
	if !wrapped {
		return event, ""
	}
	decoder := json.NewDecoder(bytes.NewReader(rest))
	var context json.RawMessage
	if decoder.Decode(&context) != nil || context[0] != '{' && string(context) != "null" {
		return event, ""
	}
	start := len(event) - len(rest) + int(decoder.InputOffset())
	rest = event[start:]
	if inner, own := bytes.CutPrefix(rest, []byte(middle)); own {
		var ended bool
		if payload, ended = bytes.CutSuffix(inner, []byte("}")); !ended {
			return event, ""
		}
	} else if bytes.HasPrefix(rest, []byte(`,"`)) {
		payload = bytes.Clone(rest)
		payload[0] = '{'
	} else {
		return event, ""
	}
	if string(context) == "null" {
		return payload, ""
	}
	return payload, string(context)
}
