package agent

import (
	"context"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway"
)

// withoutDescriptors calls f while this process can open none.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// TestLackIsNotTheFunctions: a server that has no descriptor left ends nothing that is
// being served, and says that the request reached nobody.
func TestLackIsNotTheFunctions(t *testing.T) {
	for _, user := range []*syscall.Credential{nil, {Uid: uint32(os.Getuid())}} { // with a user of its own, and without
		i := start(t, sharedConfig(t, 2))
		i.config.Credential = user
		stays := startTalk(t, i, later())
		withoutDescriptors(t, func() {
			e := i.Exchange(context.Background(), streamed("/echo", strings.NewReader("x"), 1))
			if e.Delivered || e.InstanceGone || e.Cause != spillway.CauseConnect {
				t.Errorf("without descriptors: %+v", e)
			}
		})
		_, _ = io.WriteString(stays.say, "x")
		stays.heard(t, "X")
		if e := stays.ended(t); e.Cause != spillway.CauseNone || e.InstanceGone {
			t.Errorf("the other ended as %+v", e)
		}
	}
}

// TestPortsWithoutDescriptors wants the reason, not that no port is free.
func TestPortsWithoutDescriptors(t *testing.T) {
	withoutDescriptors(t, func() {
		port, err := ports.take()
		if err == nil {
			ports.give(port)
		}
		if !lacking(err) {
			t.Errorf("port %d, %v", port, err)
		}
	})
}
