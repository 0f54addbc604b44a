package manifests

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	authentication "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const platform = `
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec:
  kind: kubernetes
  kubernetes: {runtimeImage: "registry.example/runtime@sha256:%[1]s", sizes: [{memory: 128Mi, cpu: 100m, ready: 1}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: pay, namespace: shop}
spec:
  revisions: [{name: v1, image: "registry.example/pay@sha256:%[1]s", handler: /pay}]
`

// asStarted runs dispatcher and operator as the manifests have them started, with the
// tokens of their accounts and so with what these may do.
func (s *server) asStarted(t *testing.T, all []object) {
	binary := filepath.Join(t.TempDir(), "spillway")
	run(t, "../..", "go", "build", "-o", binary, "./cmd/spillway")
	for _, o := range parse(t, fmt.Appendf(nil, platform, strings.Repeat("ab", 32))) {
		if err := s.apply(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	objects := byName(t, all)
	front := s.launch(t, binary, objects[dispatcher], "spillway", "--listen", "--metrics")
	s.launch(t, binary, objects[operator], "spillway-operator", "--metrics", "--health")

	t.Run("status", func(t *testing.T) {
		o := parse(t, fmt.Appendf(nil, platform, ""))[1]
		eventually(t, "the operator says something of the function", func() bool {
			if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
				t.Fatal(err)
			}
			status, _, _ := nested(o, "status")
			return strings.Contains(fmt.Sprint(status["conditions"]), "type:Ready")
		})
	})
	t.Run("calls", func(t *testing.T) { s.calls(t, "http://"+front) })
}

// launch runs a workload's program, and waits until all its probes succeed. addresses are
// flags whose ports are replaced by free ones; the address of the first is returned.
func (s *server) launch(t *testing.T, binary string, of object, account string, addresses ...string) string {
	t.Helper()
	c := container(t, of)
	replaced := map[string]string{"--data": filepath.Join(t.TempDir(), "data"), "--namespace": of.GetNamespace()}
	ports := map[string]string{} // by that of the manifest
	for _, flag := range addresses {
		replaced[flag] = free(t)
	}
	args := []string{}
	for _, a := range c["args"].([]any) {
		flag, value, _ := strings.Cut(a.(string), "=")
		if by := replaced[flag]; by != "" {
			if _, port, err := net.SplitHostPort(value); err == nil {
				ports[port] = by
			}
			a, replaced[flag] = flag+"="+by, ""
		}
		args = append(args, a.(string))
	}
	for _, flag := range addresses {
		if replaced[flag] != "" {
			t.Errorf("%s does not set %s", named(of), flag)
		}
	}
	args = append(args, "--kubeconfig="+s.kubeconfig(t, account))
	if args[0] == "serve" {
		args = append(args, "--admin=127.0.0.1:0")
	}
	execute(t, binary, args)
	named := map[string]string{}
	for _, p := range c["ports"].([]any) {
		p := p.(map[string]any)
		named[p["name"].(string)] = ports[fmt.Sprint(p["containerPort"])]
	}
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		if get, ok, _ := nested(object(&unstructured.Unstructured{Object: c}), probe, "httpGet"); ok {
			at := "http://" + named[get["port"].(string)] + get["path"].(string)
			eventually(t, probe+" at "+at, func() bool { code, _ := fetch(t, at, ""); return code == http.StatusOK })
		}
	}
	metrics := named["metrics"]
	if code, text := fetch(t, "http://"+metrics+"/metrics", ""); code != http.StatusOK || !strings.Contains(text, "# TYPE") {
		t.Errorf("metrics of %s: %d", account, code)
	}
	return ports["8080"]
}

// execute runs a program until the test ends, with the environment of an empty image.
func execute(t *testing.T, binary string, args []string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = t.TempDir(), []string{"PATH=/"}, &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		err := cmd.Wait()
		if text := said.String(); err != nil || strings.Contains(text, "forbidden") || t.Failed() {
			t.Errorf("%s ended: %v\n%s", args[0], err, text)
		}
	})
}

// kubeconfig is a file by which a program has the rights of an account of the system.
func (s *server) kubeconfig(t *testing.T, account string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: s.config.Host, CertificateAuthorityData: s.config.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: s.token(t, "spillway-system", account)}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// token is one of a service account, for the API server if no audience is named.
func (s *server) token(t *testing.T, namespace, name string, audiences ...string) string {
	t.Helper()
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: new(int64(3600))}}
	of := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := s.SubResource("token").Create(t.Context(), of, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// calls are judged by the cluster, with the rights that the dispatcher has there. No node
// is there, so what is permitted is refused for lack of room.
func (s *server) calls(t *testing.T, front string) {
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "checkout"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "checkout", Name: "checkout"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "checkout", Name: "other"}},
	} {
		if err := s.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	pay := front + "/namespaces/shop/functions/pay/invoke"
	for _, call := range []struct {
		name, token string
		code        int
	}{
		{"may invoke", s.token(t, "checkout", "checkout", "spillway.dev"), http.StatusTooManyRequests},
		{"may not", s.token(t, "checkout", "other", "spillway.dev"), http.StatusForbidden},
		{"has a token for the API server", s.token(t, "checkout", "checkout"), http.StatusUnauthorized},
		{"has none", "", http.StatusUnauthorized},
	} {
		if code, text := fetch(t, pay, call.token); code != call.code {
			t.Errorf("who %s: %d %s", call.name, code, text)
		}
	}
}

// fetch gets a page, or posts {} with a token to a function. Code 0 is no answer.
func fetch(t *testing.T, at, token string) (code int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	method := http.MethodGet
	if strings.Contains(at, "/functions/") {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(body)
}

// loopbacks counts the addresses that were given away.
var loopbacks atomic.Int32

// free is an address that nobody listens at, nor will: each is on a loopback address of
// its own.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.1.%d:0", loopbacks.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
