// Package httpv2 carries an HTTP exchange over the Lambda contract, as Amazon API
// Gateway does for HTTP APIs: a request becomes an event of payload format 2.0, and
// a function's answer becomes a response. It is pure.
//
// Source: "Working with AWS Lambda proxy integrations for HTTP APIs", Amazon API
// Gateway developer guide.
package httpv2

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/spillway-dev/spillway/pools"
)

// MaxBody is the largest request body that fits the synchronous limit of the clouds
// as base64, with room for the rest of the event.
const MaxBody = 4 << 20

type event struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext  requestContext    `json:"requestContext"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	HTTP       httpContext `json:"http"`
	DomainName string      `json:"domainName"`
	RequestID  string      `json:"requestId"`
	RouteKey   string      `json:"routeKey"`
	Stage      string      `json:"stage"`
	Time       string      `json:"time"`
	TimeEpoch  int64       `json:"timeEpoch"` // milliseconds
}

type httpContext struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	UserAgent string `json:"userAgent,omitempty"`
}

// Event returns the event of a request whose body is whole. id is the invocation's.
func Event(w *pools.Web, body []byte, id string, at time.Time) ([]byte, error) {
	path, query, _ := strings.Cut(w.Target, "?")
	plain, err := url.PathUnescape(path)
	if err != nil {
		plain = path
	}
	e := event{
		Version: "2.0", RouteKey: "$default", RawPath: plain, RawQueryString: query, Headers: map[string]string{},
		RequestContext: requestContext{
			HTTP:       httpContext{w.Method, plain, "HTTP/1.1", w.Header.Get("User-Agent")},
			DomainName: w.Host, RequestID: id, RouteKey: "$default", Stage: "$default",
			Time: at.UTC().Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: at.UnixMilli(),
		},
	}
	for name, values := range w.Header {
		if name == "Cookie" {
			for _, v := range values {
				for _, cookie := range strings.Split(v, ";") {
					e.Cookies = append(e.Cookies, strings.TrimSpace(cookie))
				}
			}
			continue
		}
		e.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	if w.Host != "" {
		e.Headers["host"] = w.Host
	}
	if values, err := url.ParseQuery(query); err == nil && len(values) > 0 {
		e.Query = map[string]string{}
		for name, all := range values {
			e.Query[name] = strings.Join(all, ",")
		}
	}
	if e.Body = string(body); !utf8.Valid(body) {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	text, err := json.Marshal(&e)
	if err != nil {
		return nil, fmt.Errorf("write the HTTP event: %w", err)
	}
	return text, nil
}

// response is what a function answers in payload format 2.0.
type response struct {
	StatusCode      *int                       `json:"statusCode"`
	Headers         map[string]json.RawMessage `json:"headers"`
	Cookies         []string                   `json:"cookies"`
	Body            *string                    `json:"body"`
	IsBase64Encoded bool                       `json:"isBase64Encoded"`
}

var errAnswer = errors.New("the function did not answer in payload format 2.0")

// Answer reads a function's answer. One without a statusCode is the body of a 200,
// as the format has it.
func Answer(payload []byte) (*pools.WebAnswer, error) {
	var r response
	trimmed := bytes.TrimSpace(payload)
	if !json.Valid(trimmed) {
		return nil, fmt.Errorf("%w: it is not JSON", errAnswer)
	}
	if len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(trimmed, &r) != nil || r.StatusCode == nil {
		return inferred(trimmed), nil
	}
	if *r.StatusCode < 200 || *r.StatusCode > 999 {
		return nil, fmt.Errorf("%w: status %d", errAnswer, *r.StatusCode)
	}
	a := &pools.WebAnswer{Status: *r.StatusCode, Header: http.Header{}}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		value, err := text(r.Headers[name])
		if err != nil || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("%w: a header field is not one", errAnswer)
		}
		a.Header.Add(textproto.CanonicalMIMEHeaderKey(name), value)
	}
	for _, cookie := range r.Cookies {
		if !httpguts.ValidHeaderFieldValue(cookie) {
			return nil, fmt.Errorf("%w: a cookie is not one", errAnswer)
		}
		a.Header.Add("Set-Cookie", cookie)
	}
	if r.Body == nil {
		return a, nil
	}
	if a.Body = []byte(*r.Body); r.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(*r.Body)
		if err != nil {
			return nil, fmt.Errorf("%w: its body is not base64", errAnswer)
		}
		a.Body = body
	}
	return a, nil
}

// inferred is the answer of a function that says nothing of HTTP.
func inferred(payload []byte) *pools.WebAnswer {
	a := &pools.WebAnswer{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: payload}
	var s string
	if json.Unmarshal(payload, &s) == nil {
		a.Body = []byte(s)
	}
	return a
}

// text reads a header's value, which may be written as a string, a number or a
// truth value.
func text(raw json.RawMessage) (string, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number, bool:
		return fmt.Sprint(v), nil
	}
	return "", errAnswer
}
