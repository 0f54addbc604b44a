package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// procs starts programs and, as the first process of a pid namespace must, collects
// every process that ends in it. Safe for concurrent use.
type procs struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

// start runs a program with its output in a file, to which it adds.
func (p *procs) start(log string, argv ...string) (pid int, ended <-chan syscall.WaitStatus, err error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return 0, nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, nil, err
	}
	defer out.Close()
	p.mu.Lock() // until its end is waited for
	defer p.mu.Unlock()
	started, err := os.StartProcess(path, argv, &os.ProcAttr{Dir: "/", Env: os.Environ(), Files: []*os.File{nil, out, out}, Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		return 0, nil, err
	}
	pid = started.Pid // Release forgets it
	end := make(chan syscall.WaitStatus, 1)
	p.waiting[pid] = end
	return pid, end, started.Release()
}

// run waits for a program, which must end well.
func (p *procs) run(log string, argv ...string) error {
	_, ended, err := p.start(log, argv...)
	if err != nil {
		return err
	}
	if status := <-ended; status.ExitStatus() != 0 {
		return fmt.Errorf("%v: %s; see %s", argv, described(status), log)
	}
	return nil
}

// collect never returns.
func (p *procs) collect() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.ECHILD) {
			time.Sleep(10 * time.Millisecond) // nothing runs
			continue
		}
		if err != nil {
			continue
		}
		p.mu.Lock()
		if end := p.waiting[pid]; end != nil {
			end <- status
			delete(p.waiting, pid)
		}
		p.mu.Unlock()
	}
}

func described(s syscall.WaitStatus) string {
	if s.Signaled() {
		return "killed by " + s.Signal().String()
	}
	return fmt.Sprintf("ended with status %d", s.ExitStatus())
}

// component is a program that runs as long as the cluster does.
type component struct {
	name string
	argv []string
}

// keep runs a component for ever, except while a file in stop names it. Every end
// that was not asked for is told to ended.
func (s site) keep(p *procs, c component, ended chan<- error) {
	stopped := func() bool { return exists(s.path("stop", c.name)) }
	log, running := s.path("log", c.name+".log"), s.path("running", c.name)
	for ; ; time.Sleep(time.Second) {
		for stopped() {
			time.Sleep(20 * time.Millisecond)
		}
		pid, end, err := p.start(log, c.argv...)
		if err == nil {
			err = os.WriteFile(running, nil, 0o644)
		}
		if err != nil {
			ended <- fmt.Errorf("start %s: %w", c.name, err)
			continue
		}
		status := watch(pid, end, stopped)
		_ = os.Remove(running) // it was written just now
		if !stopped() {
			text, _ := os.ReadFile(log) // nothing is nothing to show
			ended <- fmt.Errorf("%s %s; its log ends:\n%s", c.name, described(status), lastLines(string(text), 15))
		}
	}
}

// watch returns when the process has ended, and kills it when it is to stop.
func watch(pid int, end <-chan syscall.WaitStatus, stopped func() bool) syscall.WaitStatus {
	for {
		select {
		case status := <-end:
			return status
		case <-time.After(20 * time.Millisecond):
			if stopped() {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended already
			}
		}
	}
}
