package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDrain sends SIGTERM under load: every call that was admitted is answered,
// those that come later are told that nothing ran, and the ledger is whole.
func TestDrain(t *testing.T) {
	w := newWorld(t, 3, "1000", "")
	w.start()
	stop := make(chan struct{})
	replies := make(chan []reply, 1)
	go func() { replies <- w.load(8, stop) }()
	for range 200 {
		w.call("echo", `{}`)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.end(syscall.SIGTERM) }()
	err := <-ended
	close(stop)
	answered, cut := map[string]int{}, 0
	for _, r := range <-replies {
		switch {
		case r.err != nil: // connection refused, or closed while idle: never admitted
			cut++
		case r.status == 200:
			answered[r.invocation]++
		case r.status != 503:
			t.Errorf("status %d: %s", r.status, r.body)
		}
	}
	if err != nil {
		t.Fatalf("the server ended with %v\n%s", err, w.output)
	}
	billed := map[string]bool{}
	for _, l := range w.ledger() {
		if l.kind == "charge" {
			billed[l.invocation] = true
		}
	}
	for id := range answered {
		if !billed[id] {
			t.Errorf("%s was answered and is not in the ledger", id)
		}
	}
	executed := w.executions()
	for a, n := range executed {
		if n != 1 || !billed[a.invocation] {
			t.Errorf("%v ran %d times, billed: %v", a, n, billed[a.invocation])
		}
	}
	t.Logf("%d answered, %d billed, %d ran on-prem, %d workers met a closed door", len(answered), len(billed), len(executed), cut)
}

// TestDrainTimeout ends a server whose call takes longer than it may, while another call
// waits for its place: both are answered, and neither is cut.
func TestDrainTimeout(t *testing.T) {
	w := newWorld(t, 1, "1000", "")
	file := filepath.Join(w.dir, "platform.yaml")
	text, err := os.ReadFile(file)
	must(t, err)
	text = bytes.ReplaceAll(text, []byte("drainTimeout: 20s"), []byte("drainTimeout: 500ms"))
	for from, to := range map[string]string{"timeout: 1s\n": "timeout: 30s\n", "deadline: 10s": "deadline: 60s", "maxWait: 5s": "maxWait: 60s", "burst: allow": "burst: deny"} {
		text = bytes.ReplaceAll(text, []byte(from), []byte(to))
	}
	must(t, os.WriteFile(file, text, 0o644))
	w.start()
	replies := make(chan reply, 2)
	for range 2 {
		go func() { replies <- w.call("report", `{"millis":20000}`) }()
	}
	for running := false; !running; {
		resp, err := http.Get("http://" + w.admin + "/v1/quota")
		must(t, err)
		var use struct {
			Waiting int
			Pools   []struct{ Running int }
		}
		err = json.NewDecoder(resp.Body).Decode(&use)
		must(t, errors.Join(err, resp.Body.Close()))
		running = use.Waiting == 1 && use.Pools[0].Running+use.Pools[1].Running == 1 && len(w.executions()) == 1
	}
	if err := w.end(syscall.SIGTERM); err == nil || !strings.Contains(w.output.String(), "2 calls did not end within 500ms") {
		t.Errorf("the server ended with %v", err)
	}
	refused, ended := 0, 0
	for range 2 {
		switch r := <-replies; {
		case r.err != nil:
			t.Errorf("a call was cut: %v", r.err)
		case r.status == 503:
			refused++
		case r.status != 200:
			t.Logf("the call that ran is told %d %s", r.status, r.body)
			ended++
		}
	}
	if refused != 1 || ended != 1 {
		t.Errorf("%d refused, %d ended\n%s", refused, ended, w.output)
	}
}
