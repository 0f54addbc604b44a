package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/journal"
)

// kills is how many times the writer is killed.
const kills = 50

// TestKill starts a process that writes to a ledger and says on its output what
// was acknowledged, kills it at a random line of that output, starts it again, and
// in the end looks for every acknowledged record.
func TestKill(t *testing.T) {
	random := rand.New(rand.NewPCG(2026, 11))
	const runs = 10 // with one ledger
	for first := 0; first < kills; first += runs {
		dir := t.TempDir()
		acked := map[string]bool{} // "begin id", "post id", "intent id"
		for run := first; run < first+runs && !t.Failed(); run++ {
			killAfter(t, dir, run, 1+random.IntN(80), acked)
		}
		checkAcknowledged(t, dir, acked)
	}
}

func checkAcknowledged(t *testing.T, dir string, acked map[string]bool) {
	t.Helper()
	l := open(t, dir, quick)
	got := all(t, l)
	for ack := range acked {
		what, id, _ := strings.Cut(ack, " ")
		_, intended := got[id+"/1/intent"]
		_, charged := got[id+"/1/charge"]
		_, estimated := got[id+"/1/estimate"]
		switch {
		case what == "begin" && charged == estimated: // it ended, or is estimated
			t.Errorf("begun %s: charge %v, estimate %v", id, charged, estimated)
		case what == "intent" && !intended:
			t.Errorf("intent %s is lost", id)
		case what == "post" && !charged:
			t.Errorf("posted %s is lost", id)
		}
	}
	for key, e := range got { // the child says that it began before it posts
		if e.Kind == billing.KindCharge && !acked["begin "+e.Invocation] && !acked["intent "+e.Invocation] {
			t.Errorf("%s was billed and never begun", key)
		}
	}
	if len(acked) == 0 || l.Stats().Conflicts != 0 {
		t.Errorf("%d acknowledged, %d conflicts", len(acked), l.Stats().Conflicts)
	}
	t.Logf("%d acknowledged records, %d lines", len(acked), len(got))
}

func killAfter(t *testing.T, dir string, run, lines int, acked map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SPILLWAY_LEDGER_CHILD=write", "SPILLWAY_LEDGER_DIR="+dir, fmt.Sprint("SPILLWAY_LEDGER_RUN=", run))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err, cmd.Start())
	// A small pipe keeps the writer from running far ahead of the kill.
	if _, err := unix.FcntlInt(out.(*os.File).Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Log(err)
	}
	scanner := bufio.NewScanner(out)
	n := 0
	for scanner.Scan() {
		acked[scanner.Text()] = true
		if n++; n == lines {
			must(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); n < lines {
		t.Errorf("run %d ended by itself after %d lines: %v", run, n, err)
	}
}

// child is the other process of a test.
func child(mode string) int {
	var err error
	switch mode {
	case "write":
		err = writeUntilKilled(os.Getenv("SPILLWAY_LEDGER_DIR"), os.Getenv("SPILLWAY_LEDGER_RUN"), os.Stdout)
	case "full":
		err = fillDisk(os.Getenv("SPILLWAY_LEDGER_DIR"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// writeUntilKilled writes from several goroutines; each line of out says what
// Begin, Post or Intent had returned for.
func writeUntilKilled(dir, run string, out io.Writer) error {
	l, err := Open(dir, Options{FlushEvery: time.Millisecond, Journal: journal.Options{SegmentBytes: 256 << 10, SyncEvery: time.Millisecond}})
	if err != nil {
		return err
	}
	failed := make(chan error, 4)
	var mu sync.Mutex
	say := func(what, id string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(out, what, id)
	}
	for w := range cap(failed) {
		go func() {
			for i := 0; ; i++ {
				if err := oneCall(l, fmt.Sprintf("r%s-%d-%d", run, w, i), w%2 == 0, say); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

func oneCall(l *Ledger, id string, onPrem bool, say func(what, id string)) error {
	if err := l.Reserve(); err != nil {
		return err
	}
	defer l.Release()
	e := entry(id, 1)
	if onPrem {
		if err := l.Begin(e); err != nil {
			return err
		}
		say("begin", id)
	} else {
		e = cloud(id, 1)
		if err := l.Intent(context.Background(), e); err != nil {
			return err
		}
		say("intent", id)
	}
	if err := e.Charge(5); err != nil {
		return err
	}
	if err := l.Post(e); err != nil {
		return err
	}
	say("post", id)
	return nil
}

// TestFullDisk runs in a process of its own with a small filesystem that only it
// sees, which is gone when it ends.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small filesystem needs root")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SPILLWAY_LEDGER_CHILD=full", "SPILLWAY_LEDGER_DIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) || strings.Contains(string(out), errNoMount.Error()) {
		t.Skip("no mount namespaces here: ", err, string(out))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

var errNoMount = errors.New("mounting a tmpfs is not permitted")

func fillDisk(dir string) error {
	signal.Ignore(unix.SIGXFSZ)
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("tmpfs", dir, "tmpfs", 0, "size=3m")); err != nil {
		return fmt.Errorf("%w: %w", errNoMount, err)
	}
	l, err := Open(dir, Options{FlushEvery: time.Nanosecond, Journal: journal.Options{SegmentBytes: 256 << 10}})
	if err != nil {
		return err
	}
	posted, err := fullDiskScript(l, dir)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.Flush(ctx); err != nil {
		return fmt.Errorf("after space returned: %w", err)
	}
	lines := 0
	for _, id := range posted {
		found, _, err := l.Lookup(ctx, id)
		if err != nil || len(found) == 0 {
			return fmt.Errorf("%s is not in the ledger: %w", id, err)
		}
		lines += len(found)
	}
	if c, err := l.store.Count(ctx); err != nil || c.Conflicts != 0 || c.Lines < int64(lines) {
		return fmt.Errorf("counts %+v: %w", c, err)
	}
	for _, err := range []error{l.Health(), l.Reserve(), l.Intent(ctx, cloud("again", 1))} {
		if err != nil {
			return fmt.Errorf("not well after space returned: %w", err)
		}
	}
	return l.Close()
}

// fullDiskScript fills the disk, checks what must fail and what must not, makes
// space again, and returns the invocations whose lines must be there.
func fullDiskScript(l *Ledger, dir string) (posted []string, err error) {
	var begun []*billing.Entry
	for i := range 20 {
		e := entry(fmt.Sprint("held", i), 1)
		if err := errors.Join(l.Reserve(), l.Begin(e)); err != nil {
			return nil, err
		}
		begun = append(begun, e)
	}
	ballast := dir + "/ballast"
	if err := fillFile(ballast); err != nil {
		return nil, err
	}
	for l.Reserve() == nil { // what the journal has allocated
	}
	if err := l.Reserve(); !errors.Is(err, ErrFull) {
		return nil, fmt.Errorf("reserving on a full disk: %w", err)
	}
	var failed error
	for i := 0; failed == nil && i < 5000; i++ { // until the pages that SQLite has are used
		failed = l.Intent(context.Background(), cloud(fmt.Sprint("cloud", i), 1))
		if failed == nil {
			posted = append(posted, fmt.Sprint("cloud", i))
		}
	}
	if !errors.Is(failed, ErrFull) {
		return nil, fmt.Errorf("%d intents on a full disk, then: %w", len(posted), failed)
	}
	if l.Health() == nil {
		return nil, errors.New("healthy on a full disk")
	}
	for _, e := range begun {
		if err := errors.Join(e.Charge(3), l.Post(e)); err != nil {
			return nil, fmt.Errorf("a reserved line on a full disk: %w", err)
		}
		posted = append(posted, e.Invocation)
	}
	return posted, os.Remove(ballast)
}

func fillFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for _, size := range []int{64 << 10, 4 << 10} {
		block := make([]byte, size)
		for err = nil; err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, unix.ENOSPC) {
			return err
		}
	}
	return f.Close()
}
