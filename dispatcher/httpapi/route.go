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
	apiWeb
	apiCount
)

func (a api) String() string { return [apiCount]string{"other", "lambda", "url", "web"}[a] }

// target is what a request is about. It is read once from the request line;
// authorisation and the server see nothing else.
type target struct {
	api       api
	function  spillway.FunctionKey
	qualifier string
	// below is the rest of a target after a function's name, from its /; set if it is
	// not known yet whether the function is one of events or a web function.
	below string
}

// Longest request targets in bytes; a web function's own may be longer.
const (
	maxTarget    = 2048
	maxWebTarget = 16 << 10
)

// routeFunction reads a target below a function, /namespaces/{ns}/functions/{name}/…,
// as far as the function's name. What follows is for the function's contract to say.
func routeFunction(requestURI string) (target, bool) {
	rest, ours := strings.CutPrefix(requestURI, "/namespaces/")
	namespace, rest, found := strings.Cut(rest, "/")
	rest, below := strings.CutPrefix(rest, "functions/")
	end := strings.IndexByte(rest, '/')
	if !ours || !found || !below || end < 0 || len(requestURI) > maxWebTarget || oddByte(requestURI) {
		return target{}, false
	}
	t := target{api: apiURL, below: rest[end:]}
	t.function = spillway.FunctionKey{Namespace: namespace, Name: rest[:end]}
	return t, isLabel(namespace) && isLabel(t.function.Name)
}

// route reads a request line. The API of the target is set, as far as it is
// known, also when there is a problem. Nothing is cleaned, guessed or decoded
// (but : and $ in FunctionName): what is not exactly a path of ours is refused.
func route(method, requestURI string) (target, *problem) {
	path, query, _ := strings.Cut(requestURI, "?")
	if p := checkPath(requestURI, path); p != nil {
		if strings.Contains(path, "/2015-03-31/functions/") {
			return target{api: apiLambda}, p // so that an SDK can read it
		}
		return target{}, p
	}
	rest, ours := strings.CutPrefix(path, "/namespaces/")
	namespace, rest, found := strings.Cut(rest, "/")
	if !ours || !found {
		return target{}, noSuchPath()
	}
	t, name := target{api: apiURL}, ""
	if startsWithDate(rest) {
		t.api = apiLambda
		name, found = between(rest, "2015-03-31/functions/", "/invocations")
	} else {
		name, found = between(rest, "functions/", "/invoke")
	}
	switch {
	case !found && t.api == apiLambda:
		return t, notInvoke(rest)
	case !found:
		return target{}, noSuchPath()
	case !isLabel(namespace):
		return t, badName("namespace", "1 to 63 lower-case letters, digits and -")
	case method != http.MethodPost:
		return t, wrongMethod()
	}
	t.function.Namespace = namespace
	return t, t.read(name, query)
}

// checkPath refuses targets that another program might read as another path.
func checkPath(requestURI, path string) *problem {
	if len(requestURI) > maxTarget {
		return oddTarget("is longer than 2048 bytes")
	}
	if !strings.HasPrefix(path, "/") {
		return oddTarget("is not a path that begins with /")
	}
	if oddByte(requestURI) {
		return oddTarget("has a character that must not be there")
	}
	if strings.Contains(path, "//") || strings.Contains(path, "/.") || strings.Contains(path, "%2") && containsFold(path, "%2f", "%2e") {
		return oddTarget("has an empty, dotted or encoded path segment")
	}
	return nil
}

func oddByte(requestURI string) bool {
	for i := range len(requestURI) {
		if c := requestURI[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return true
		}
	}
	return false
}

func containsFold(s string, lower ...string) bool {
	s = strings.ToLower(s)
	for _, l := range lower {
		if strings.Contains(s, l) {
			return true
		}
	}
	return false
}

// startsWithDate reports whether s is a path of the Lambda API, all of which
// begin with the date of their version.
func startsWithDate(s string) bool {
	const form = "0000-00-00/"
	if len(s) < len(form) {
		return false
	}
	for i := range len(form) {
		digit := '0' <= s[i] && s[i] <= '9'
		if form[i] == '0' && !digit || form[i] != '0' && form[i] != s[i] {
			return false
		}
	}
	return true
}

// between returns the one path segment between prefix and suffix.
func between(s, prefix, suffix string) (string, bool) {
	s, begins := strings.CutPrefix(s, prefix)
	s, ends := strings.CutSuffix(s, suffix)
	return s, begins && ends && s != "" && !strings.Contains(s, "/")
}

// read sets function name and qualifier from their segment and the query.
func (t *target) read(segment, query string) *problem {
	parameter := "qualifier"
	if t.api == apiLambda {
		parameter = "Qualifier"
		name, qualifier, ok := parseFunctionName(segment)
		if !ok {
			return badName("FunctionName", "name, name:qualifier, account:function:name[:qualifier] or "+
				"arn:aws:lambda:region:account:function:name[:qualifier], with a name of 1 to 63 lower-case letters, digits and -")
		}
		t.function.Name, t.qualifier = name, qualifier
	} else {
		if !isLabel(segment) {
			return badName("function name", "1 to 63 lower-case letters, digits and -")
		}
		t.function.Name = segment
	}
	if query == "" {
		return nil
	}
	return t.readQuery(query, parameter)
}

func (t *target) readQuery(query, parameter string) *problem {
	values, err := url.ParseQuery(query)
	if err != nil {
		return oddTarget("has a query that cannot be parsed")
	}
	given := values[parameter]
	switch {
	case len(given) == 0 || len(given) == 1 && given[0] == "":
		return nil
	case len(given) > 1:
		return badValue("the query has more than one " + parameter + "; send one")
	case !isQualifier(given[0]):
		return badName(parameter, "$LATEST or the name of a revision")
	case t.qualifier != "" && t.qualifier != given[0]:
		return badValue("the qualifier in FunctionName and the one in the query differ; send one")
	}
	t.qualifier = given[0]
	return nil
}
