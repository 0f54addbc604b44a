package node

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/internal/textsink"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

const (
	front  = kubetest.NodeAddress + ":8080"
	probes = kubetest.NodeAddress + ":9090"
	asks   = kubetest.NodeAddress + ":8082"
)

// gated lets the node's account ask for room.
const gated = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: spillway-node, namespace: spillway-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: spillway-node-admits}
rules: [{apiGroups: [spillway.dev], resources: [offlinepods], verbs: [admit]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: spillway-node-admits}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: spillway-node-admits}
subjects: [{kind: ServiceAccount, name: spillway-node, namespace: spillway-system}]
`

func (w *world) withDispatcher() {
	w.t.Helper()
	must(w.t, testbed.Build(w.dir, map[string]string{"spillway": "cmd/spillway"}))
}

// TestThroughTheGate has the real dispatcher admit, meter and bill what runs on the node.
func TestThroughTheGate(t *testing.T) {
	w := newWorld(t)
	w.withDispatcher()
	w.kinds()
	must(t, w.Apply(t.Context(), `
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: offline}
spec: {kind: offline, region: headquarters}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: research}
spec: {department: research, namespaces: [night], nominal: {offline: {slots: 2}}}
---
`+gated))
	w.dispatch()
	w.gate.address = "http://" + asks
	w.flags = append(w.flags, "--dispatcher-token-file", w.token("spillway-node"))
	w.serve()

	l := w.latch()
	for _, name := range []string{"one", "two", "three"} {
		w.create(job(name, l.hold, "print="+name))
	}
	w.until("one of three waits for the quota", func() error {
		for _, name := range []string{"one", "two", "three"} {
			if p := w.podOf(name); strings.Contains(p.Status.Message, "quota") {
				return nil
			}
		}
		return errorf("nobody does")
	})
	l.open()
	most := 0
	w.until("all of them end", func() error {
		all, err := w.client.CoreV1().Pods("night").List(t.Context(), metav1.ListOptions{}) // at one moment
		must(t, err)
		now, left := 0, 3
		for i := range all.Items {
			p := &all.Items[i]
			switch guest := p.Labels["spillway.dev/guest-of"] != ""; {
			case guest && (p.Status.Phase == corev1.PodRunning || p.Status.Phase == corev1.PodPending):
				now++
			case !guest && p.Status.Phase == corev1.PodSucceeded:
				left--
			}
		}
		if most = max(most, now); left > 0 {
			return errorf("%d have not", left)
		}
		return nil
	})
	if most > 2 {
		t.Errorf("%d guests at once, the quota is 2", most)
	}
	w.until("the ledger has a line for each", func() error {
		out, err := w.spillway("report", "--by", "function", "-o", "json")
		if err != nil {
			return errorf("%v\n%s", err, out)
		}
		for _, name := range []string{"one", "two", "three"} {
			if !strings.Contains(out, "night/"+name) && !strings.Contains(out, `"`+name+`"`) {
				return errorf("%s is not in %s", name, out)
			}
		}
		return nil
	})
	p := w.podOf("one")
	if out, err := w.spillway("explain", string(p.UID)); err != nil || !strings.Contains(out, "offline") {
		t.Errorf("explain: %v\n%s", err, out)
	}
}

// kinds has the cluster know Spillway's objects.
func (w *world) kinds() {
	w.t.Helper()
	w.kubectl("apply", "--server-side", "-f", "../../manifests/base/crds")
	w.kubectl("wait", "--for=condition=Established", "--timeout=2m", "-f", "../../manifests/base/crds")
}

// dispatch starts the real dispatcher in the cluster's network.
func (w *world) dispatch() {
	w.t.Helper()
	cmd := w.Command(context.Background(), filepath.Join(w.dir, "spillway"), "serve", "--kubeconfig", w.Kubeconfig, "--namespace", "spillway-system",
		"--listen", front, "--metrics", probes, "--nodes", asks, "--data", filepath.Join(w.dir, "data"))
	cmd.Env = append(cmd.Env, w.env...)
	said := new(textsink.Sink)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	must(w.t, cmd.Start())
	stopped := make(chan error, 1)
	go func() { stopped <- cmd.Wait() }()
	w.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case err := <-stopped:
			if err != nil {
				w.t.Errorf("the dispatcher ended with %v", err)
			}
		case <-time.After(waiting):
			w.t.Error("the dispatcher does not end")
			_ = cmd.Process.Kill()
		}
		if w.t.Failed() {
			w.t.Logf("the dispatcher said:\n%s", said)
		}
	})
	w.until("the dispatcher is ready", func() error {
		client := http.Client{Timeout: 5 * time.Second, Transport: insecure(w.Dial)}
		defer client.CloseIdleConnections()
		answer, err := client.Get("http://" + probes + "/readyz")
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errorf("%s\n%s", answer.Status, said)
		}
		return nil
	})
}

func (w *world) spillway(args ...string) (string, error) {
	cmd := w.Command(w.t.Context(), filepath.Join(w.dir, "spillway"), args...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// token writes a token of an account of the system for the dispatcher into a file.
func (w *world) token(account string) string {
	w.t.Helper()
	return w.tokenFile(account, "spillway.dev")
}
