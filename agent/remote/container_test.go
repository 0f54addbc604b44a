package remote_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
)

// contained launches an agent as a container does: the first process of a pid namespace
// of its own, an ordinary user without privileges.
func contained(t *testing.T) *remote.Client {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a pid namespace here")
	}
	ca, config := authority(t)
	dir := openDir(t)
	command := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups", "--no-new-privs", "--bounding-set=-all",
		agentProgram, "serve", "--listen", "127.0.0.1:0", "--dir", filepath.Join(dir, "work"))
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p, err := launchWith(command, ca, dir)
	if err != nil && strings.Contains(err.Error(), "Operation not permitted") {
		t.Skipf("no pid namespace can be had: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	c := remote.Dial(p.addr, config)
	t.Cleanup(c.Close)
	return c
}

const nobody = "65534"

// openDir is a directory that every user can write.
func openDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "remote-open")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestContainerRunsFunctions(t *testing.T) {
	ctx := context.Background()
	c := contained(t)
	f := functionOf(t, agentProbe)
	if _, err := start(ctx, c, f); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if r := c.Invoke(ctx, request(f, `{}`)); string(r.Payload) != `"done"` || r.Outcome.Usage.CPUMicros <= 0 || r.Outcome.Usage.MaxMemoryMiB == 0 {
			t.Errorf("%+v %s", r.Outcome, r.Payload)
		}
	}
	if r := c.Invoke(ctx, request(f, `{"do":"id"}`)); string(r.Payload) != `{"gid":65534,"uid":65534}` {
		t.Errorf("%s", r.Payload)
	}
	w := webFunction(t)
	c = contained(t)
	if _, err := start(ctx, c, w); err != nil {
		t.Fatal(err)
	}
	whole(t, c.Invoke(ctx, post(w, "/echo", "text")), 200, "text")
}

// A function that takes too much memory is ended before its container is, and that is told.
func TestContainerMemory(t *testing.T) {
	c := contained(t)
	f := functionOf(t, agentProbe)
	f.Instance.MiB = 96
	if _, err := start(context.Background(), c, f); err != nil {
		t.Fatal(err)
	}
	if r := c.Invoke(context.Background(), request(f, `{"do":"eat","mib":24}`)); r.Outcome.FunctionError != "" || r.Outcome.Usage.MaxMemoryMiB < 24 {
		t.Errorf("within the limit: %+v %s", r.Outcome, r.Payload)
	}
	r := c.Invoke(context.Background(), request(f, `{"do":"eat","mib":300}`))
	if r.Outcome.Class != spillway.Executed || r.Outcome.Cause != spillway.CauseOutOfMemory || !r.InstanceGone {
		t.Errorf("over the limit: %+v %s", r.Outcome, r.Payload)
	}
	if h, err := c.Health(context.Background()); err != nil || h.State != remote.StateEnded {
		t.Errorf("the agent: %+v %v", h, err)
	}
}

// A child in a session of its own is outside the process group, not outside the container.
func TestNothingIsLeftInTheContainer(t *testing.T) {
	c := contained(t)
	f := functionOf(t, agentProbe)
	f.Timeout = 5 * time.Second
	if _, err := start(context.Background(), c, f); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(openDir(t), "pid")
	r := c.Invoke(context.Background(), request(f, `{"do":"child","text":"setsid","file":"`+file+`"}`))
	if r.Outcome.Cause != spillway.CauseTimeout || !r.InstanceGone {
		t.Fatalf("%+v %s", r.Outcome, r.Payload)
	}
	// The pids of a namespace mean nothing here: the sleeper is looked for by what it runs.
	mark, err := os.ReadFile(file)
	if err != nil || len(mark) == 0 {
		t.Fatalf("the child was not started: %v", err)
	}
	if left := sleepersOf(string(mark)); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

// sleepersOf finds processes that are pid in a pid namespace that is not ours.
func sleepersOf(pid string) (found []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		own, _ := os.Readlink("/proc/self/ns/pid")
		other, err := os.Readlink(filepath.Join(filepath.Dir(path), "ns", "pid"))
		if err != nil || own == other {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
				if fields := strings.Fields(numbers); len(fields) > 1 && fields[len(fields)-1] == pid &&
					strings.Contains(string(text), "Name:\tsleep\n") && strings.Contains(string(text), "Uid:\t"+nobody+"\t") {
					found = append(found, path)
				}
			}
		}
	}
	return found
}
