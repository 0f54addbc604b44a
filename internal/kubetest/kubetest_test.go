package kubetest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const image = "localhost/spillway/app:test"

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// app compiles the program of the pods.
func app(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "app")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	must[string](t)(output(cmd))
	return binary
}

// pod is the manifest of one that runs image with an argument, as restricted as
// Pod Security knows.
func pod(name, image, argument string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: app
    image: %s
    args: [%s]
    resources: {limits: {cpu: 100m, memory: 32Mi}}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`, name, image, argument)
}

// TestCluster walks through what tests use a cluster for.
func TestCluster(t *testing.T) {
	c := Up(t)
	before := machine(t)
	kubectl := func(args ...string) string {
		t.Helper()
		return must[string](t)(c.Kubectl(t.Context(), args...))
	}
	if got := kubectl("get", "node", Node, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.addresses[0].address}`); got != "True "+NodeAddress {
		t.Errorf("node is %q", got)
	}
	kubectl("label", "namespace", "default", "pod-security.kubernetes.io/enforce=restricted")
	digest := must[string](t)(c.Image(t.Context(), image, app(t)))
	if err := c.Apply(t.Context(), pod("server", digest, "serve")); err != nil {
		t.Fatal(err)
	}
	kubectl("wait", "--for=condition=Ready", "--timeout=300s", "pod/server")
	t.Run("logs", func(t *testing.T) {
		eventually(t, func() error { // its container is ready before it has written
			if got := kubectl("logs", "server"); got != "serving\n" {
				return fmt.Errorf("logs %q", got)
			}
			return nil
		})
	})
	t.Run("exec", func(t *testing.T) {
		if got := kubectl("exec", "server", "--", "/app", "inside"); got != "inside\n" {
			t.Errorf("exec printed %q", got)
		}
		_, err := c.Kubectl(t.Context(), "exec", "server", "--", "env", "STATUS=3", "/app")
		if err == nil {
			t.Error("a program that is not in the image ran")
		}
	})
	ip := kubectl("get", "pod", "server", "-o", "jsonpath={.status.podIP}")
	t.Run("reach a pod", func(t *testing.T) { reachPod(t, c, ip) })
	t.Run("reach the API server", func(t *testing.T) { reachAPI(t, c) })
	t.Run("be reached", func(t *testing.T) { beReached(t, c) })
	t.Run("a pod reaches the API server", func(t *testing.T) {
		if err := c.Apply(t.Context(), pod("client", image, "livez")); err != nil {
			t.Fatal(err)
		}
		kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=300s", "pod/client")
		if got := kubectl("logs", "client"); got != "ok" {
			t.Errorf("a pod hears %q", got)
		}
	})
	t.Run("job", func(t *testing.T) {
		kubectl("create", "namespace", "jobs")
		kubectl("create", "job", "once", "-n", "jobs", "--image", image, "--", "/app", "done")
		kubectl("wait", "--for=condition=Complete", "--timeout=300s", "-n", "jobs", "job/once")
		if got := kubectl("logs", "-n", "jobs", "job/once"); got != "done\n" {
			t.Errorf("the job wrote %q", got)
		}
	})
	t.Run("component stops and starts", func(t *testing.T) { stopAndStart(t, c, ip) })
	t.Run("every thread is at home", atHome)

	members := inNamespace(t, c.pid)
	if len(members) < 8 { // six components, a shim, a pod
		t.Errorf("only %d processes in the cluster", len(members))
	}
	if err := c.Down(); err != nil {
		t.Error(err)
	}
	gone(t, c, before, members)
}

func client(c *Cluster) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: c.Dial, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

func body(t *testing.T, h *http.Client, url string) string {
	t.Helper()
	request := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))
	response := must[*http.Response](t)(h.Do(request))
	defer response.Body.Close()
	return string(must[[]byte](t)(io.ReadAll(response.Body)))
}

// reachPod calls a pod out of this process, and out of another in the cluster's network.
func reachPod(t *testing.T, c *Cluster, ip string) {
	if got := body(t, client(c), "http://"+ip+":8080/hello"); got != "/hello from server" {
		t.Errorf("the pod answered %q", got)
	}
	routes := must[string](t)(output(c.Command(t.Context(), "ip", "route", "get", ip)))
	if !strings.Contains(routes, "dev cni0") {
		t.Errorf("in the cluster's network a pod is reached so: %s", routes)
	}
}

func reachAPI(t *testing.T, c *Cluster) {
	server := must[string](t)(c.Kubectl(t.Context(), "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"))
	if got := body(t, client(c), server+"/livez"); got != "ok" {
		t.Errorf("the API server answered %q", got)
	}
	if _, err := c.Dial(t.Context(), "tcp", "localhost:443"); err == nil {
		t.Error("a name was resolved")
	}
}

// beReached lets a pod's neighbour call this process.
func beReached(t *testing.T, c *Cluster) {
	listener := must[net.Listener](t)(c.Listen(t.Context(), "tcp", NodeAddress+":0"))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "here") })}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-ended })
	if got := body(t, client(c), "http://"+listener.Addr().String()); got != "here" {
		t.Errorf("answer %q", got)
	}
}

// atHome checks that none of our threads stayed in a cluster's network.
func atHome(t *testing.T) {
	home := must[string](t)(os.Readlink(fmt.Sprintf("/proc/%d/ns/net", os.Getppid())))
	for _, thread := range must[[]string](t)(filepath.Glob("/proc/self/task/*/ns/net")) {
		if ns, err := os.Readlink(thread); err == nil && ns != home {
			t.Errorf("%s is %s, not %s", thread, ns, home)
		}
	}
}

// stopAndStart has the API server away, while all else runs on.
func stopAndStart(t *testing.T, c *Cluster, ip string) {
	before := components(t, c)
	if err := c.Stop(t.Context(), "kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	if out, err := c.Kubectl(t.Context(), "get", "--raw", "/livez"); err == nil {
		t.Errorf("a stopped API server answered %q", out)
	}
	left := slices.DeleteFunc(before, func(p string) bool { return !slices.Contains(components(t, c), p) })
	if len(left) != 5 {
		t.Errorf("without the API server run on: %q", left)
	}
	if got := body(t, client(c), "http://"+ip+":8080/meanwhile"); got != "/meanwhile from server" {
		t.Errorf("without an API server the pod answered %q", got)
	}
	if err := c.Start(t.Context(), "kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { _, err := c.Kubectl(t.Context(), "get", "pod", "server"); return err })
	if err := c.Stop(t.Context(), "apiserver"); err == nil || !strings.Contains(err.Error(), "kube-apiserver") {
		t.Errorf("stopping what is no component: %v", err)
	}
}

// components are the processes of the six, without those of pods.
func components(t *testing.T, c *Cluster) []string {
	return slices.DeleteFunc(inNamespace(t, c.pid), func(p string) bool {
		dir, _, _ := strings.Cut(p, " ")
		program, err := os.Readlink(dir + "/exe")
		return err != nil || filepath.Base(program) != "kubebox" && filepath.Base(program) != "containerd"
	})
}

// eventually asks until there is no error.
func eventually(t *testing.T, ask func() error) {
	t.Helper()
	limit := time.Now().Add(5 * time.Minute)
	for err := ask(); err != nil; err = ask() {
		if time.Now().After(limit) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestCanceled gives up a start half way, which leaves nothing.
func TestCanceled(t *testing.T) {
	Assets(t)
	before := machine(t)
	c := must[*Cluster](t)(newCluster())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			if _, err := os.Stat(filepath.Join(c.dir, "pki")); err == nil {
				return
			}
		}
	}()
	err := c.begin(ctx, true)
	<-watched
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "given up") {
		t.Errorf("a start that was given up ended with: %v", err)
	}
	gone(t, c, before, nil)
}
