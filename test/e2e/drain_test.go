package e2e

import (
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
