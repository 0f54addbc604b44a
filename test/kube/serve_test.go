package kube

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestServe is the tour of a cluster: objects are applied, calls run in pods, overflow
// to a cloud when the pool is full, and are refused to strangers; what became of them is
// explained and billed; a rollout loses nothing and leaves nothing.
func TestServe(t *testing.T) {
	w := newWorld(t)
	endpoint := w.startCloud()
	w.serve()
	digest := w.run("package", "push", filepath.Join(w.dir, "functions", "report"))
	if !strings.HasPrefix(digest, "sha256:") {
		t.Fatalf("pushed %q", digest)
	}
	w.apply(w.platform(endpoint, digest, 2))
	client := w.web()
	w.until(waiting, "the function is known", func() error {
		if functions := w.run("list"); !strings.Contains(functions, "shop/report") {
			return errors.New(functions)
		}
		return nil
	})
	w.until(waiting, "pods wait for a package", func() error {
		all, err := w.client.CoreV1().Pods("spillway-pool").List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for i := range all.Items {
			for _, c := range all.Items[i].Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		if ready < 2 { // a call that may burst waits for no pod that is not there yet
			return fmt.Errorf("%d of 2", ready)
		}
		return nil
	})
	accept(t, &place{front: front, client: client, token: w.token, cloud: w.cloud, cli: func(args ...string) string {
		return w.run(append(args, "--admin", "http://127.0.0.1:8081")...)
	}})
	t.Run("strangers", func(t *testing.T) { strangers(t, w) })
	t.Run("function that is edited to nonsense", func(t *testing.T) { nonsense(t, w) })
	t.Run("policies that do not compile", func(t *testing.T) { badPolicy(t, w) })
	w.stop()
	w.empty()
}

// strangers have no token, one for another audience, or no right.
func strangers(t *testing.T, w *world) {
	w.apply(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: stranger, namespace: shop}}`)
	for name, c := range map[string]struct {
		token, function string
		status          int
	}{
		"no token":            {"", "report", http.StatusUnauthorized},
		"another audience":    {w.tokenOf("caller", "elsewhere"), "report", http.StatusUnauthorized},
		"no right":            {w.tokenOf("stranger", "spillway.dev"), "report", http.StatusForbidden},
		"no right, no name":   {w.tokenOf("stranger", "spillway.dev"), "nothing", http.StatusForbidden},
		"a right and no name": {w.token, "nothing", http.StatusNotFound},
	} {
		a, err := w.call(w.web(), c.token, c.function, "{}")
		if err != nil || a.status != c.status {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

// nonsense leaves the last good of the function serving.
func nonsense(t *testing.T, w *world) {
	// 2h is beyond what the loader allows, and what the API server checks.
	_, err := w.Kubectl(t.Context(), "patch", "function", "report", "-n", "shop", "--type=merge", "-p", `{"spec":{"timeout":"2h"}}`)
	if err == nil {
		t.Error("the API server takes a timeout of two hours")
	}
	w.kubectl("patch", "function", "report", "-n", "shop", "--type=merge", "-p", `{"spec":{"burstPolicy":"nowhere"}}`)
	w.until(waiting, "the server says so", func() error {
		if !strings.Contains(w.output.String(), "nowhere") {
			return errors.New("nothing said yet")
		}
		return nil
	})
	if a, err := w.call(w.web(), w.token, "report", `{"millis":1}`); err != nil || a.status != http.StatusOK {
		t.Errorf("got %+v, %v", a, err)
	}
}

// badPolicy leaves the policy that holds, and does not keep other objects from changing.
func badPolicy(t *testing.T, w *world) {
	w.apply(`{apiVersion: v1, kind: ConfigMap, metadata: {name: placement, namespace: spillway-system, labels: {spillway.dev/policy: "true"}}, data: {placement.rego: "package nonsense {"}}`)
	w.until(waiting, "the server says so", func() error {
		if !strings.Contains(w.output.String(), "policies of the cluster refused") {
			return errors.New("nothing said yet")
		}
		return nil
	})
	w.kubectl("patch", "burstpolicy", "default", "--type=merge", "-p", `{"spec":{"killSwitch":true}}`)
	w.until(waiting, "the kill switch holds", func() error {
		if bursts := w.run("burst", "show"); !strings.Contains(bursts, "kill_switch") {
			return errors.New(bursts)
		}
		return nil
	})
	if a, err := w.call(w.web(), w.token, "report", `{"millis":1}`); err != nil || a.status != http.StatusOK {
		t.Errorf("got %+v, %v", a, err)
	}
}
