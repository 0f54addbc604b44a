// Package kube runs the real server and the real agent on a real cluster.
package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/internal/textsink"
	"github.com/spillway-dev/spillway/simulator/cloud"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

const (
	keyID     = "EXAMPLECLOUD00000001"
	keySecret = "example-secret-of-the-stand-in-account"
	front     = kubetest.NodeAddress + ":8080"
	health    = kubetest.NodeAddress + ":9090"
)

// world is a cluster with a server, and a cloud beside it.
type world struct {
	*kubetest.Cluster
	t        *testing.T
	client   kubernetes.Interface
	dir      string
	spillway string // the command
	agent    string // image by digest
	cloud    *cloud.Server
	token    string // of a caller that may invoke everything in namespace shop

	server  *exec.Cmd
	stopped chan error
	output  *textsink.Sink
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newCluster brings an empty cluster up.
func newCluster(t *testing.T) *world {
	t.Helper()
	c := kubetest.Up(t)
	w := &world{Cluster: c, t: t, dir: t.TempDir()}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	must(t, err)
	config.Dial, config.QPS = c.Dial, -1
	w.client, err = kubernetes.NewForConfig(config)
	must(t, err)
	return w
}

// newWorld brings everything up but the server.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := newCluster(t)
	must(t, testbed.Build(w.dir, map[string]string{
		"spillway": "cmd/spillway", "spillway-agent": "cmd/spillway-agent", "functions/report/bootstrap": "examples/functions/report",
		"functions/witness/bootstrap": "test/kube/witness",
	}))
	w.spillway = filepath.Join(w.dir, "spillway")
	var err error
	w.agent, err = w.Image(t.Context(), "localhost/spillway/agent:test", filepath.Join(w.dir, "spillway-agent"), "serve")
	must(t, err)
	w.kubectl("apply", "--server-side", "-f", "../../manifests/base/crds")
	w.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: spillway-system}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: spillway-pool, labels: {pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: spillway-instance}, value: 0, preemptionPolicy: Never}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: caller, namespace: shop}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: invoker, namespace: shop}, rules: [{apiGroups: [spillway.dev], resources: [functions], verbs: [invoke]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: caller, namespace: shop}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: invoker}, subjects: [{kind: ServiceAccount, name: caller, namespace: shop}]}
`)
	w.token = w.tokenOf("caller", "spillway.dev")
	t.Cleanup(func() {
		if w.server != nil {
			w.kill()
		}
		if t.Failed() && w.output != nil {
			t.Logf("the server said:\n%s", w.output)
		}
	})
	return w
}

func (w *world) kubectl(args ...string) string {
	w.t.Helper()
	out, err := w.Kubectl(w.t.Context(), args...)
	must(w.t, err)
	return out
}

func (w *world) apply(manifests string) {
	w.t.Helper()
	must(w.t, w.Apply(w.t.Context(), manifests))
}

func (w *world) tokenOf(account, audience string) string {
	w.t.Helper()
	r, err := w.client.CoreV1().ServiceAccounts("shop").CreateToken(w.t.Context(), account, &authentication.TokenRequest{
		Spec: authentication.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: new(int64(3600))},
	}, metav1.CreateOptions{})
	must(w.t, err)
	return r.Status.Token
}

// startCloud runs a stand-in of Lambda in the cluster's network.
func (w *world) startCloud(more ...cloud.Function) (endpoint string) {
	w.t.Helper()
	l, err := w.Listen(w.t.Context(), "tcp", kubetest.NodeAddress+":0")
	must(w.t, err)
	return w.cloudOn(l, more...)
}

// cloudOn runs a stand-in of Lambda that answers each payload after a while.
func (w *world) cloudOn(l net.Listener, more ...cloud.Function) (endpoint string) {
	w.t.Helper()
	s, err := cloud.New(cloud.Config{Region: "us-east-1", Keys: map[string]string{keyID: keySecret}, Concurrency: 500, Functions: append(more, cloud.Function{
		Name: "report", Qualifiers: map[string]string{"live": "1"}, MiB: 128, Timeout: 10 * time.Second,
		Handle: func(_ context.Context, call cloud.Event) ([]byte, error) {
			time.Sleep(20 * time.Millisecond)
			return call.Payload, nil
		},
	})})
	must(w.t, err)
	w.cloud = s
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l, admin) }()
	w.t.Cleanup(func() { cancel(); <-done; s.Close() })
	return "http://" + l.Addr().String()
}

// serve starts the server in the cluster's network and waits until it is ready.
func (w *world) serve() {
	w.t.Helper()
	cmd := w.Command(context.Background(), w.spillway, "serve", "--kubeconfig", w.Kubeconfig, "--namespace", "spillway-system",
		"--listen", front, "--metrics", health, "--data", filepath.Join(w.dir, "data"), "--log-format", "json")
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+keyID, "AWS_SECRET_ACCESS_KEY="+keySecret)
	w.output = new(textsink.Sink)
	cmd.Stdout, cmd.Stderr = w.output, w.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	must(w.t, cmd.Start())
	w.server, w.stopped = cmd, make(chan error, 1)
	go func(stopped chan error) { stopped <- cmd.Wait() }(w.stopped)
	w.until(waiting, "the server is ready", func() error {
		resp, err := w.web().Get("http://" + health + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// stop ends the server as a rollout does.
func (w *world) stop() {
	w.t.Helper()
	must(w.t, syscall.Kill(-w.server.Process.Pid, syscall.SIGTERM))
	select {
	case err := <-w.stopped:
		w.server = nil
		if err != nil {
			w.t.Fatalf("the server ended with %v\n%s", err, w.output)
		}
	case <-time.After(waiting):
		w.t.Fatalf("the server does not end\n%s", w.output)
	}
}

// empty waits until no pod of the server is left.
func (w *world) empty() {
	w.t.Helper()
	w.until(waiting, "no pod of the server is left", func() error {
		left, err := w.client.CoreV1().Pods("").List(w.t.Context(), metav1.ListOptions{LabelSelector: "spillway.dev/pool"})
		if err != nil || len(left.Items) > 0 {
			return fmt.Errorf("%d pods, %w", len(left.Items), err)
		}
		return nil
	})
}

// kill ends the server as a power cut does.
func (w *world) kill() {
	w.t.Helper()
	must(w.t, syscall.Kill(-w.server.Process.Pid, syscall.SIGKILL))
	<-w.stopped
	w.server = nil
}

// waiting bounds what servers and clusters have to do, on a machine that is busy.
const waiting = 3 * time.Minute

// until tries again and again, and fails the test when it has not worked in time.
func (w *world) until(limit time.Duration, what string, try func() error) {
	w.t.Helper()
	deadline := time.After(limit)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			w.t.Fatalf("not within %s: %s: %v", limit, what, err)
		}
	}
}

// web is a client in the cluster's network.
func (w *world) web() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: w.Dial, DisableKeepAlives: true}}
}

// run runs the command in the cluster's network.
func (w *world) run(args ...string) string {
	w.t.Helper()
	out, err := w.Command(w.t.Context(), w.spillway, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("spillway %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// answer is of one call.
type answer struct {
	status               int
	pool, reason, errors string
	invocation, body     string
}

// call invokes a function of shop, or the one of NAMESPACE/NAME, by its URL.
func (w *world) call(client *http.Client, token, function, payload string) (answer, error) {
	namespace, name, other := strings.Cut(function, "/")
	if !other {
		namespace, name = "shop", function
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+front+"/namespaces/"+namespace+"/functions/"+name+"/invoke", strings.NewReader(payload))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	h := resp.Header
	return answer{resp.StatusCode, h.Get("X-Spillway-Pool"), h.Get("X-Spillway-Reason"), h.Get("X-Spillway-Function-Error"), h.Get("X-Spillway-Invocation"), string(body)}, err
}

// platform is the objects of the example in a cluster, as YAML.
func (w *world) platform(endpoint, digest string, slots int) string {
	return w.objects(endpoint, fmt.Sprintf("{digest: %q}", digest), fmt.Sprintf(`kind: kubernetes
  region: headquarters
  capacity: {slots: %d, cpu: "100", memory: 100Gi}
  kubernetes: {runtimeImage: %q, sizes: [{memory: 128Mi, cpu: 100m, ready: 2}]}`, slots, w.agent))
}

// objects are the example, which differs between a cluster and one machine in where its
// package is and what its pool is.
func (w *world) objects(endpoint, code, pool string) string {
	return fmt.Sprintf(`
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec:
  %[3]s
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: lambda}
spec:
  kind: lambda
  region: us-east-1
  lambda: {endpoint: %[1]q, credentials: {environment: true}}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec: {department: retail, namespaces: [shop], nominal: {cloud: {slots: 100}}, budgets: [{window: day, amount: "10"}]}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: default}
spec: {order: [onprem, lambda], onPremWaitBudget: 50ms}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: report, namespace: shop}
spec:
  revisions: [{name: v1, package: %[2]s}]
  resources: {cpu: 100m, memory: 128Mi}
  timeout: 10s
  burst: allow
  cloud: [{pool: lambda, function: report, qualifier: live, memory: 128Mi, timeout: 10s}]
`, endpoint, code, pool)
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}
