package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestFullDisk fills the ledger's disk under the server: calls are refused before
// they run, nothing that ran is unbilled, and work resumes when there is room.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small disk in a mount namespace of its own")
	}
	w := newWorld(t, 3, "1000", "")
	must(t, os.MkdirAll(w.data, 0o755))
	w.startOnSmallDisk(24)
	disk := filepath.Join("/proc", fmt.Sprint(w.server.Process.Pid), "root", w.data)

	answered := map[string]int{}
	for range 50 {
		if r := w.call("echo", `{}`); r.status != 200 {
			t.Fatalf("before: %d %s", r.status, r.body)
		} else {
			answered[r.invocation]++
		}
	}
	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	refused := 0
	for range 40_000 {
		r := w.call("echo", `{}`)
		must(t, r.err)
		if r.status == 503 {
			if refused++; refused == 20 {
				break
			}
		} else if r.status == 200 {
			answered[r.invocation]++
			refused = 0
			fill(t, ballast)
		} else {
			t.Fatalf("on a full disk: %d %s", r.status, r.body)
		}
	}
	if refused < 20 {
		t.Errorf("calls are still taken on a full disk")
	}
	must(t, os.Remove(ballast))
	resumed := false
	for deadline := time.Now().Add(20 * time.Second); !resumed && time.Now().Before(deadline); {
		r := w.call("echo", `{}`)
		if resumed = r.status == 200; resumed {
			answered[r.invocation]++
		}
	}
	if !resumed {
		t.Errorf("no call is taken after room came back\n%s", w.output)
	}
	if err := w.end(syscall.SIGTERM); err != nil {
		t.Fatalf("drain: %v\n%s", err, w.output)
	}
	billed := map[attempt]bool{}
	for _, l := range w.ledger() {
		if l.kind == "charge" || l.kind == "estimate" {
			billed[l.attempt] = true
		}
	}
	for a := range w.executions() {
		if !billed[a] {
			t.Errorf("%v ran and was not billed", a)
		}
	}
	for id := range answered {
		if !billed[attempt{id, 1}] {
			t.Errorf("%s was answered and not billed", id)
		}
	}
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		block := bytes.Repeat([]byte("x"), size)
		for err = nil; err == nil; {
			_, err = f.Write(block)
		}
	}
}

// startOnSmallDisk runs the server with a tmpfs of some MiB as its data
// directory, in a mount namespace that ends with it. When it ends well, a copy of
// the ledger is left where the tmpfs was mounted.
func (w *world) startOnSmallDisk(mib int) {
	w.t.Helper()
	script := fmt.Sprintf(`mount -t tmpfs -o size=%dm,mode=0755 tmpfs %[2]s || exit 1
%[3]s up --config %[4]s --log-format json & child=$!
trap 'kill -TERM $child' TERM
while kill -0 $child 2>/dev/null; do wait $child; status=$?; done
mkdir -p %[5]s && cp %[2]s/*.db* %[5]s/ || exit 1
exit $status`, mib, w.data, built.spillway, w.dir, w.data+".kept")
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
	w.run(cmd)
	w.kept = w.data + ".kept"
}
