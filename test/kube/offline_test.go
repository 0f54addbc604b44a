package kube

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/simulator/cloud"
)

const idleObjects = `
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: idle}
spec: {kind: offline, kubernetes: {runtimeImage: %[2]q}}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: lambda}
spec: {kind: lambda, region: us-east-1, lambda: {endpoint: %[1]q, credentials: {environment: true}}}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec: {namespaces: [shop], nominal: {offline: {slots: 2}}, budgets: [{window: day, amount: "10"}]}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: default}
spec: {order: [lambda]}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: night, namespace: shop}
spec: {class: offline, retry: idempotent, timeout: 2m, resources: {cpu: 50m, memory: 64Mi}, revisions: [{name: v1, package: {digest: %[3]q}}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: once, namespace: shop}
spec: {class: offline, timeout: 2m, resources: {cpu: 50m, memory: 64Mi}, revisions: [{name: v1, package: {digest: %[3]q}}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: away, namespace: shop}
spec:
  class: offline
  burst: allow
  timeout: 10s
  deadline: 2m
  maxWait: 1s
  revisions: [{name: v1, package: {digest: %[3]q}}]
  cloud: [{pool: lambda, function: away, memory: 128Mi, timeout: 10s}]
`

// TestOfflineFunctions: calls of class offline wait until idle capacity is measured, or go
// to a cloud; they run in pods that online work may take away, and then begin again or say
// that they had to go.
func TestOfflineFunctions(t *testing.T) {
	w := newWorld(t)
	n := w.witness()
	endpoint := w.startCloud(cloud.Function{Name: "away", MiB: 128, Timeout: 10 * time.Second, Handle: n.Handle})
	w.apply(`{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: spillway-guest}, value: -1000, preemptionPolicy: Never}`)
	w.serve()
	digest := w.run("package", "push", filepath.Join(w.dir, "functions", "witness"))
	w.apply(fmt.Sprintf(idleObjects, endpoint, w.agent, digest))
	client := w.web()
	client.Timeout = 5 * time.Minute
	w.until(waiting, "the functions are known", func() error {
		if all := w.run("list"); strings.Count(all, "shop/") < 3 {
			return errors.New(all)
		}
		return nil
	})
	type answered struct {
		answer
		err error
	}
	begin := func(function, id string, millis int) <-chan answered {
		said := make(chan answered, 1)
		go func() {
			a, err := w.call(client, w.token, function, n.payload(id, millis))
			said <- answered{a, err}
		}()
		return said
	}
	waits := begin("night", "waits", 1)
	if a := <-begin("away", "away", 1); a.err != nil || a.status != http.StatusOK || a.pool != "lambda" || a.reason != "overflow_wait" {
		t.Errorf("without idle capacity, and free to burst: %+v", a)
	}
	if s := n.look("waits"); s.began > 0 {
		t.Errorf("nothing was measured, and it runs: %+v", s)
	}
	measured := w.idle(client)
	defer measured()
	if a := <-waits; a.err != nil || a.status != http.StatusOK || a.pool != "idle" {
		t.Fatalf("idle capacity is measured: %+v", a)
	}

	reclaimed := func(function, id string) <-chan answered {
		said := begin(function, id, 30_000)
		w.until(waiting, id+" runs", func() error {
			if n.look(id).began == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		w.reclaim(n.look(id).pod)
		return said
	}
	again, once := reclaimed("night", "again"), reclaimed("once", "once")
	if a := <-once; a.err != nil || a.status != http.StatusBadGateway || a.errors == "" || !strings.Contains(a.body, "Spillway.Reclaimed") {
		t.Errorf("what may run once only: %+v", a)
	}
	a := <-again
	if a.err != nil || a.status != http.StatusOK || a.pool != "idle" || a.errors != "" {
		t.Errorf("what may be repeated: %+v", a)
	}
	if s := n.look("again"); s.began != 2 || s.ended != 1 {
		t.Errorf("what may be repeated began %d times and ended %d times", s.began, s.ended)
	}
	if text := w.run("explain", a.invocation); !strings.Contains(text, "reclaimed") {
		t.Errorf("explained as %s", text)
	}
	w.stop()
	w.empty()
}

// idle tells the server again and again that there is idle capacity, as the virtual node
// does.
func (w *world) idle(client *http.Client) (stop func()) {
	w.t.Helper()
	tell := func() error {
		r, err := http.NewRequest(http.MethodPut, "http://127.0.0.1:8081/v1/offline/capacity/spillway-offline", strings.NewReader(`{"milliCPU": 500, "memoryMiB": 1024, "pods": 10}`))
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			return errors.New(resp.Status)
		}
		return nil
	}
	must(w.t, tell())
	ended, done := make(chan struct{}), make(chan struct{})
	var failed atomic.Pointer[error]
	go func() {
		defer close(done)
		for {
			select {
			case <-ended:
				return
			case <-time.After(5 * time.Second):
			}
			if err := tell(); err != nil {
				failed.Store(&err)
			}
		}
	}()
	return func() {
		close(ended)
		<-done
		if err := failed.Load(); err != nil && !w.t.Failed() {
			w.t.Logf("the capacity was not told at times: %v", *err)
		}
	}
}

// reclaim deletes a pod in idle capacity, as the virtual node does, or the scheduler.
func (w *world) reclaim(name string) {
	w.t.Helper()
	p, err := w.client.CoreV1().Pods("shop").Get(w.t.Context(), name, metav1.GetOptions{})
	must(w.t, err)
	if p.Spec.PriorityClassName != "spillway-guest" || *p.Spec.Priority != -1000 || *p.Spec.PreemptionPolicy != corev1.PreemptNever || p.Labels["spillway.dev/offline-instance"] != "idle" {
		w.t.Errorf("pod %s has priority class %s: %d, %v, labels %v", name, p.Spec.PriorityClassName, *p.Spec.Priority, p.Spec.PreemptionPolicy, p.Labels)
	}
	must(w.t, w.client.CoreV1().Pods("shop").Delete(w.t.Context(), name, metav1.DeleteOptions{}))
}
