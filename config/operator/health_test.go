package operator

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/internal/freeport"
)

// TestProbesAndMetrics reads what probes and Prometheus read.
func TestProbesAndMetrics(t *testing.T) {
	l := newLab(t)
	ports := freeport.Of(t, 2)
	o := Options{Health: "127.0.0.1:" + ports[0], Metrics: "127.0.0.1:" + ports[1]}
	l.run(o)
	l.apply(platform)
	l.condition(&kube.Pool{ObjectMeta: quota("pods").ObjectMeta}, kube.Ready, ReasonValid)
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for url, says := range map[string]string{o.Health + "/healthz": "ok", o.Health + "/readyz": "ok", o.Metrics + "/metrics": `controller_runtime_reconcile_total{controller="spillway-operator"`} {
		l.within(func() string {
			answer, err := h.Get("http://" + url)
			if err != nil {
				return err.Error()
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			l.must(err)
			if answer.StatusCode != http.StatusOK || !strings.Contains(string(text), says) {
				return url + ": " + answer.Status
			}
			return ""
		})
	}
}
