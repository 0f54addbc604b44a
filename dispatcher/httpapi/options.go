package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Request headers, in the canonical form in which net/http keeps them.
const (
	headerInvocationType = "X-Amz-Invocation-Type"
	headerLogType        = "X-Amz-Log-Type"
	headerClientContext  = "X-Amz-Client-Context"
	headerSDKKey         = "Amz-Sdk-Invocation-Id"
	headerKey            = "Idempotency-Key"
	headerDeadline       = "X-Spillway-Deadline"
)

const (
	maxClientContext = 3583 // bytes of base64, as at AWS
	maxKey           = 255  // bytes
)

// options are what the headers of a request ask for.
type options struct {
	dryRun        bool
	logTail       bool
	clientContext string // JSON
	key           string
	within        time.Duration // zero: not asked for
}

func readOptions(a api, h http.Header) (options, *problem) {
	var o options
	if a == apiLambda {
		if p := o.readLambda(h); p != nil {
			return o, p
		}
	}
	if p := o.readKey(h); p != nil {
		return o, p
	}
	return o, o.readDeadline(h)
}

func (o *options) readLambda(h http.Header) *problem {
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-") && !knownAmz(name) {
			return unsupported("the header " + name + " is not supported in this version; remove it")
		}
	}
	if p := o.readInvocationType(h); p != nil {
		return p
	}
	log, p := one(h, headerLogType)
	if p != nil {
		return p
	}
	switch log {
	case "", "None":
	case "Tail":
		o.logTail = true
	default:
		return badValue(headerLogType + " is not valid; allowed: None, Tail")
	}
	return o.readClientContext(h)
}

// knownAmz are the X-Amz- headers of Invoke that are served, and those that SDKs
// add for signing and statistics.
func knownAmz(name string) bool {
	switch name {
	case headerInvocationType, headerLogType, headerClientContext,
		"X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-User-Agent":
		return true
	}
	return false
}

func (o *options) readInvocationType(h http.Header) *problem {
	kind, p := one(h, headerInvocationType)
	switch {
	case p != nil:
		return p
	case kind == "" || kind == "RequestResponse":
		return nil
	case kind == "DryRun":
		o.dryRun = true
		return nil
	case kind == "Event":
		return unsupported("asynchronous invocation is not supported in this version; use RequestResponse or DryRun")
	}
	return badValue(headerInvocationType + " is not valid; allowed: RequestResponse, DryRun")
}

func (o *options) readClientContext(h http.Header) *problem {
	encoded, p := one(h, headerClientContext)
	if p != nil || encoded == "" {
		return p
	}
	if len(encoded) > maxClientContext {
		return badContent("the client context must be at most 3583 bytes of base64")
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !json.Valid(text) || bytes.TrimLeft(text, " \t\r\n")[0] != '{' {
		return badContent("the client context must be a JSON object in base64")
	}
	o.clientContext = string(text)
	return nil
}

// readKey takes the key that joins repeated attempts. What the caller chose goes
// before what its SDK made up.
func (o *options) readKey(h http.Header) *problem {
	for _, name := range [...]string{headerKey, headerSDKKey} {
		key, p := one(h, name)
		if p != nil {
			return p
		}
		if !isKey(key) {
			return badValue(name + " must be 1 to 255 visible ASCII characters")
		}
		if o.key == "" {
			o.key = key
		}
	}
	return nil
}

func isKey(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return len(s) <= maxKey
}

func (o *options) readDeadline(h http.Header) *problem {
	text, p := one(h, headerDeadline)
	if p != nil || text == "" {
		return p
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return badValue(headerDeadline + " must be a positive duration such as 1500ms or 30s")
	}
	o.within = d
	return nil
}

// one returns the value of a header, or "". Two values would leave it to chance
// which one counts.
func one(h http.Header, name string) (string, *problem) {
	switch values := h[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", badValue("the header " + name + " is there more than once; send it once")
}
