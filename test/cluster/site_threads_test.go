package main

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
)

const firstThreadEnds = "SPILLWAY_TEST_FIRST_THREAD_ENDS"

func init() {
	if os.Getenv(firstThreadEnds) == "" {
		return
	}
	runtime.LockOSThread() // init runs on the process's first thread
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test has looked
		os.Exit(0)
	}()
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0) // of this thread alone
}

// TestFirstThreadEnds: a process of which only the first thread has ended is alive. The
// kernel shows it as a zombie; the last thread of a namespace's first process ends what
// is left in the namespace.
func TestFirstThreadEnds(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), firstThreadEnds+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if !within(patience, func() bool { return state(t, pid) == 'Z' }) {
		t.Fatal("the first thread did not end")
	}
	if _, err := started(pid); err != nil {
		t.Errorf("it counts as gone while threads run: %v", err)
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if !within(patience, func() bool { _, err := started(pid); return err != nil }) {
		t.Error("it counts as alive, and waits to be collected only")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// state is the letter by which the kernel names the state of a process's first thread.
func state(t *testing.T, pid int) byte {
	t.Helper()
	text, err := os.ReadFile(procStat(pid))
	if err != nil {
		t.Fatal(err)
	}
	return afterName(text)[0][0]
}
