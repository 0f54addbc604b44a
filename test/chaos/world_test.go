package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/simulator/cloud"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

const token = "chaos-token-0123456789abcdef"

// world is one running server with its clouds.
type world struct {
	t      testing.TB
	dir    string // configuration
	data   string
	log    string // what the on-prem function wrote of its executions
	sites  []*site
	client *http.Client
	front  string
	admin  string
	server *exec.Cmd
	ended  chan struct{} // closed when the server has ended
	err    error         // how, valid then
}

// function is one function of the platform. All run the same package on-prem.
type function struct {
	name  string
	retry string   // never or idempotent
	mode  string   // of its burst policy
	order []string // pools, most preferred first
}

// newWorld starts a server with some places on-prem, clouds and functions.
func newWorld(t testing.TB, slots int, sites []*site, functions []function) *world {
	t.Helper()
	must(t, testbed.Sources())
	w := &world{t: t, dir: testbed.OpenDir(t), data: filepath.Join(testbed.OpenDir(t), "data"), log: testbed.ExecutionLog(t), sites: sites,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	t.Cleanup(w.client.CloseIdleConnections)
	for name, text := range map[string]string{
		"token":  token + "\n",
		"lambda": "[default]\naws_access_key_id = " + keyID + "\naws_secret_access_key = " + keySecret + "\n",
		"scf":    "[default]\nsecret_id = " + keyID + "\nsecret_key = " + keySecret + "\n",
	} {
		must(t, os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(w.dir, "platform.yaml"), []byte(w.platform(slots, functions)), 0o644))
	w.start()
	return w
}

// platform is the configuration. The clouds' limits are far away: it is their
// faults that are tried.
func (w *world) platform(slots int, functions []function) string {
	text := fmt.Sprintf(`apiVersion: spillway.dev/v1alpha1
kind: Server
metadata: {name: server}
spec:
  dataDir: %s
  drainTimeout: 20s
  auth: {anonymous: false, tokens: [{tokenFrom: {file: token}, identity: tester, invoke: ["shop/*"]}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec: {kind: process, region: here, capacity: {slots: %d, cpu: "64", memory: 32Gi}}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: retail}
spec:
  department: retail
  namespaces: [shop]
  budgets: [{window: month, amount: "1000", currency: USD, timeZone: UTC, atLimit: reject}]
---
apiVersion: spillway.dev/v1alpha1
kind: PriceBook
metadata: {name: prices}
spec:
  currency: USD
  exchangeRates: [{from: CNY, to: USD, rate: "0.14", date: 2026-01-01, source: treasury}]
`, w.data, slots)
	for _, s := range w.sites {
		region, limits := "us-east-1", "{concurrency: 200, rampPer10s: 1000}"
		if s.provider == cloud.SCF {
			region, limits = "ap-guangzhou", "{memory: 128000Mi, rampPerMinute: 500}"
		}
		text += fmt.Sprintf(`---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: %[1]s}
spec: {kind: %[2]s, region: %[3]s, initTimeout: 300ms, limits: %[4]s, %[2]s: {endpoint: %[5]q, credentials: {file: %[2]s}}}
`, s.pool, s.provider, region, limits, s.endpoint)
	}
	for _, f := range functions {
		text += w.function(f)
	}
	return text
}

func (w *world) function(f function) string {
	bindings := ""
	for _, pool := range f.order {
		if pool != "onprem" {
			bindings += fmt.Sprintf("    - {pool: %s, function: work, qualifier: live, memory: 128Mi, timeout: 1s}\n", pool)
		}
	}
	return fmt.Sprintf(`---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: %[1]s}
spec: {mode: %[2]s, order: [%[3]s]}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: %[1]s, namespace: shop}
spec:
  revisions: [{name: v1, package: {path: %[4]s}}]
  resources: {cpu: 100m, memory: 128Mi}
  timeout: 5s
  deadline: 20s
  maxWait: 5s
  burst: allow
  burstPolicy: %[1]s
  retry: %[5]s
  env: {EXECUTION_LOG: %[6]s}
  cloud:
%[7]s`, f.name, f.mode, strings.Join(f.order, ", "), built.report, f.retry, w.log, bindings)
}

// start runs the server and waits until it is ready.
func (w *world) start() {
	w.t.Helper()
	out, err := os.Create(filepath.Join(w.t.TempDir(), "up.log"))
	must(w.t, err)
	defer out.Close()
	cmd := exec.Command(built.spillway, "up", "--config", w.dir, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	must(w.t, cmd.Start())
	w.server, w.ended = cmd, make(chan struct{})
	go func() { w.err = cmd.Wait(); close(w.ended) }()
	w.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its group, if anything is left of it
		<-w.ended
	})
	w.await("the server is ready", func() bool {
		select {
		case <-w.ended:
			text, _ := os.ReadFile(out.Name())
			w.t.Fatalf("the server ended before it was ready: %v\n%s", w.err, text)
		default:
		}
		var at struct{ Front, Admin string }
		text, err := os.ReadFile(filepath.Join(w.data, "server.json"))
		if err != nil || json.Unmarshal(text, &at) != nil {
			return false
		}
		w.front, w.admin = at.Front, at.Admin
		resp, err := w.client.Get(w.admin + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// await polls until ready says yes; a minute is far beyond what anything here takes.
func (w *world) await(what string, ready func() bool) {
	w.t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	late := time.After(time.Minute)
	for !ready() {
		select {
		case <-late:
			w.t.Fatalf("not within a minute: %s", what)
		case <-poll.C:
		}
	}
}

// stop waits until nothing is unknown any more and drains the server.
func (w *world) stop() {
	w.t.Helper()
	w.await("every unknown outcome is closed", func() bool { return w.view().Unknown == 0 })
	must(w.t, w.server.Process.Signal(syscall.SIGTERM))
	<-w.ended
	must(w.t, w.err)
}

// ask reads an answer of the admin port.
func (w *world) ask(path string) []byte {
	w.t.Helper()
	resp, err := w.client.Get(w.admin + path)
	must(w.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(w.t, err)
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("GET %s: %d %s", path, resp.StatusCode, text)
	}
	return text
}

func (w *world) view() (v dispatcher.View) {
	w.t.Helper()
	must(w.t, json.Unmarshal(w.ask("/v1/quota"), &v))
	return v
}

// breakerOpen reads the metric of one cloud's breaker.
func (w *world) breakerOpen(pool string) bool {
	w.t.Helper()
	name := fmt.Sprintf("spillway_pool_breaker_open{pool=%q} ", pool)
	for line := range strings.Lines(string(w.ask("/metrics"))) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(value) == "1"
		}
	}
	w.t.Fatalf("there is no metric %s", name)
	return false
}

func (w *world) explain(invocation string) (x dispatcher.Explanation) {
	w.t.Helper()
	must(w.t, json.Unmarshal(w.ask("/v1/explain/"+invocation), &x))
	return x
}
