package kubeletapi

import (
	"net/http"
	"strings"
)

// permission is a right on the node object: a verb on one of its subresources.
type permission struct{ verb, subresource string }

// permissions are what a request needs, any one of them: the narrow right first, as
// the kubelet has it, then nodes/proxy, which includes it. What runs something in a
// container, or reaches into it, needs create whatever the HTTP method is: a
// WebSocket begins with GET, and the right to look must not be the right to run.
func permissions(r *http.Request) []permission {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch first {
	case "exec", "attach", "portForward":
		return []permission{{"create", "proxy"}}
	case "containerLogs":
		return []permission{{"get", "log"}, {"get", "proxy"}}
	case "pods", "runningpods":
		return []permission{{"get", "pods"}, {"get", "proxy"}}
	case "stats":
		return []permission{{"get", "stats"}, {"get", "proxy"}}
	case "metrics":
		return []permission{{"get", "metrics"}, {"get", "proxy"}}
	case "healthz":
		return []permission{{"get", "healthz"}, {"get", "proxy"}}
	}
	return []permission{{verbOf(r.Method), "proxy"}}
}

func verbOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return "get"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	}
	return "create"
}
