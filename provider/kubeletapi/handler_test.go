package kubeletapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	core "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// onePod is a node with one pod, which has a guest.
type onePod struct{}

func (onePod) Guest(namespace, name string) (string, error) {
	if namespace != "shop" || name != "job" {
		return "", errors.New("this node has no pod " + namespace + "/" + name)
	}
	return "job-guest", nil
}
func (onePod) Pods(context.Context) ([]*core.Pod, error)              { return nil, nil }
func (onePod) Running(context.Context) ([]*core.Pod, error)           { return nil, nil }
func (onePod) Summary(context.Context) (*stats.Summary, error)        { return &stats.Summary{}, nil }
func (onePod) Resources(context.Context) ([]*dto.MetricFamily, error) { return nil, nil }

// newProxy serves the API of a node whose API server is upstream.
func newProxy(t *testing.T, upstream http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(upstream)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL, BearerToken: "own-token", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	proxy := httptest.NewServer(must[http.Handler](t)(NewHandler(config, onePod{}, onePod{})))
	t.Cleanup(proxy.Close)
	return proxy
}

// TestPassed asks as an API server asks a kubelet; what arrives is what one asks an
// API server, as the node and nobody else.
func TestPassed(t *testing.T) {
	proxy := newProxy(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s?%s %s %s", r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization"), r.Header.Get("Impersonate-User"))
	})
	const guest = "/api/v1/namespaces/shop/pods/job-guest/"
	for _, test := range []struct{ method, path, want string }{
		{"GET", "/containerLogs/shop/job/main?follow=true&tailLines=3&sinceSeconds=60&previous=true&timestamps=true&limitBytes=10&insecureSkipTLSVerifyBackend=true",
			"GET " + guest + "log?container=main&follow=true&limitBytes=10&previous=true&sinceSeconds=60&tailLines=3&timestamps=true Bearer own-token "},
		{"POST", "/exec/shop/job/main?command=sh&command=-c&command=a+b&input=1&output=1&tty=1",
			"POST " + guest + "exec?command=sh&command=-c&command=a+b&container=main&stdin=true&stdout=true&tty=true Bearer own-token "},
		{"GET", "/exec/shop/job/8a1b/main?command=id&output=true&error=true", "GET " + guest + "exec?command=id&container=main&stderr=true&stdout=true Bearer own-token "},
		{"POST", "/attach/shop/job/main?output=1", "POST " + guest + "attach?container=main&stdout=true Bearer own-token "},
		{"POST", "/portForward/shop/job", "POST " + guest + "portforward? Bearer own-token "},
		{"GET", "/portForward/shop/job?port=80", "GET " + guest + "portforward?ports=80 Bearer own-token "},
	} {
		r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), test.method, proxy.URL+test.path, http.NoBody))
		r.Header.Set("Authorization", "Bearer of-who-asks")
		r.Header.Set("Impersonate-User", "admin")
		answer := must[*http.Response](t)(http.DefaultClient.Do(r))
		got := string(must[[]byte](t)(io.ReadAll(answer.Body)))
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || got != test.want {
			t.Errorf("%s %s:\n%d %s, want\n%s", test.method, test.path, answer.StatusCode, got, test.want)
		}
	}
}

// TestNoGuest says why, and asks nobody.
func TestNoGuest(t *testing.T) {
	proxy := newProxy(t, func(http.ResponseWriter, *http.Request) { t.Error("the API server was asked") })
	answer := must[*http.Response](t)(http.Get(proxy.URL + "/containerLogs/other/job/main"))
	text := must[[]byte](t)(io.ReadAll(answer.Body))
	answer.Body.Close()
	if answer.StatusCode != http.StatusNotFound || !strings.Contains(string(text), "no pod other/job") {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
}

// TestUpgrade passes bytes both ways once the API server has agreed to a stream.
func TestUpgrade(t *testing.T) {
	proxy := newProxy(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "SPDY/3.1" || r.Header.Get("X-Stream-Protocol-Version") != "v5.channel.k8s.io" {
			t.Errorf("headers: %v", r.Header)
		}
		conn, both, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
		line, err := both.ReadString('\n')
		if err != nil {
			t.Error(err)
		}
		fmt.Fprint(conn, strings.ToUpper(line))
	})
	r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, proxy.URL+"/exec/shop/job/main?command=cat&input=1", http.NoBody))
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "SPDY/3.1")
	r.Header.Set("X-Stream-Protocol-Version", "v5.channel.k8s.io")
	answer := must[*http.Response](t)(http.DefaultTransport.RoundTrip(r))
	stream, ok := answer.Body.(io.ReadWriteCloser)
	if answer.StatusCode != http.StatusSwitchingProtocols || !ok {
		t.Fatalf("%s", answer.Status)
	}
	defer stream.Close()
	fmt.Fprintln(stream, "hello")
	if got, err := bufio.NewReader(stream).ReadString('\n'); got != "HELLO\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
