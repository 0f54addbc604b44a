package process

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestEscapedProcesses starts a function that leaves a daemon behind: another
// parent, group and session. It is gone before the user is used again.
func TestEscapedProcesses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("instances have users of their own only where the server is root")
	}
	dir := t.TempDir()
	probe, err := os.ReadFile(filepath.Join(probePackage, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\n(setsid sleep 300 >/dev/null 2>&1 </dev/null &)\nexec \"$LAMBDA_TASK_ROOT/probe\"\n"
	for name, text := range map[string][]byte{"probe": probe, "bootstrap": []byte(script)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, without := range []bool{false, true} {
		p := open(t, Config{WithoutCgroup: without})
		f := functionOf(t, dir)
		id := startOn(t, p, f)
		uid := p.instances[id].uid
		if owned(uid) < 2 {
			t.Fatalf("user %d has %d processes: the daemon did not start", uid, owned(uid))
		}
		p.StopInstance(t.Context(), id)
		if n := owned(uid); n != 0 {
			t.Errorf("cgroup %v: %d processes outlived their instance", !without, n)
		}
	}
}

func owned(uid int) (n int) {
	_ = everyPid(func(pid int) {
		if s, err := readStat(pid); err == nil && !s.ended() && realUser(pid) == uid {
			n++
		}
	})
	return n
}

// TestUsersAreNotShared: two pools of one server never give out the same user.
func TestUsersAreNotShared(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("instances have users of their own only where the server is root")
	}
	seen := map[int]bool{}
	for range 2 {
		p := open(t, Config{})
		f := functionOf(t, probePackage)
		for range 3 {
			id := startOn(t, p, f)
			if uid := p.instances[id].uid; seen[uid] || !ofFunction(uid) {
				t.Errorf("user %d is given out twice", uid)
			} else {
				seen[uid] = true
			}
		}
	}
}

// TestNoTerminal: an instance leads a session of its own, so that it has no way to
// the server's terminal.
func TestNoTerminal(t *testing.T) {
	p := open(t, Config{})
	id := startOn(t, p, functionOf(t, probePackage))
	pid := p.instances[id].agent.Pid()
	s, err := readStat(pid)
	if err != nil || s.session != pid || s.group != pid {
		t.Errorf("instance %s: session %d, group %d, %v", strconv.Itoa(pid), s.session, s.group, err)
	}
}
