package node

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

const (
	keyID     = "EXAMPLECLOUD00000001"
	keySecret = "example-secret-of-the-stand-in-account"
)

// runs counts what a cloud was called with, by Job.
type runs struct {
	mu    sync.Mutex
	byJob map[string]int
	texts map[string]string
}

func (r *runs) of(job string) (int, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.byJob[job], r.texts[job]
}

// handle does what the arguments of the Job's container say.
func (r *runs) handle(_ context.Context, call cloud.Event) ([]byte, error) {
	var e struct {
		Job        string
		Containers []struct{ Args []string }
	}
	if err := json.Unmarshal(call.Payload, &e); err != nil || len(e.Containers) == 0 {
		return nil, fmt.Errorf("no event of a pod: %s", call.Payload)
	}
	r.mu.Lock()
	r.byJob[e.Job]++
	r.texts[e.Job] = string(call.Payload)
	r.mu.Unlock()
	for _, arg := range e.Containers[0].Args {
		switch {
		case strings.HasPrefix(arg, "exit="):
			return []byte(`{"exitCode": ` + strings.TrimPrefix(arg, "exit=") + `}`), nil
		case strings.HasPrefix(arg, "sleep="):
			d, _ := time.ParseDuration(strings.TrimPrefix(arg, "sleep="))
			time.Sleep(d)
		}
	}
	return []byte(`{"exitCode": 0}`), nil
}

// lambda is a stand-in of Lambda in the cluster's network.
func (w *world) lambda(r *runs) (stand *cloud.Server, endpoint string) {
	w.t.Helper()
	l, err := w.Listen(w.t.Context(), "tcp", kubetest.NodeAddress+":0")
	must(w.t, err)
	s, err := cloud.New(cloud.Config{Region: "us-east-1", Keys: map[string]string{keyID: keySecret}, Concurrency: 100, Functions: []cloud.Function{
		{Name: "crunch", MiB: 128, Timeout: time.Minute, Handle: r.handle}, {Name: "stay", MiB: 128, Timeout: time.Minute, Handle: r.handle},
	}})
	must(w.t, err)
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l, admin) }()
	w.t.Cleanup(func() { cancel(); <-done; s.Close() })
	return s, "http://" + l.Addr().String()
}

// pushed is a package that no pool here runs: functions have one all the same.
func (w *world) pushed() (digest string) {
	w.t.Helper()
	file := filepath.Join(w.dir, "code.zip")
	f, err := os.Create(file)
	must(w.t, err)
	z := zip.NewWriter(f)
	h := &zip.FileHeader{Name: "bootstrap"}
	h.SetMode(0o755)
	in, err := z.CreateHeader(h)
	must(w.t, err)
	_, err = in.Write([]byte("#!/bin/false\n"))
	must(w.t, err)
	must(w.t, z.Close())
	must(w.t, f.Close())
	text, err := os.ReadFile(file)
	must(w.t, err)
	if out, err := w.spillway("package", "push", file); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(text))
}

// bursting is a Job that a cloud may run after it has waited for two seconds.
func bursting(name, function string, args ...string) *batchv1.Job {
	j := job(name, args...)
	j.Spec.Template.Annotations = map[string]string{"spillway.dev/burst-function": function, "spillway.dev/max-wait": "2s"}
	j.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "SIZE", Value: "3"},
		{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "password"}}}}
	return j
}

// TestInTheCloud: what finds no idle capacity in time is run by its burst function, once,
// if that is allowed.
func TestInTheCloud(t *testing.T) {
	w := newWorld(t)
	w.withDispatcher()
	r := &runs{byJob: map[string]int{}, texts: map[string]string{}}
	lambda, endpoint := w.lambda(r)
	w.kinds()
	must(t, w.Apply(t.Context(), gated+fmt.Sprintf(`
---
{apiVersion: spillway.dev/v1alpha1, kind: Pool, metadata: {name: offline}, spec: {kind: offline, region: headquarters}}
---
{apiVersion: spillway.dev/v1alpha1, kind: Pool, metadata: {name: lambda}, spec: {kind: lambda, region: us-east-1, lambda: {endpoint: %q, credentials: {environment: true}}}}
---
{apiVersion: spillway.dev/v1alpha1, kind: Quota, metadata: {name: research}, spec: {department: research, namespaces: [night], nominal: {offline: {slots: 1}, cloud: {slots: 10}}, budgets: [{window: day, amount: "10"}]}}
---
{apiVersion: spillway.dev/v1alpha1, kind: BurstPolicy, metadata: {name: default}, spec: {mode: CloudOnly, order: [lambda]}}
---
{apiVersion: spillway.dev/v1alpha1, kind: BurstPolicy, metadata: {name: "off"}, spec: {mode: CloudOnly, order: [lambda], killSwitch: true}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: bursts, namespace: night}, rules: [{apiGroups: [spillway.dev], resources: [functions], verbs: [invoke], resourceNames: [crunch, stay, nowhere]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: bursts, namespace: night}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: bursts}, subjects: [{kind: ServiceAccount, name: spillway-node, namespace: spillway-system}]}
`, endpoint)))
	w.env = []string{"AWS_ACCESS_KEY_ID=" + keyID, "AWS_SECRET_ACCESS_KEY=" + keySecret}
	w.dispatch()
	digest := w.pushed()
	for name, policy := range map[string]string{"crunch": "default", "stay": "off"} {
		must(t, w.Apply(t.Context(), fmt.Sprintf(`{apiVersion: spillway.dev/v1alpha1, kind: Function, metadata: {name: %s, namespace: night}, spec: {revisions: [{name: v1, package: {digest: %q}}], timeout: 60s, deadline: 10m, burst: allow, burstPolicy: %q, cloud: [{pool: lambda, memory: 128Mi, timeout: 60s}]}}`, name, digest, policy)))
	}
	w.until("the functions are served", func() error {
		if out, err := w.spillway("list"); err != nil || !strings.Contains(out, "night/crunch") || !strings.Contains(out, "night/stay") {
			return errorf("%v\n%s", err, out)
		}
		return nil
	})
	w.gate.address = "http://" + asks
	w.flags = append(w.flags, "--dispatcher-token-file", w.token("spillway-node"))
	w.serve()
	w.create(job("holder", "sleep=1h")) // of the whole quota
	w.running("holder")

	w.create(bursting("quick", "crunch", "print=x"))
	w.create(bursting("broken", "crunch", "exit=3"))
	w.create(bursting("slow", "crunch", "sleep=25s"))
	w.create(bursting("stays", "stay", "print=x"))
	w.create(bursting("lost", "nowhere", "print=x"))
	w.create(bursting("barred", "private", "print=x"))

	w.until("the slow one runs in the cloud", func() error {
		p := w.podOf("slow")
		if n, _ := r.of("slow"); n != 1 || p.Status.Phase != corev1.PodRunning {
			return errorf("%d calls, %s %s", n, p.Status.Phase, p.Status.Message)
		}
		return nil
	})
	w.kill()
	w.serve()

	if how, j := w.ended("quick"); how != "Complete" || j.Status.Failed != 0 {
		t.Errorf("quick: %s: %+v", how, j.Status)
	}
	n, event := r.of("quick")
	if n != 1 || !strings.Contains(event, `"args":["print=x"]`) || !strings.Contains(event, `{"name":"SIZE","value":"3"}`) || !strings.Contains(event, `"withheld":["PASSWORD"]`) {
		t.Errorf("the cloud was called %d times, last with %s", n, event)
	}
	if how, _ := w.ended("broken"); how != "Failed" {
		t.Errorf("broken: %s", how)
	}
	if end := w.podOf("broken").Status.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 3 || !strings.HasPrefix(end.ContainerID, "lambda://") {
		t.Errorf("broken: %+v", end)
	}
	if how, _ := w.ended("slow"); how != "Complete" {
		t.Errorf("slow: %s %+v", how, w.podOf("slow").Status)
	}
	if n, _ := r.of("slow"); n != 1 {
		t.Errorf("a node that was killed had its pod run %d times", n)
	}
	for name, says := range map[string]string{"lost": "no Function night/nowhere", "barred": "verb invoke"} {
		if how, _ := w.ended(name); how != "Failed" || !strings.Contains(w.podOf(name).Status.Message, says) {
			t.Errorf("%s: %s: %s", name, how, w.podOf(name).Status.Message)
		}
	}
	if p := w.podOf("stays"); p.Status.Phase != corev1.PodPending || !strings.Contains(p.Status.Message, "waits for idle capacity") {
		t.Errorf("stays: %s %s", p.Status.Phase, p.Status.Message)
	}
	if n, _ := r.of("stays"); n != 0 {
		t.Error("a function whose policy is switched off was called in a cloud")
	}
	w.foretold("quick")
	w.charged(lambda, 3)
}

var plan = regexp.MustCompile(`waits for idle capacity \(.*\); goes to the cloud at (\S+ )?\d\d:\d\d, at most \$0\.0\d*`)

// foretold: while a pod waited, kubectl said what would come of it.
func (w *world) foretold(job string) {
	w.t.Helper()
	if said := w.kubectl("-n", "night", "describe", "pod", "-l", "job-name="+job); !plan.MatchString(said) {
		w.t.Errorf("kubectl does not say what will come of waiting:\n%s", said)
	}
}

// charged: what the cloud ran is in the ledger, once, at what the cloud itself asks.
func (w *world) charged(lambda *cloud.Server, runs int64) {
	w.t.Helper()
	var theirs cloud.Bill
	w.until("the ledger has what the cloud ran", func() error {
		out, err := w.spillway("report", "--by", "function", "-o", "json")
		if err != nil {
			return errorf("%v\n%s", err, out)
		}
		var ours struct {
			Lines []struct {
				Key    string
				Calls  int64
				Amount apd.Decimal
			}
		}
		if err := json.Unmarshal([]byte(out), &ours); err != nil {
			return err
		}
		theirs = lambda.Bill()
		for _, line := range ours.Lines {
			if line.Key != "night/crunch" {
				continue
			}
			if asked, _, err := apd.NewFromString(theirs.Total); err != nil || line.Calls != runs || line.Amount.Cmp(asked) != 0 {
				return errorf("%s", out)
			}
			return nil
		}
		return errorf("no line of night/crunch: %s", out)
	})
	if theirs.Executions != int(runs) {
		w.t.Errorf("the cloud ran %d", theirs.Executions)
	}
}
