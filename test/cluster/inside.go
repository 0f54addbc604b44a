package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// inside is a command with the cluster's network, processes and mounts.
func (p process) inside(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", strconv.Itoa(p.pid), "--mount", "--net", "--pid", "--"}, args...)...)
}

// replace becomes a program in the cluster's network, which sees the files of this machine.
func (p process) replace(args ...string) error {
	path, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	argv := append([]string{"nsenter", "--target", strconv.Itoa(p.pid), "--net", "--"}, args...)
	return fmt.Errorf("run nsenter: %w", syscall.Exec(path, argv, os.Environ()))
}

func (c *invocation) exec() error {
	if err := c.need(1, "a program"); err != nil {
		return err
	}
	p, err := c.site.running()
	if err != nil {
		return err
	}
	return p.replace(c.args...)
}

func (c *invocation) kubectl() error {
	p, err := c.site.running()
	if err != nil {
		return err
	}
	r, err := chosen()
	if err != nil {
		return err
	}
	return p.replace(append([]string{filepath.Join(r.assets(), "kubectl"), "--kubeconfig", c.site.kubeconfig("admin"),
		"--cache-dir", c.site.path("kubectl")}, c.args...)...) // every cluster has the same address, and other objects
}

// stop kills a component, which is kept down until start.
func (c *invocation) stop() error {
	name, err := c.component()
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.site.path("stop", name), nil, 0o644); err != nil {
		return err
	}
	if !within(10*time.Second, func() bool { return !exists(c.site.path("running", name)) }) {
		return fmt.Errorf("%s was to stop, and runs after 10 s", name)
	}
	return nil
}

// start starts a component that was stopped; it returns when the process is there,
// which may be long before it answers.
func (c *invocation) start() error {
	name, err := c.component()
	if err != nil {
		return err
	}
	if name == onDemand {
		if err := c.site.installKwok(); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(c.site.path("stop", name)); err != nil {
		return err
	}
	if !within(10*time.Second, func() bool { return exists(c.site.path("running", name)) }) {
		return fmt.Errorf("%s was to start, and does not run after 10 s; see %s", name, c.site.path("log", name+".log"))
	}
	return nil
}

func (c *invocation) component() (string, error) {
	if err := c.need(1, "a component"); err != nil {
		return "", err
	}
	if _, err := c.site.running(); err != nil {
		return "", err
	}
	if !slices.Contains(componentNames, c.args[0]) {
		return "", fmt.Errorf("component %q; allowed: %q", c.args[0], componentNames)
	}
	return c.args[0], nil
}

// pause is what holds a pod's namespaces: it collects processes that have lost their
// parent, and ends when told to.
func (c *invocation) pause() error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for s := range signals {
		if s != syscall.SIGCHLD {
			return nil
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
	return nil
}
