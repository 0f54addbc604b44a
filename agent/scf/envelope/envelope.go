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
package envelope

import (
	"bytes"
	"encoding/json"
)

const (
	head   = `{"$spillway":`
	middle = `,"$event":`
)

// Wrap returns payload with clientContext, which is JSON or empty. Without a
// context the payload is returned as it is, unless Unwrap would mistake it.
func Wrap(payload []byte, clientContext string) []byte {
	switch {
	case clientContext != "":
	case !bytes.HasPrefix(payload, []byte(head)):
		return payload
	default:
		clientContext = "null"
	}
	out := make([]byte, 0, len(head)+len(clientContext)+len(middle)+len(payload)+1)
	out = append(append(out, head...), clientContext...)
	if bytes.HasPrefix(payload, []byte(`{"`)) && !bytes.HasPrefix(payload, []byte(`{"$`)) {
		return append(append(out, ','), payload[1:]...)
	}
	return append(append(append(out, middle...), payload...), '}')
}

// Unwrap takes apart what Wrap made. Any other event is returned as it is.
func Unwrap(event []byte) (payload []byte, clientContext string) {
	rest, wrapped := bytes.CutPrefix(event, []byte(head))
	if !wrapped {
		return event, ""
	}
	decoder := json.NewDecoder(bytes.NewReader(rest))
	var context json.RawMessage
	if decoder.Decode(&context) != nil {
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
