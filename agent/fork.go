package agent

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// forkThread is the one thread that forks functions. Pdeathsig follows the
// forking thread, not the process, so the thread outlives all of its children; it
// ends with the last of them.
type forkThread struct {
	mu   sync.Mutex
	refs int
	jobs chan func()
}

var forks forkThread

// run calls f on the fork thread. Every run that leaves a child must be paired
// with a release once that child is reaped.
func (t *forkThread) run(f func()) {
	t.mu.Lock()
	t.refs++
	if t.refs == 1 {
		t.jobs = make(chan func())
		go serveForks(t.jobs)
	}
	jobs := t.jobs
	t.mu.Unlock()
	done := make(chan struct{})
	jobs <- func() { f(); close(done) }
	<-done
}

func (t *forkThread) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refs--; t.refs == 0 {
		close(t.jobs)
	}
}

// serveForks never unlocks its thread: it has lost privileges and ends with it.
func serveForks(jobs <-chan func()) {
	runtime.LockOSThread()
	// Children inherit it: no setuid program gives a function back what it lost.
	_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	for job := range jobs {
		job()
	}
}

// process is a forked function: the leader of its own process group.
type process struct {
	pid    int
	pidfd  *os.File // readable when the leader has ended; nil on old kernels
	status syscall.WaitStatus
	cpu    time.Duration // used in all, without its children
}

// fork starts c.Command with output as stdout and stderr.
func fork(c Config, env []string, output *os.File) (*process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("open %s for a function's input: %w", os.DevNull, err)
	}
	defer null.Close()
	pidfd := -1
	attr := &syscall.ProcAttr{
		Dir:   c.TaskRoot,
		Env:   env,
		Files: []uintptr{null.Fd(), output.Fd(), output.Fd()},
		Sys: &syscall.SysProcAttr{
			Setsid:     true, // a group of its own, and no terminal of ours
			Pdeathsig:  syscall.SIGKILL,
			Credential: c.Credential,
			PidFD:      &pidfd,
		},
	}
	var pid int
	forks.run(func() {
		// Descriptors that we were started with, or that C code opened, too.
		_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
		pid, err = syscall.ForkExec(c.Command[0], c.Command, attr)
	})
	if err != nil {
		forks.release()
		return nil, fmt.Errorf("start %s: %w", c.Command[0], err)
	}
	p := &process{pid: pid}
	if pidfd >= 0 {
		_ = unix.SetNonblock(pidfd, true) // lets the runtime poll it instead of parking a thread
		p.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	return p, nil
}

// awaitExit blocks until the leader has ended and leaves it unreaped.
func (p *process) awaitExit() {
	if p.pidfd != nil {
		if conn, err := p.pidfd.SyscallConn(); err == nil {
			if conn.Read(func(uintptr) bool { return p.ended(unix.WNOHANG) }) == nil {
				return
			}
		}
	}
	p.ended(0)
}

func (p *process) ended(flags int) bool {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT|flags, nil)
		if !errors.Is(err, unix.EINTR) {
			return err != nil || info.Signo != 0
		}
	}
}

// reap kills what is left of the group, collects the leader, and returns when no
// member of the group is running. The unreaped leader keeps the group's number
// from being given to strangers until the signal is sent.
func (p *process) reap() {
	p.kill()
	p.cpu = cpuTime(p.pid) // rusage would have that of its children in it
	for {
		_, err := syscall.Wait4(p.pid, &p.status, 0, nil)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	forks.release()
	if p.pidfd != nil {
		p.pidfd.Close()
	}
	for pause := 50 * time.Microsecond; groupRunning(p.pid); pause = min(2*pause, 20*time.Millisecond) {
		time.Sleep(pause)
	}
}

// killedByUs reports, once it was reaped, that the process did not end by itself.
func (p *process) killedByUs() bool {
	return p.status.Signaled() && p.status.Signal() == syscall.SIGKILL
}

// kill signals the whole group; only while the leader is not reaped.
func (p *process) kill() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }
