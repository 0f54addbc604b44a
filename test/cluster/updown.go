package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds the start of a cluster, which takes seconds on an idle machine.
const patience = 5 * time.Minute

// environment marks every process of a cluster outside of its containers.
const environment = "SPILLWAY_CLUSTER="

func (c *invocation) up() error {
	if err := preflight(); err != nil {
		return err
	}
	r, err := chosen()
	if err != nil {
		return err
	}
	if err := errors.Join(visible(r.assets()), r.ensure(false)); err != nil {
		return err
	}
	if _, err := c.site.running(); err == nil {
		return fmt.Errorf("a cluster runs from %s already; take it down first (make cluster-down)", c.site.dir)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ended, err := c.site.begin(r.binary(), *c.attach)
	if err == nil {
		err = c.site.await(ended, signals)
	}
	if err != nil {
		return errors.Join(err, c.site.end())
	}
	times, err := os.ReadFile(c.site.path("times"))
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%skubeconfig %s\n", times, c.site.kubeconfig("admin"))
	if *c.attach {
		return c.stay(ended, signals)
	}
	return nil
}

// begin starts the first process of a cluster in namespaces of its own. The kernel
// kills everything in them when that process ends.
func (s site) begin(kubebox string, attached bool) (ended <-chan error, err error) {
	if err := s.end(); err != nil { // what a killed one left
		return nil, err
	}
	if err := errors.Join(s.claim(), s.makeCgroups()); err != nil {
		return nil, err
	}
	cmd, err := s.first(kubebox)
	if err != nil {
		return nil, err
	}
	if attached {
		runtime.LockOSThread() // the signal comes when the thread ends
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	goAhead, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("new namespaces: %w", err)
	}
	result := make(chan error, 1)
	go func() { result <- cmd.Wait() }()
	// It does nothing before it is known which process it is.
	if err := s.record(cmd.Process.Pid); err != nil {
		return result, errors.Join(err, cmd.Process.Kill())
	}
	return result, goAhead.Close()
}

func (s site) first(kubebox string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(s.path("log", "pid1.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "pid1", "-dir", s.dir, "-kubebox", kubebox)
	cmd.Env = append(os.Environ(), environment+s.name())
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	return cmd, nil
}

// await returns when the node is ready, or with what the first process said last.
func (s site) await(ended <-chan error, signals <-chan os.Signal) error {
	limit := time.After(patience)
	for !exists(s.path("times")) {
		select {
		case err := <-ended:
			return s.failed(err)
		case <-limit:
			return s.failed(fmt.Errorf("not ready after %s", patience))
		case got := <-signals:
			return fmt.Errorf("the start was given up: %s", got)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (s site) failed(err error) error {
	text, _ := os.ReadFile(s.path("log", "pid1.log")) // nothing is nothing to show
	return fmt.Errorf("the cluster did not start: %w\n%s", err, lastLines(string(text), 40))
}

// stay keeps the cluster until standard input ends, a signal comes, or it ends by itself.
func (c *invocation) stay(ended <-chan error, signals <-chan os.Signal) error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that counts
	}()
	select {
	case <-closed:
	case <-signals:
	case err := <-ended:
		return errors.Join(fmt.Errorf("the cluster ended by itself: %w", err), c.site.end())
	}
	return c.site.end()
}

func (c *invocation) down() error { return c.site.end() }

// end kills a cluster, if it runs, removes what it had, and names what is left. There
// may be none: then nothing happens.
func (s site) end() error {
	if p, ok := s.recorded(); ok && p.alive() {
		if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill the cluster's first process %d: %w", p.pid, err)
		}
		within(30*time.Second, func() bool { return !p.alive() })
	}
	s.removeCgroups()
	if exists(s.path(marker)) {
		if err := os.RemoveAll(s.dir); err != nil {
			return fmt.Errorf("remove the cluster's files: %w", err)
		}
	}
	if left := s.leftovers(); len(left) > 0 {
		return fmt.Errorf("left of the cluster in %s:\n  %s", s.dir, strings.Join(left, "\n  "))
	}
	return nil
}

// leftovers names processes, cgroups and mounts of a cluster that should be down.
func (s site) leftovers() []string {
	var left []string
	for _, path := range s.cgroups() {
		left = append(left, "cgroup "+path)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		left = append(left, "unknown mounts: "+err.Error())
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, s.dir+"/") {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	return append(left, s.processes()...)
}

func (s site) processes() []string {
	var left []string
	found, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is well formed
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains("\x00"+string(text), "\x00"+environment+s.name()+"\x00") {
			continue // it has ended, or is not of the cluster
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))) // by the pattern
		if pid != os.Getpid() {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			left = append(left, fmt.Sprintf("process %d %s", pid, strings.ReplaceAll(string(command), "\x00", " ")))
		}
	}
	return left
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
