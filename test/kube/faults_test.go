package kube

import (
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/simulator/cloud"
)

// places of the pool on-prem of faults.
const places = 4

// faults is a cluster on which things go wrong.
type faults struct {
	*world
	n             *witnesses
	digest, image string
}

// TestFaults breaks what a server lives on, one after the other, under load.
func TestFaults(t *testing.T) {
	w, root := newWorld(t), t
	f := &faults{world: w, n: w.witness()}
	endpoint := w.startCloud(cloud.Function{Name: "witness", Qualifiers: map[string]string{"v1": "1", "v2": "2"}, MiB: 128, Timeout: 30 * time.Second, Handle: f.n.Handle})
	var err error
	f.image, err = w.Image(t.Context(), "localhost/spillway/witness:test", filepath.Join(w.dir, "functions", "witness", "bootstrap"))
	must(t, err)
	w.serve()
	f.digest = w.run("package", "push", filepath.Join(w.dir, "functions", "witness"))
	w.apply(w.platform(endpoint, f.digest, places))
	w.apply(f.functions())
	w.until(waiting, "the function answers", func() error { return f.answers("witness") })
	for _, c := range []struct {
		name string
		test func(*testing.T, *faults)
	}{
		{"pod deleted mid-call", podDeleted},
		{"process of a pod killed mid-call", podKilled},
		{"function that cannot start", cannotStart},
		{"namespace deleted mid-call", namespaceDeleted},
		{"canary", canary},
		{"API server gone", apiServerGone},
		{"etcd restarts", etcdRestarts},
		{"rollout", rollout},
		{"upgrade and back", upgrade},
		{"server killed", serverKilled},
		{"node not ready", nodeNotReady},
	} {
		if !t.Run(c.name, func(t *testing.T) {
			w.t = t
			defer func() { w.t = root }()
			c.test(t, f)
		}) {
			t.Logf("the server says: %s", tail(w.output.String(), 4000))
		}
		if ran := f.n.twice(); len(ran) > 0 {
			t.Errorf("after %s: ran more than once: %v", c.name, ran)
		}
	}
	w.until(waiting, "what was to go is gone", f.settled)
	w.stop()
	w.empty()
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// functions are in namespaces of their own where that matters.
func (f *faults) functions() string {
	function := func(namespace, name, revisions, more string) string {
		return fmt.Sprintf(`
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: %s, namespace: %s}
spec:
  revisions: %s
  resources: {cpu: 10m, memory: 64Mi}
  timeout: 30s
  %s
`, name, namespace, revisions, more)
	}
	ofPackage := fmt.Sprintf("[{name: v1, package: {digest: %q}}]", f.digest)
	ofImage := func(image string) string {
		return fmt.Sprintf("[{name: v1, image: %q, handler: /bootstrap}]", image)
	}
	const inCloud = "burst: allow\n  cloud: [{pool: lambda, function: witness, memory: 128Mi, timeout: 30s}]"
	nowhere := "localhost/nowhere@sha256:" + strings.Repeat("0", 64)
	return `
apiVersion: v1
kind: Namespace
metadata: {name: doomed, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: invoker, namespace: doomed}, rules: [{apiGroups: [spillway.dev], resources: [functions], verbs: [invoke]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: caller, namespace: doomed}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: invoker}, subjects: [{kind: ServiceAccount, name: caller, namespace: shop}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec: {department: retail, namespaces: [shop, doomed], nominal: {cloud: {slots: 20}}, budgets: [{window: day, amount: "10"}]}` +
		function("shop", "witness", ofPackage, inCloud) +
		function("shop", "imaged", ofImage(f.image), "") +
		function("doomed", "imaged", ofImage(f.image), "") +
		function("shop", "badimage", ofImage(nowhere), "") +
		function("shop", "crashing", ofImage(f.image), "env: {WITNESS: crash}") +
		function("shop", "wanting", fmt.Sprintf("[{name: v1, package: {digest: %q}}]", "sha256:"+strings.Repeat("f", 64)), "") +
		function("shop", "canary", fmt.Sprintf("[{name: v1, package: {digest: %[1]q}, qualifier: v1}, {name: v2, package: {digest: %[1]q}, qualifier: v2}]", f.digest),
			"traffic: [{revision: v1, weight: 90}, {revision: v2, weight: 10}]\n  "+inCloud)
}

// answers reports that a function runs on-prem.
func (f *faults) answers(function string) error {
	a, err := f.call(f.web(), f.token, function, `{"millis":1}`)
	if err != nil || a.status != http.StatusOK || a.pool != "onprem" {
		return fmt.Errorf("%+v, %w", a, err)
	}
	return nil
}

// inFlight begins a call and returns its id when it runs on-prem. On a busy machine one may
// overflow before a place is ready; then another is begun.
func (f *faults) inFlight(t *testing.T, name, function string, millis int) (id string, done <-chan probed) {
	t.Helper()
	deadline := time.After(waiting)
	for try := 0; ; try++ {
		id, said := fmt.Sprintf("%s-%d", name, try), make(chan probed, 1)
		go func() { said <- f.callPatiently(id, function, f.n, millis) }()
		for s := f.n.look(id); s.cloud == 0; s = f.n.look(id) {
			if s.began > 0 {
				return id, said
			}
			select {
			case a := <-said:
				t.Fatalf("%v before it ran", a)
			case <-time.After(20 * time.Millisecond):
			case <-deadline:
				t.Fatal("it does not begin")
			}
		}
	}
}

// toldWithin is when the caller of a call has to know that its pod has ended.
const toldWithin = 15 * time.Second

// crashed holds a call to having run once, and its caller to having been told so in time.
func (f *faults) crashed(t *testing.T, done <-chan probed) {
	t.Helper()
	began := time.Now()
	a := <-done
	f.n.gone()
	if took := time.Since(began); took > toldWithin {
		t.Errorf("its caller is told after %s", took)
	}
	if a.err != nil || a.status != http.StatusBadGateway || a.errors != "Unhandled" || !strings.Contains(a.body, "Runtime.ExitError") {
		t.Errorf("its caller is told %v", a)
	}
	if s := f.n.look(a.id); s.began != 1 || s.ended != 0 || s.cloud != 0 {
		t.Errorf("it ran %+v", s)
	}
	text := f.run("explain", a.invocation)
	if !strings.Contains(text, "crashed") {
		t.Errorf("explained as: %s", text)
	}
}

// longCall is, in milliseconds, longer than the end of a pod takes to be told of.
const longCall = 25_000

// podDeleted: kubectl delete --force takes the pod out of the cluster at once.
func podDeleted(t *testing.T, f *faults) {
	id, done := f.inFlight(t, "deleted", "witness", longCall)
	pod := f.n.look(id).pod
	f.kubectl("delete", "pod", pod, "-n", "spillway-pool", "--force", "--grace-period=0")
	f.crashed(t, done)
	f.until(waiting, "its process is gone", func() error {
		if pid := processOf(pod); pid != 0 {
			return fmt.Errorf("process %d runs", pid)
		}
		return nil
	})
	f.until(waiting, "another answers", func() error { return f.answers("witness") })
}

// podKilled: the agent dies, and the container with it.
func podKilled(t *testing.T, f *faults) {
	id, done := f.inFlight(t, "killed", "witness", longCall)
	pod := f.n.look(id).pod
	pid := processOf(pod)
	if pid == 0 {
		t.Fatal("no process has the name of the pod")
	}
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	f.crashed(t, done)
	f.until(waiting, "its pod is gone", func() error {
		if o, err := f.client.CoreV1().Pods("spillway-pool").Get(t.Context(), pod, metav1.GetOptions{}); err == nil {
			return fmt.Errorf("it is %s", o.Status.Phase)
		}
		return nil
	})
	f.until(waiting, "another answers", func() error { return f.answers("witness") })
}

// processOf is the agent of a pod, as this machine numbers it; 0: none.
func processOf(pod string) int {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well formed
	for _, path := range all {
		line, _ := os.ReadFile(path)
		if !strings.Contains(string(line), "agent\x00serve") {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if strings.Contains("\x00"+string(environ), "\x00HOSTNAME="+pod+"\x00") {
			var pid int
			fmt.Sscan(filepath.Base(filepath.Dir(path)), &pid)
			return pid
		}
	}
	return 0
}

// cannotStart: each is told why, and a function that never starts does not make a pod
// for each call.
func cannotStart(t *testing.T, f *faults) {
	made := f.countPods(t, "shop")
	for function, want := range map[string]string{"badimage": "Spillway.ImageError", "crashing": "Runtime.ExitError"} {
		calls, told := 0, 0
		began := time.Now()
		for ; calls < 30 || time.Since(began) < 4*time.Second; calls++ {
			a, err := f.call(f.web(), f.token, function, `{}`)
			must(t, err)
			if a.status == http.StatusTooManyRequests && time.Since(began) < waiting {
				calls-- // no node took its pod in time
				continue
			}
			if a.status == http.StatusBadGateway && a.errors == "Unhandled" && strings.Contains(a.body, want) {
				told++
			} else {
				t.Errorf("%s: %+v", function, a)
			}
		}
		// At most one at the start, and after 1, 2, 4, 8 … seconds.
		took := time.Since(began)
		if n, most := made(function), 2+bits.Len(uint(took.Seconds())); n == 0 || n > most {
			t.Errorf("%s: %d pods for %d calls in %s, at most %d", function, n, calls, took, most)
		} else {
			t.Logf("%s: %d pods for %d calls in %s, told %s", function, n, calls, took, want)
		}
	}
	// A package that was never pushed is a fault of the object, which is not served.
	if a, err := f.call(f.web(), f.token, "wanting", `{}`); err != nil || a.status != http.StatusNotFound {
		t.Errorf("a function without its package: %+v, %v", a, err)
	}
	if !strings.Contains(f.output.String(), "wanting") {
		t.Error("the server says nothing of a package that is missing")
	}
	f.wrongDigest(t)
}

// wrongDigest puts another package where the server keeps one.
func (f *faults) wrongDigest(t *testing.T) {
	dir := filepath.Join(f.dir, "functions", "spoilt")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "bootstrap"), []byte("#!/bin/false\n"), 0o755))
	digest := f.run("package", "push", dir)
	path := filepath.Join(f.dir, "data", "deployed", "packages", strings.TrimPrefix(digest, "sha256:")+".zip")
	if found, _ := filepath.Glob(filepath.Join(f.dir, "data", "*", "packages", "*.zip")); len(found) > 0 {
		path = filepath.Join(filepath.Dir(found[0]), filepath.Base(path))
	}
	f.apply(fmt.Sprintf(`{apiVersion: spillway.dev/v1alpha1, kind: Function, metadata: {name: spoilt, namespace: shop}, spec: {revisions: [{name: v1, package: {digest: %q}}], resources: {cpu: 10m, memory: 64Mi}}}`, digest))
	f.until(waiting, "it is served", func() error {
		if a, err := f.call(f.web(), f.token, "spoilt", `{}`); err != nil || a.status == http.StatusNotFound {
			return fmt.Errorf("%+v, %w", a, err)
		}
		return nil
	})
	other, err := os.ReadFile(filepath.Join(filepath.Dir(path), strings.TrimPrefix(f.digest, "sha256:")+".zip"))
	must(t, err)
	must(t, os.WriteFile(path, other, 0o600))
	f.until(waiting, "the digest is held against it", func() error {
		packed, err := filepath.Glob(strings.TrimSuffix(path, ".zip") + "-*.packed")
		must(t, err)
		for _, form := range packed { // what is sent is made of the zip file again; one may have been in the making
			must(t, os.RemoveAll(form))
		}
		if a, err := f.call(f.web(), f.token, "spoilt", `{}`); err != nil || !strings.Contains(a.body, "Spillway.PackageError") || !strings.Contains(a.body, f.digest) {
			return fmt.Errorf("%+v, %w", a, err)
		}
		return nil
	})
	f.kubectl("delete", "function", "spoilt", "-n", "shop")
}

// countPods counts the pods that are made for functions from now on.
func (f *faults) countPods(t *testing.T, namespace string) func(function string) int {
	t.Helper()
	now, err := f.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	watching, err := f.client.CoreV1().Pods(namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: now.ResourceVersion})
	must(t, err)
	var mu sync.Mutex
	made := map[string]int{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range watching.ResultChan() {
			if o, ok := e.Object.(*corev1.Pod); ok && e.Type == "ADDED" {
				mu.Lock()
				made[o.Labels["spillway.dev/function"]]++
				mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() { watching.Stop(); <-done })
	return func(function string) int {
		mu.Lock()
		defer mu.Unlock()
		return made[function]
	}
}

// namespaceDeleted: a pod that is deleted with its namespace, or in a drain of its node,
// ends with the call that it has, and takes no other; the function goes with it.
func namespaceDeleted(t *testing.T, f *faults) {
	id, done := f.inFlight(t, "doomed", "doomed/imaged", 8_000)
	f.kubectl("delete", "namespace", "doomed", "--wait=false")
	if a := <-done; a.err != nil || a.status != http.StatusOK {
		t.Errorf("its caller is told %v", a)
	}
	if s := f.n.look(id); s.began != 1 || s.ended != 1 || s.cloud != 0 {
		t.Errorf("it ran %+v", s)
	}
	f.until(waiting, "its function is gone", func() error {
		a, err := f.call(f.web(), f.token, "doomed/imaged", `{}`)
		if err != nil || a.status != http.StatusForbidden && a.status != http.StatusNotFound {
			return fmt.Errorf("%+v, %w", a, err)
		}
		return nil
	})
	f.until(waiting, "another namespace answers", func() error { return f.answers("imaged") })
}

// canary: both worlds split alike.
func canary(t *testing.T, f *faults) {
	f.bothRun(t, "onprem", "v1", "v2")
	onPrem := f.split(t, "few", 2, 200) // fewer at once than there are places
	if n := onPrem["onprem v2"]; n < 8 || n > 40 || onPrem["onprem v1"] < 150 {
		t.Errorf("on-prem: %v", onPrem)
	}
	f.apply(`{apiVersion: spillway.dev/v1alpha1, kind: BurstPolicy, metadata: {name: away}, spec: {mode: CloudOnly, order: [lambda]}}`)
	follows := func(policy string) {
		f.kubectl("patch", "function", "canary", "-n", "shop", "--type=merge", "-p", `{"spec":{"burstPolicy":`+policy+`}}`)
	}
	follows(`"away"`)
	f.bothRun(t, "lambda", "1", "2")
	all := f.split(t, "many", 12, 300)
	inCloud := all["lambda 1"] + all["lambda 2"]
	if n := all["lambda 2"]; inCloud < 250 || n*100 < 4*inCloud || n*100 > 20*inCloud {
		t.Errorf("in the cloud: %v", all)
	}
	follows(`null`)
	f.bothRun(t, "onprem", "v1", "v2")
	t.Logf("%v, %v", onPrem, all)
	resp, err := f.web().Get("http://" + health + "/metrics")
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if !strings.Contains(string(text), `spillway_dispatcher_placements_total{namespace="shop",pool="onprem",reason="canary"}`) {
		t.Error("the metrics do not tell the canary from other calls")
	}
}

// bothRun calls the canary until two versions have answered in a pool, one after the other.
func (f *faults) bothRun(t *testing.T, pool string, versions ...string) {
	t.Helper()
	seen := map[string]bool{}
	f.until(waiting, fmt.Sprintf("%v run in %s", versions, pool), func() error {
		a, err := f.call(f.web(), f.token, "canary", `{"millis":1}`)
		if err == nil && a.status == http.StatusOK && a.errors == "" && a.pool == pool {
			seen[decode[struct{ Version string }](t, a.body).Version] = true
		}
		if !seen[versions[0]] || !seen[versions[1]] {
			return fmt.Errorf("%v, lastly %+v, %w", seen, a, err)
		}
		return nil
	})
}

// split counts n calls of the canary by pool and version.
func (f *faults) split(t *testing.T, name string, workers, n int) map[string]int {
	by := map[string]int{}
	var mu sync.Mutex
	var calls sync.WaitGroup
	for k := range workers {
		calls.Go(func() {
			for i := range n / workers {
				a := f.callPatiently(fmt.Sprintf("canary-%s-%d-%d", name, k, i), "canary", f.n, 30)
				mu.Lock()
				if a.good() {
					by[a.pool+" "+decode[struct{ Version string }](t, a.body).Version]++
				} else {
					t.Errorf("%v", a)
				}
				mu.Unlock()
			}
		})
	}
	calls.Wait()
	return by
}
