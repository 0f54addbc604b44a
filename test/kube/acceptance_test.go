package kube

import (
	"context"
	"errors"
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

	"github.com/spillway-dev/spillway/internal/textsink"
	"github.com/spillway-dev/spillway/simulator/cloud"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

// place is where the example runs: on this machine, or in a cluster.
type place struct {
	front  string // address
	client *http.Client
	token  string // of a caller that may invoke everything in namespace shop
	cli    func(args ...string) string
	cloud  *cloud.Server
}

// reply is what came back of one call.
type reply struct {
	status                            int
	pool, reason, invocation, failure string
	body                              string
}

func (p *place) post(path, token, payload string) (reply, error) {
	r, err := http.NewRequest(http.MethodPost, "http://"+p.front+"/namespaces/shop"+path, strings.NewReader(payload))
	if err != nil {
		return reply{}, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	h := resp.Header
	return reply{resp.StatusCode, h.Get("X-Spillway-Pool"), h.Get("X-Spillway-Reason"), h.Get("X-Spillway-Invocation"), h.Get("X-Amz-Function-Error"), string(body)}, err
}

const (
	plain  = "/functions/report/invoke"
	amazon = "/2015-03-31/functions/report/invocations"
)

// accept is what holds of the example wherever it runs: two places on-prem, a cloud for
// the rest, one answer and one line for each call, and an explanation.
func accept(t *testing.T, p *place) {
	t.Helper()
	calls := 0
	for _, path := range []string{plain, amazon} {
		if r := p.onPrem(t, &calls, path, `{"millis":1}`); r.status != http.StatusOK || r.pool != "onprem" || r.body != `{"rows":10,"millis":1}` {
			t.Fatalf("%s: %+v", path, r)
		}
	}
	if r, err := p.post(plain, "", "{}"); err != nil || r.status != http.StatusUnauthorized {
		t.Errorf("without a token: %+v, %v", r, err)
	}
	if r := p.onPrem(t, &calls, amazon, `{"millis":-1}`); r.status != http.StatusOK || r.failure != "Unhandled" || !strings.Contains(r.body, "millis is -1") {
		t.Errorf("a function that fails: %+v", r)
	}
	before := p.cloud.Bill().Executions
	const burst = 40
	replies, errs := make([]reply, burst), make([]error, burst)
	var callers sync.WaitGroup
	for i := range burst {
		callers.Go(func() { replies[i], errs[i] = p.post(plain, p.token, `{"millis":500}`) })
	}
	callers.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	inCloud, last := 0, ""
	for _, r := range replies {
		switch {
		case r.status != http.StatusOK:
			t.Errorf("got %+v", r)
		case r.pool == "lambda" && strings.HasPrefix(r.reason, "overflow_"):
			inCloud++
			last = r.invocation
		case r.pool != "onprem":
			t.Errorf("got %+v", r)
		}
	}
	if inCloud == 0 || inCloud == burst {
		t.Errorf("%d of %d calls overflowed", inCloud, burst)
	}
	if billed := p.cloud.Bill().Executions - before; billed != inCloud {
		t.Errorf("the cloud bills %d executions, %d calls went there", billed, inCloud)
	}
	if text := p.cli("explain", last); !strings.Contains(text, "lambda") || !strings.Contains(text, "overflow_") {
		t.Errorf("explained as %s", text)
	}
	report := p.cli("report", "--by", "namespace", "-o", "json")
	if want := fmt.Sprintf(`"calls": %d,`, burst+calls); !strings.Contains(report, want) {
		t.Errorf("the report has not %s: %s", want, report)
	}
	if status := p.cli("status"); !strings.Contains(status, "onprem") || !strings.Contains(status, "lambda") {
		t.Errorf("status: %s", status)
	}
}

// onPrem calls until it is not a cloud that answers, as it may a few times on a busy machine
// before a place is ready; it adds to the calls, which are ten at most.
func (p *place) onPrem(t *testing.T, calls *int, path, payload string) reply {
	t.Helper()
	for {
		*calls++
		r, err := p.post(path, p.token, payload)
		must(t, err)
		if r.pool != "lambda" || *calls >= 10 {
			return r
		}
		time.Sleep(5 * time.Second)
	}
}

const localToken = "a-token-of-the-caller-on-one-machine"

// TestOnOneMachine runs the example of the cluster with 'spillway up'.
func TestOnOneMachine(t *testing.T) {
	dir := testbed.OpenDir(t)
	must(t, testbed.Build(dir, map[string]string{"spillway": "cmd/spillway", "functions/report/bootstrap": "examples/functions/report"}))
	w := &world{t: t}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	endpoint := w.cloudOn(l)
	config := filepath.Join(dir, "conf")
	must(t, os.Mkdir(config, 0o755))
	must(t, os.WriteFile(filepath.Join(config, "all.yaml"), []byte(w.objects(endpoint, `{path: ../functions/report}`, `kind: process
  region: headquarters
  capacity: {slots: 2, cpu: "100", memory: 100Gi}`)+`---
apiVersion: spillway.dev/v1alpha1
kind: Server
metadata: {name: server}
spec: {listen: "127.0.0.1:0", admin: "127.0.0.1:0", dataDir: ../data, auth: {tokens: [{tokenFrom: {env: CALLER_TOKEN}, identity: caller, invoke: ["shop/*"]}]}}
`), 0o644))
	cmd := exec.Command(filepath.Join(dir, "spillway"), "up", "--config", config)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+keyID, "AWS_SECRET_ACCESS_KEY="+keySecret, "CALLER_TOKEN="+localToken)
	said := new(textsink.Sink)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v\n%s", err, said)
		}
	})
	var at struct{ Front, Admin string }
	w.until(waiting, "the server is up", func() error {
		text, err := os.ReadFile(filepath.Join(dir, "data", "server.json"))
		if err == nil {
			at = decode[struct{ Front, Admin string }](t, string(text))
		}
		return err
	})
	accept(t, &place{
		front: strings.TrimPrefix(at.Front, "http://"), client: &http.Client{Timeout: time.Minute}, token: localToken, cloud: w.cloud,
		cli: func(args ...string) string {
			out, err := exec.CommandContext(context.Background(), filepath.Join(dir, "spillway"), append(args, "--admin", at.Admin)...).CombinedOutput()
			if err != nil {
				t.Fatalf("spillway %s: %v\n%s", strings.Join(args, " "), err, out)
			}
			return string(out)
		},
	})
}
