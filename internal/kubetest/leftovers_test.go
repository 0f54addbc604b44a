package kubetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// machine lists what clusters might leave on this machine outside of their own
// directories. It is looked at without the help of what is being tested.
func machine(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, dir := range []string{"/run/netns", "/run/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/lib/containerd", "/var/log/pods", "/var/log/containers", "/sys/class/net"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			all = append(all, "no "+dir)
		}
		for _, e := range entries {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	for _, name := range []string{"vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"} {
		all = append(all, name+" "+string(must[[]byte](t)(os.ReadFile("/proc/sys/"+name))))
	}
	return all
}

func same(t *testing.T, before []string) {
	t.Helper()
	if after := machine(t); !slices.Equal(before, after) {
		t.Errorf("the machine was changed:\nbefore %q\nafter  %q", before, after)
	}
}

// inNamespace lists the processes of another's pid namespace, each with its start.
func inNamespace(t *testing.T, leader int) []string {
	t.Helper()
	of := must[string](t)(os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", leader)))
	var members []string
	for _, dir := range must[[]string](t)(filepath.Glob("/proc/[0-9]*")) {
		if ns, err := os.Readlink(dir + "/ns/pid"); err == nil && ns == of {
			if since := began(dir); since != "" { // it may have ended meanwhile
				members = append(members, dir+" "+since)
			}
		}
	}
	// Containers have pid namespaces of their own, children of this one.
	return members
}

// began is when a process began; nothing if it is no more, or only waits to be collected.
func began(dir string) string {
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// gone checks that nothing of a cluster is left.
func gone(t *testing.T, c *Cluster, before, members []string) {
	t.Helper()
	for _, m := range members {
		dir, since, _ := strings.Cut(m, " ")
		if began(dir) == since {
			t.Errorf("process %s is left", dir)
		}
	}
	mounts := must[[]byte](t)(os.ReadFile("/proc/self/mountinfo"))
	if strings.Contains(string(mounts), c.scratch) {
		t.Errorf("mounts are left:\n%s", mounts)
	}
	if _, err := os.Stat(c.scratch); err == nil {
		t.Errorf("%s is left", c.scratch)
	}
	same(t, before)
}

// cgroups lists the cgroups of the cluster in a directory; others of the machine come and go.
func cgroups(t *testing.T, dir string) []string {
	t.Helper()
	name := fmt.Sprintf("spillway-%x", sha256.Sum256([]byte(dir)))[:len("spillway-")+10]
	var found []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == name {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// detached runs the command of test/cluster as make does.
type detached struct {
	t            *testing.T
	command, dir string
}

func newDetached(t *testing.T) *detached {
	t.Helper()
	Assets(t)
	d := &detached{t: t, dir: filepath.Join(t.TempDir(), "c")}
	d.command = must[string](t)(build(t.Context(), t.TempDir()))
	t.Cleanup(func() { exec.Command(d.command, "down", "-dir", d.dir).Run() }) // when the test has failed
	return d
}

func (d *detached) run(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(d.t.Context(), d.command, append([]string{name, "-dir", d.dir}, args...)...)
	cmd.Dir = must[string](d.t)(source(d.t.Context()))
	return output(cmd)
}

func (d *detached) leader() int {
	var pid int
	text := must[[]byte](d.t)(os.ReadFile(filepath.Join(d.dir, "process")))
	must[int](d.t)(fmt.Sscan(string(text), &pid))
	return pid
}

// TestUpDownTwice also asks for what is refused: two of one directory, and commands
// for one that is down.
func TestUpDownTwice(t *testing.T) {
	d := newDetached(t)
	before := machine(t)
	for range 2 {
		must[string](t)(d.run("up"))
		if _, err := d.run("up"); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("a second cluster in one directory: %v", err)
		}
		if got := must[string](t)(d.run("kubectl", "get", "nodes", "-o", "name")); got != "node/"+Node+"\n" {
			t.Errorf("nodes %q", got)
		}
		members := inNamespace(t, d.leader())
		must[string](t)(d.run("down"))
		gone(t, &Cluster{scratch: d.dir}, before, members)
		if _, err := d.run("kubectl", "get", "nodes"); err == nil || !strings.Contains(err.Error(), "cluster-up") {
			t.Errorf("a command for a cluster that is down: %v", err)
		}
	}
	must[string](t)(d.run("down"))
}

// TestKilled kills the first process with a pod running: down has the rest to do, and
// another cluster takes no notice.
func TestKilled(t *testing.T) {
	other := Up(t)
	d := newDetached(t)
	before := machine(t)
	must[string](t)(d.run("up"))
	if len(cgroups(t, d.dir)) == 0 {
		t.Error("a cluster has no cgroups, so this test sees nothing")
	}
	must[string](t)(d.run("image", image, app(t)))
	must[string](t)(d.run("kubectl", "run", "server", "--image", image, "--", "serve"))
	must[string](t)(d.run("kubectl", "wait", "--for=condition=Ready", "--timeout=300s", "pod/server"))
	members := inNamespace(t, d.leader())
	if err := syscall.Kill(d.leader(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	must[string](t)(d.run("down"))
	gone(t, &Cluster{scratch: d.dir}, before, members)
	for _, g := range cgroups(t, d.dir) {
		t.Errorf("cgroup %s is left", g)
	}
	must[string](t)(other.Kubectl(t.Context(), "get", "--raw", "/readyz"))
}

// TestOrphaned kills the command that holds an attached cluster: its processes go
// with it, and down removes the rest.
func TestOrphaned(t *testing.T) {
	c := Up(t)
	members := inNamespace(t, c.pid)
	before := machine(t)
	leader := fmt.Sprintf("/proc/%d", c.pid)
	since := began(leader)
	c.run.Process.Kill()
	eventually(t, func() error {
		if began(leader) == since {
			return fmt.Errorf("%s lives", leader)
		}
		return nil
	})
	must[string](t)(c.call(t.Context(), "down"))
	if err := c.Down(); err == nil {
		t.Error("a killed command is no error")
	}
	gone(t, c, before, members)
	c.down = func() error { return nil } // the error was the one that was asked for
}
