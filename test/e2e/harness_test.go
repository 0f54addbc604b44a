// Package e2e runs the real program: `spillway up` as a process, real functions,
// the stand-in cloud, and what is left on disk when the process is killed.
package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // reads the ledger as any tool could

	"github.com/spillway-dev/spillway/simulator/cloud"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

const (
	token     = "e2e-token-0123456789abcdef"
	keyID     = "AKIAEXAMPLEE2E000001"
	keySecret = "e2e-secret-0123456789abcdefghijklmnop"
)

// world is one configuration with its cloud, across restarts of the server.
type world struct {
	t       *testing.T
	dir     string // configuration
	data    string
	kept    string // a copy of the ledger, if it is not in data
	log     string // what functions wrote of their executions
	cloud   *cloud.Server
	front   string
	admin   string
	server  *exec.Cmd
	output  *bytes.Buffer
	stopped chan error
}

// newWorld starts the cloud and writes the configuration; extra is more YAML.
func newWorld(t *testing.T, slots int, budget, extra string) *world {
	t.Helper()
	must(t, testbed.Sources())
	w := &world{t: t, dir: testbed.OpenDir(t), data: filepath.Join(testbed.OpenDir(t), "data"), log: testbed.ExecutionLog(t)}
	w.front, w.admin = freeAddr(t), freeAddr(t)
	endpoint := w.startCloud()
	must(t, os.WriteFile(filepath.Join(w.dir, "token"), []byte(token+"\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(w.dir, "lambda"), []byte("[default]\naws_access_key_id = "+keyID+"\naws_secret_access_key = "+keySecret+"\n"), 0o600))
	text := fmt.Sprintf(`apiVersion: spillway.dev/v1alpha1
kind: Server
metadata: {name: server}
spec:
  listen: %s
  admin: %s
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
kind: Pool
metadata: {name: lambda}
spec:
  kind: lambda
  region: us-east-1
  initTimeout: 1s
  lambda: {endpoint: %q, credentials: {file: lambda}}
  limits: {concurrency: 50, rampPer10s: 1000, requestsPerSecond: 500}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: retail}
spec:
  department: retail
  namespaces: [shop]
  budgets: [{window: day, amount: %q, currency: USD, timeZone: UTC, atLimit: reject}]
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: hybrid}
spec: {mode: Hybrid, order: [onprem, lambda]}
`, w.front, w.admin, w.data, slots, endpoint, budget) + extra
	for _, f := range []string{"echo", "report", "flaky"} {
		text += fmt.Sprintf(`---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: %[1]s, namespace: shop}
spec:
  revisions: [{name: v1, package: {path: %[2]s}}]
  resources: {cpu: 100m, memory: 128Mi}
  timeout: 1s
  deadline: 10s
  maxWait: 5s
  burst: allow
  burstPolicy: hybrid
  env: {EXECUTION_LOG: %[3]s}
  cloud: [{pool: lambda, function: %[1]s, qualifier: live, memory: 128Mi, timeout: 1s}]
`, f, filepath.Join(built.functions, f), w.log)
	}
	must(t, os.WriteFile(filepath.Join(w.dir, "platform.yaml"), []byte(text), 0o644))
	t.Cleanup(func() {
		if w.server != nil {
			_ = syscall.Kill(-w.server.Process.Pid, syscall.SIGKILL)
			<-w.stopped
		}
	})
	return w
}

// startCloud runs the stand-in in this process, with functions in Go that answer
// their payload.
func (w *world) startCloud() (endpoint string) {
	w.t.Helper()
	c := cloud.Config{Region: "us-east-1", Keys: map[string]string{keyID: keySecret}, Concurrency: 50}
	for _, name := range []string{"echo", "report", "flaky"} {
		c.Functions = append(c.Functions, cloud.Function{Name: name, Qualifiers: map[string]string{"live": "1"}, MiB: 128, Timeout: time.Second,
			Handle: func(_ context.Context, call cloud.Event) ([]byte, error) {
				time.Sleep(5 * time.Millisecond)
				return call.Payload, nil
			}})
	}
	s, err := cloud.New(c)
	must(w.t, err)
	w.cloud = s
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l, admin) }()
	w.t.Cleanup(func() { cancel(); <-done; s.Close() })
	return "http://" + l.Addr().String()
}

// start runs the server and waits until it is ready.
func (w *world) start() {
	w.t.Helper()
	w.run(exec.Command(built.spillway, "up", "--config", w.dir, "--log-format", "json"))
}

// run starts the command as the server and waits until it is ready.
func (w *world) run(cmd *exec.Cmd) {
	w.t.Helper()
	w.output = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = w.output, w.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	must(w.t, cmd.Start())
	w.server, w.stopped = cmd, make(chan error, 1)
	go func(stopped chan error) { stopped <- cmd.Wait() }(w.stopped)
	deadline := time.After(60 * time.Second)
	for {
		if resp, err := http.Get("http://" + w.admin + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-w.stopped:
			w.stopped <- err
			w.t.Fatalf("the server ended before it was ready: %v\n%s", err, w.output)
		case <-deadline:
			w.t.Fatalf("the server is not ready after a minute\n%s", w.output)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// end sends the signal and waits for the process.
func (w *world) end(sig syscall.Signal) error {
	must(w.t, w.server.Process.Signal(sig))
	err := <-w.stopped
	w.server = nil
	return err
}

// reply is one answer of the front door.
type reply struct {
	status     int
	invocation string
	pool       string
	reason     string
	body       string
	err        error
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

func (w *world) call(function, body string) reply {
	req, err := http.NewRequest(http.MethodPost, "http://"+w.front+"/namespaces/shop/functions/"+function+"/invoke", strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	h := resp.Header
	return reply{resp.StatusCode, h.Get("X-Spillway-Invocation"), h.Get("X-Spillway-Pool"), h.Get("X-Spillway-Reason"), string(text), err}
}

// load runs a closed loop of workers until stop is closed, and returns the answers.
func (w *world) load(workers int, stop <-chan struct{}) []reply {
	var mu sync.Mutex
	var all []reply
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				function, body := "echo", `{"n":1}`
				if (n+i)%3 == 0 {
					function, body = "report", `{"millis":15}`
				}
				r := w.call(function, body)
				mu.Lock()
				all = append(all, r)
				mu.Unlock()
				if r.err != nil {
					return // the server is gone
				}
			}
		})
	}
	wg.Wait()
	return all
}

// attempt names one execution.
type attempt struct {
	invocation string
	attempt    int
}

// line is what the checks read of a ledger line.
type line struct {
	attempt
	kind, amount string
	cloud        bool
	settled      int64
}

// ledger reads all lines from disk.
func (w *world) ledger() []line {
	w.t.Helper()
	dir := w.data
	if w.kept != "" {
		dir = w.kept
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "ledger.db")+"?mode=ro")
	must(w.t, err)
	defer db.Close()
	rows, err := db.Query("SELECT invocation, attempt, kind, amount, cloud, settled_nano FROM line")
	must(w.t, err)
	defer rows.Close()
	var all []line
	for rows.Next() {
		var l line
		must(w.t, rows.Scan(&l.invocation, &l.attempt.attempt, &l.kind, &l.amount, &l.cloud, &l.settled))
		all = append(all, l)
	}
	must(w.t, rows.Err())
	return all
}

// executions are what functions wrote on-prem.
func (w *world) executions() map[attempt]int {
	w.t.Helper()
	all := map[attempt]int{}
	for invocation, n := range testbed.Executions(w.t, w.log) {
		all[attempt{invocation, n}]++
	}
	return all
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
