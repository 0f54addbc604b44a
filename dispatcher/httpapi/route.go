package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/spillway-dev/spillway"
)

// api is which front-door API a request uses; it decides the shape of answers.
type api uint8

const (
	apiOther api = iota
	apiLambda
	apiURL
	apiCount
)

func (a api) String() string { return [apiCount]string{"other", "lambda", "url"}[a] }

// target is what a request is about. It is read once from the request line;
// authorisation and the server see nothing else.
type target struct {
	api       api
	function  spillway.FunctionKey
	qualifier string
}

const (
	maxLabel     = 63
	maxQualifier = 128
	maxTarget    = 2048 // bytes of a request target
)

const (
	namespacesPrefix = "/namespaces/"
	lambdaPrefix     = "2015-03-31/functions/"
	lambdaSuffix     = "/invocations"
	urlPrefix        = "functions/"
	urlSuffix        = "/invoke"
	streamingSuffix  = "/response-streaming-invocations"
)

// route reads a request line. The API of the target is set, as far as it is
// known, also when there is a problem. Nothing is cleaned, decoded (but : and $
// in FunctionName) or guessed: what is not exactly a path of ours is refused.
func route(method, requestURI string) (target, *problem) {
	path, query, _ := strings.Cut(requestURI, "?")
	if p := checkTarget(requestURI, path); p != nil {
		return target{}, p
	}
	rest, ok := strings.CutPrefix(path, namespacesPrefix)
	namespace, rest, found := strings.Cut(rest, "/")
	if !ok || !found {
		return target{}, noSuchPath()
	}
	t := target{function: spillway.FunctionKey{Namespace: namespace}}
	name, name2 := "", ""
	if startsWithDate(rest) {
		t.api = apiLambda
		name, name2 = between(rest, lambdaPrefix, lambdaSuffix)
	} else {
		t.api = apiURL
		name, name2 = between(rest, urlPrefix, urlSuffix)
	}
	switch {
	case name2 == "" && t.api == apiLambda:
		return t, notInvoke(rest)
	case name2 == "":
		t.api = apiOther
		return t, noSuchPath()
	case !isLabel(namespace):
		return t, badName("namespace", namespace)
	case method != http.MethodPost:
		return t, wrongMethod()
	}
	return t, t.name(name, query)
}

// between returns what is between prefix and suffix, twice; "" if s is not of
// that form or it is empty.
func between(s, prefix, suffix string) (string, string) {
	s, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return "", ""
	}
	s, ok = strings.CutSuffix(s, suffix)
	if !ok || s == "" || strings.Contains(s, "/") {
		return "", ""
	}
	return s, s
}
