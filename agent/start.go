package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

var errInitFailed = errors.New("the function reported that its initialisation failed; its log has the reason")

// Start forks the function and blocks until it asks for its first event. The
// error is a *pools.StartError, or wraps what this machine would not give
// (descriptors, a port) or that ctx was cancelled; nothing is left running after an
// error. A deadline of ctx is an init timeout.
func Start(ctx context.Context, c Config) (*Instance, error) {
	c = c.withDefaults()
	if len(c.Command) == 0 {
		return nil, &pools.StartError{Type: "Runtime.InvalidEntrypoint", Err: errors.New("no command")}
	}
	i := &Instance{config: c, exited: make(chan struct{}), quiet: make(chan struct{}), ready: make(chan struct{})}
	if err := i.launch(); err != nil {
		if c.Cage != nil {
			c.Cage.Empty()
		}
		return nil, err
	}
	if err := i.awaitReady(ctx); err != nil {
		return nil, err
	}
	return i, nil
}

// launch opens what the function is spoken to by, forks, and starts what follows
// the process.
func (i *Instance) launch() error {
	if i.config.Web {
		return i.launchWeb()
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("open a port for the Runtime API of %s: %w", i.config.Name, err)
	}
	if err := i.launchProcess(i.config.environment(listener.Addr().String())); err != nil {
		listener.Close()
		return err
	}
	i.server = &http.Server{
		Handler:           i,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    1<<20 + 64<<10, // an X-Ray cause may have 1 MiB
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	go func() { _ = i.server.Serve(newGate(listener, i.config.Credential)) }() // ends with Close
	i.follow()
	return nil
}

// launchProcess forks the function with its output going to its log.
func (i *Instance) launchProcess(env []string) error {
	out, writer, err := newOutput(i.config.Log)
	if err != nil {
		return fmt.Errorf("open a pipe for the log of %s: %w", i.config.Name, err)
	}
	defer writer.Close()
	began := time.Now()
	proc, err := fork(i.config, env, writer)
	if err != nil {
		out.pipe.Close()
		return &pools.StartError{Type: "Runtime.InvalidEntrypoint", Err: err}
	}
	i.cold.Start = time.Since(began)
	i.proc, i.out = proc, out
	return nil
}

// follow starts what runs beside the process until it has ended.
func (i *Instance) follow() {
	go i.out.follow()
	i.enterCage()
	go i.supervise()
}

// enterCage kills the process when it cannot be confined.
func (i *Instance) enterCage() {
	if i.config.Cage == nil {
		return
	}
	if err := i.config.Cage.Enter(i.proc.pid); err != nil {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.initErr = &pools.StartError{Type: "Runtime.ExitError", Err: fmt.Errorf("confine the process: %w", err)}
		i.killLocked()
	}
}

func (i *Instance) awaitReady(ctx context.Context) error {
	began := time.Now()
	timer := time.NewTimer(i.config.InitTimeout)
	defer timer.Stop()
	select {
	case <-i.ready:
		i.cold.Init = time.Since(began)
		return nil
	case <-i.exited:
		return i.initFailure()
	case <-timer.C:
		return i.tooLate(began)
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return i.tooLate(began)
		}
		i.Stop()
		return fmt.Errorf("start of %s abandoned: %w", i.config.Name, ctx.Err())
	}
}

// tooLate ends a start that took longer than the init timeout, or than ctx, with whose
// deadline a caller may enforce it.
func (i *Instance) tooLate(began time.Time) error {
	waited := time.Since(began).Round(time.Millisecond)
	i.Stop()
	return &pools.StartError{Type: "Runtime.InitTimeout", Err: fmt.Errorf("%s for %v; its init timeout is %v", i.notReady(), waited, i.config.InitTimeout)}
}

func (i *Instance) initFailure() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.initErr != nil:
		return i.initErr
	case i.exceeded:
		return &pools.StartError{Type: "Runtime.OutOfMemory", Err: fmt.Errorf("killed at %d MiB before it asked for work", i.config.MemoryMiB)}
	default:
		return &pools.StartError{Type: "Runtime.ExitError", Err: errors.New(exitText(i.proc.status))}
	}
}
