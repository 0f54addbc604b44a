package e2e

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

const kills = 50

// TestKill kills the server at 50 random moments under load and then compares
// the ledger with what the functions and the cloud wrote down themselves: every
// execution is billed once, nothing else is, and spend and intents survive.
func TestKill(t *testing.T) {
	w := newWorld(t, 3, "1000", "")
	rng := rand.New(rand.NewPCG(2026, 11))
	answered := map[string]int{}
	for range kills {
		w.start()
		stop := make(chan struct{})
		replies := make(chan []reply, 1)
		go func() { replies <- w.load(8, stop) }()
		<-time.After(time.Duration(20+rng.IntN(180)) * time.Millisecond) // the moment is the test
		if err := w.end(syscall.SIGKILL); err == nil {
			t.Fatal("killed, but it ended well")
		}
		close(stop)
		for _, r := range <-replies {
			if r.err == nil && r.status == 200 {
				answered[r.invocation]++
			}
		}
	}
	w.start() // closes what the last process left behind
	w.awaitNoOpenIntents()
	if err := w.end(syscall.SIGTERM); err != nil {
		t.Fatalf("drain: %v\n%s", err, w.output)
	}
	w.compare(answered)
}

// awaitNoOpenIntents waits for the estimates of unknown attempts: they are posted
// when the provider must have ended the attempt.
func (w *world) awaitNoOpenIntents() {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		open := map[attempt]bool{}
		for _, l := range w.ledger() {
			if l.kind == "intent" {
				open[l.attempt] = true
			}
		}
		for _, l := range w.ledger() {
			if l.kind != "intent" {
				delete(open, l.attempt)
			}
		}
		if len(open) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%d intents are still open\n%s", len(open), w.output)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// compare holds the ledger against the executors.
func (w *world) compare(answered map[string]int) {
	t := w.t
	t.Helper()
	executed := w.executions()
	for a, n := range executed {
		if n != 1 {
			t.Errorf("%v ran %d times", a, n)
		}
	}
	onPrem := len(executed)
	for _, l := range w.cloud.Bill().Lines {
		executed[attempt{l.Invocation, l.Attempt}]++
	}
	billed := map[attempt]string{}
	counts := map[string]int{}
	var spent int64
	for _, l := range w.ledger() {
		counts[l.kind]++
		spent += l.settled
		if l.kind != "charge" && l.kind != "estimate" {
			continue
		}
		if before := billed[l.attempt]; before != "" {
			t.Errorf("%v billed as %s and as %s", l.attempt, before, l.kind)
		}
		billed[l.attempt] = l.kind
	}
	missing := 0
	for a := range executed {
		if billed[a] == "" {
			missing++
			t.Errorf("%v ran and was not billed", a)
		}
	}
	phantom := 0
	for a, kind := range billed {
		// An estimate stands for what may have run: it may be more than what did.
		if executed[a] == 0 && kind == "charge" {
			phantom++
			t.Errorf("%v was billed as a charge and did not run", a)
		}
	}
	lost := 0
	for id := range answered {
		if billed[attempt{id, 1}] == "" && billed[attempt{id, 2}] == "" {
			lost++
			t.Errorf("%s was answered and is not in the ledger", id)
		}
	}
	t.Logf("%d answered, %d executed (%d on-prem), lines %v, missing %d, phantom %d, lost %d, spent %d nano",
		len(answered), len(executed), onPrem, counts, missing, phantom, lost, spent)
	if onPrem == 0 || counts["intent"] == 0 || counts["estimate"] == 0 {
		t.Errorf("the load did not meet every case: %v, %d on-prem", counts, onPrem)
	}
}
