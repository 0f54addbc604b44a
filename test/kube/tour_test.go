package kube

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway/test/internal/testbed"
)

// TestTour is the tour of the README: the manifests and the example are applied, and a
// function answers. The server runs in a pod with the rights that the manifests give.
func TestTour(t *testing.T) {
	w := newCluster(t)
	must(t, testbed.Build(w.dir, map[string]string{
		"spillway": "cmd/spillway", "spillway-agent": "cmd/spillway-agent", "bootstrap": "examples/functions/report",
	}))
	for name, program := range map[string]string{"localhost/spillway:dev": "spillway", "localhost/spillway-agent:dev": "spillway-agent", "localhost/spillway-report:dev": "bootstrap"} {
		_, err := w.Image(t.Context(), name, filepath.Join(w.dir, program))
		must(t, err)
	}
	w.kubectl("apply", "--server-side", "-k", "../../manifests/overlays/dev")
	w.kubectl("wait", "--for=condition=Established", "crd", "functions.spillway.dev", "pools.spillway.dev", "quotas.spillway.dev", "burstpolicies.spillway.dev", "--timeout=180s")
	w.kubectl("apply", "--server-side", "-f", "../../examples/cluster/shop.yaml", "-f", "../../examples/cluster/platform.yaml")
	w.kubectl("-n", "spillway-system", "rollout", "status", "statefulset/spillway", "--timeout=180s")
	w.kubectl("-n", "shop", "wait", "--for=condition=Ready", "function/report", "--timeout=180s")
	w.kubectl("wait", "--for=condition=QuotaProjected", "quotas.spillway.dev/retail", "--timeout=180s")
	ip := w.kubectl("-n", "spillway-system", "get", "pod", "spillway-0", "-o", "jsonpath={.status.podIP}")
	token := strings.TrimSpace(w.kubectl("-n", "shop", "create", "token", "caller", "--audience", "spillway.dev"))
	p := &place{front: ip + ":8080", client: w.web(), token: token}
	w.until(waiting, "the function answers", func() error {
		r, err := p.post(plain, token, `{"millis":1}`)
		if err != nil || r.status != http.StatusOK || r.pool != "onprem" || r.body != `{"rows":10,"millis":1}` {
			return fmt.Errorf("%+v, %w", r, err)
		}
		return nil
	})
	w.until(waiting, "the ResourceQuota counts what runs", func() error { // a start that was too slow counts until it is gone
		if quota := w.kubectl("-n", "shop", "get", "resourcequota", "spillway", "-o", "jsonpath={.spec.hard.pods} {.status.used.pods}"); quota != "4 1" {
			return fmt.Errorf("it has and counts %q pods, want 4 and 1", quota)
		}
		return nil
	})
	w.until(waiting, "kubectl tells what is in use", func() error {
		if got := w.kubectl("get", "pools.spillway.dev", "onprem", "-o", "jsonpath={.status.inUse.slots} {.status.conditions[?(@.type=='Ready')].status}"); got != "1 True" {
			return fmt.Errorf("pool onprem: %q", got)
		}
		return nil
	})
	for _, want := range []string{"function.spillway.dev/report", "pool.spillway.dev/onprem", "quota.spillway.dev/retail"} {
		if all := w.kubectl("get", "spillway", "-A"); !strings.Contains(all, want) {
			t.Errorf("kubectl get spillway -A has no %s:\n%s", want, all)
		}
	}
	w.kubectl("delete", "-f", "../../examples/cluster/shop.yaml", "--ignore-not-found", "--timeout=300s") // its namespace may be quicker
	w.until(waiting, "the pods of the function are gone", func() error {
		if left := w.kubectl("get", "pods", "-A", "-l", "spillway.dev/function=report", "-o", "name"); left != "" {
			return fmt.Errorf("left: %s", left)
		}
		return nil
	})
}
