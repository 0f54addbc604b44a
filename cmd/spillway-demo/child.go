package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	stopWithin = 30 * time.Second // for a child to end after SIGTERM
	tailLines  = 12               // of a child's log in an error
)

// child is a program that the demo started. Its output goes to a file.
type child struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	err     error         // valid then
}

// startChild starts a program in a process group of its own, so that Ctrl-C
// reaches it only as the SIGTERM that stop sends.
func startChild(name, logPath, program string, args ...string) (*child, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	c := &child{name: name, logPath: logPath, cmd: exec.Command(program, args...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// await polls ready until it says yes. A child that ends first, or is not ready in
// time, is an error with the end of its log.
func (c *child) await(ctx context.Context, within time.Duration, ready func() bool) error {
	late := time.NewTimer(within)
	defer late.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !ready() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.done:
			return c.fault("ended before it was ready (%v)", c.err)
		case <-late.C:
			return c.fault("is not ready after %s", within)
		case <-poll.C:
		}
	}
	return nil
}

// fault is an error of the child with the end of its log.
func (c *child) fault(format string, args ...any) error {
	return fmt.Errorf("%s %s; the end of its log %s:\n%s", c.name, fmt.Sprintf(format, args...), c.logPath, c.tail())
}

func (c *child) tail() string {
	text, err := os.ReadFile(c.logPath)
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	lines := strings.Split(string(bytes.TrimRight(text, "\n")), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-tailLines):], "\n  ")
}

// stop ends the child in order, and at once if it does not. It returns why the
// child did not end well.
func (c *child) stop() error {
	select {
	case <-c.done:
		return c.fault("ended by itself (%v)", c.err)
	default:
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	late := time.NewTimer(stopWithin)
	defer late.Stop()
	select {
	case <-c.done:
	case <-late.C:
		c.kill()
		return c.fault("did not end within %s of SIGTERM and was killed", stopWithin)
	}
	if c.err != nil {
		return c.fault("did not end well: %v", c.err)
	}
	return nil
}

// kill ends the child at once and waits for it.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended by itself
	<-c.done
}
