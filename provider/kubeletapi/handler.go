package kubeletapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/virtual-kubelet/virtual-kubelet/node/api"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// Pods are the virtual pods of the node. Safe for use by many goroutines.
type Pods interface {
	// Guest names the pod that runs the virtual pod's containers; an error says why
	// there is none, for whoever asked.
	Guest(namespace, name string) (string, error)
	// Pods are those that are bound to the node; what is returned is not changed.
	Pods(context.Context) ([]*corev1.Pod, error)
	// Running are those of them that have something running.
	Running(context.Context) ([]*corev1.Pod, error)
}

// Usage is what the node's pods use.
type Usage interface {
	Summary(context.Context) (*stats.Summary, error)
	Resources(context.Context) ([]*dto.MetricFamily, error)
}

// NewHandler serves the API without looking at who asks: see Guard. config is how the
// API server is reached, through which guests are; its identity needs pods/log,
// pods/exec, pods/attach and pods/portforward where guests are.
func NewHandler(config *rest.Config, pods Pods, usage Usage) (http.Handler, error) {
	to, err := newGuests(config, pods)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /pods", api.HandleRunningPods(pods.Pods))
	mux.HandleFunc("GET /runningpods/", api.HandleRunningPods(pods.Running))
	mux.HandleFunc("GET /stats/summary", api.HandlePodStatsSummary(usage.Summary))
	mux.HandleFunc("GET /metrics/resource", api.HandlePodMetricsResource(usage.Resources))
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", to.pass("log", logQuery))
	for _, method := range []string{"GET", "POST"} { // a WebSocket begins with GET, SPDY with POST
		for _, uid := range []string{"", "/{uid}"} { // the form that names the pod's UID too
			mux.HandleFunc(method+" /exec/{namespace}/{pod}"+uid+"/{container}", to.pass("exec", execQuery))
			mux.HandleFunc(method+" /attach/{namespace}/{pod}"+uid+"/{container}", to.pass("attach", execQuery))
			mux.HandleFunc(method+" /portForward/{namespace}/{pod}"+uid, to.pass("portforward", portQuery))
		}
	}
	return mux, nil
}

// guests passes requests on to the guests of pods, by way of the API server: the
// streams of exec, attach and port-forward are not looked into, so that every protocol
// that kubectl and the API server speak is spoken.
type guests struct {
	server    *url.URL
	transport http.RoundTripper
	pods      Pods
}

func newGuests(config *rest.Config, pods Pods) (*guests, error) {
	plain := rest.CopyConfig(config)
	plain.NextProtos = []string{"http/1.1"} // connections are upgraded
	transport, err := rest.TransportFor(plain)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	server, _, err := rest.DefaultServerUrlFor(plain)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	if server.Path == "" {
		server.Path = "/" // what is joined to no path stays relative
	}
	return &guests{server: server, transport: transport, pods: pods}, nil
}

func (g *guests) pass(subresource string, query func(*http.Request) url.Values) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		namespace := r.PathValue("namespace")
		guest, err := g.pods.Guest(namespace, r.PathValue("pod"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		to := g.server.JoinPath("api/v1/namespaces", namespace, "pods", guest, subresource)
		to.RawQuery = query(r).Encode()
		proxy := httputil.ReverseProxy{Transport: g.transport, FlushInterval: -1, Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL, p.Out.Host = to, to.Host
			p.Out.Header = streamHeaders(p.Out.Header)
		}}
		proxy.ServeHTTP(w, r)
	}
}

// streamHeaders are those that agree upon a stream; nothing of who asked goes on.
func streamHeaders(in http.Header) http.Header {
	out := http.Header{}
	for name, values := range in {
		if name == "Upgrade" || name == "Connection" || name == "Accept" || name == "X-Stream-Protocol-Version" || strings.HasPrefix(name, "Sec-Websocket-") {
			out[name] = values
		}
	}
	return out
}

func logQuery(r *http.Request) url.Values {
	asked, out := r.URL.Query(), url.Values{"container": {r.PathValue("container")}}
	for _, name := range []string{"follow", "previous", "timestamps", "sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream"} {
		if asked.Has(name) {
			out[name] = asked[name]
		}
	}
	return out
}

// execQuery says in the API server's words what the kubelet's say.
func execQuery(r *http.Request) url.Values {
	asked, out := r.URL.Query(), url.Values{"container": {r.PathValue("container")}}
	for kubelet, server := range map[string]string{"input": "stdin", "output": "stdout", "error": "stderr", "tty": "tty"} {
		if v := asked.Get(kubelet); v == "1" || v == "true" {
			out.Set(server, "true")
		}
	}
	if command, ok := asked["command"]; ok {
		out["command"] = command
	}
	return out
}

func portQuery(r *http.Request) url.Values {
	asked, out := r.URL.Query(), url.Values{}
	if ports := append(asked["port"], asked["ports"]...); len(ports) > 0 {
		out["ports"] = ports
	}
	return out
}
