package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

const (
	readyWithin = time.Minute
	stopWithin  = 30 * time.Second
)

// child is a program that runs, in a process group of its own.
type child struct {
	cmd  *exec.Cmd
	log  string
	done chan error // one value, when it has ended
}

// world is the programs of one load: Spillway first, then the clouds that it needs.
type world struct {
	children     []*child
	front, admin string
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

func (s *stage) start(ctx context.Context) (*world, error) {
	w := &world{}
	if err := s.startAll(ctx, w); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

// startAll configures twice: a stand-in reads a file too, and Spillway's names the
// addresses that the stand-ins got.
func (s *stage) startAll(ctx context.Context, w *world) (err error) {
	if err = s.configure(); err != nil {
		return err
	}
	if s.lambda.Endpoint, err = s.startCloud(ctx, w, "lambda"); err != nil {
		return err
	}
	if s.scf.Endpoint, err = s.startCloud(ctx, w, "scf"); err != nil {
		return err
	}
	if err = s.configure(); err != nil {
		return err
	}
	_, err = s.run(ctx, w, "up", func(string) bool {
		text, err := os.ReadFile(s.path("data/server.json"))
		var at struct{ Front, Admin string }
		if err != nil || json.Unmarshal(text, &at) != nil {
			return false
		}
		w.front, w.admin = at.Front, at.Admin
		return answers(ctx, w.admin+"/readyz")
	}, "up", "--config", s.path("conf"), "--data", s.data)
	return err
}

func (s *stage) startCloud(ctx context.Context, w *world, name string) (endpoint string, err error) {
	c, err := s.run(ctx, w, name, func(log string) bool {
		found := address.FindAllString(log, 2)
		return len(found) == 2 && answers(ctx, found[1]+"/state")
	}, "cloud", "--config", s.path(name+".yaml"))
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(c.log)
	return address.FindString(string(text)), err
}

// run starts the program on ports of its own and waits until it is ready.
func (s *stage) run(ctx context.Context, w *world, name string, ready func(log string) bool, args ...string) (*child, error) {
	c := &child{log: s.path(name + ".log"), done: make(chan error, 1)}
	out, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c.cmd = exec.Command(filepath.Join(s.programs, "spillway"), append(args, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")...)
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start spillway (make build functions makes it): %w", err)
	}
	go func() { c.done <- c.cmd.Wait() }()
	w.children = append([]*child{c}, w.children...)
	late := time.After(readyWithin)
	for {
		text, err := os.ReadFile(c.log)
		if err == nil && ready(string(text)) {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case err := <-c.done:
			c.done <- err
			return nil, fmt.Errorf("spillway (%s) ended before it was ready: %w\n%s", name, err, text)
		case <-late:
			return nil, fmt.Errorf("spillway (%s) is not ready after %s\n%s", name, readyWithin, text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends all programs in order, and by force what does not end.
func (w *world) stop() error {
	var all error
	for _, c := range w.children {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		select {
		case err := <-c.done:
			if err != nil {
				text, _ := os.ReadFile(c.log) // more than the error says, if it is there
				all = errors.Join(all, fmt.Errorf("%s: %w\n%s", c.cmd, err, text))
			}
		case <-time.After(stopWithin):
			all = errors.Join(all, fmt.Errorf("%s did not end within %s", c.cmd, stopWithin), c.cmd.Process.Kill(), <-c.done)
		}
	}
	w.children = nil
	return all
}

// client asks programs on this machine that this one started.
var client = &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}

func answers(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
