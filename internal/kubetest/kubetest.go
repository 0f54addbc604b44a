// Package kubetest gives tests a real Kubernetes: the programs for envtest, where an
// API server is all that a test needs, or a whole cluster whose kubelet runs pods.
// What builds and runs them is in test/cluster.
//
// A cluster is in a network of its own, which has no way out. Dial and Listen reach
// into it from the test's process, Command runs other programs in it. Pods reach each
// other's services and the API server as usual, by address and by name; from the test's
// process only addresses work.
//
// Without SPILLWAY_CLUSTER=required in the environment, and with -short, such tests are
// skipped; with it, what a machine lacks fails them, with the words what to install.
package kubetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// buildTime is what a test must have left to start a build of Kubernetes.
const buildTime = 30 * time.Minute

// Variable of the environment that lets tests need a cluster, and its value.
const (
	variable = "SPILLWAY_CLUSTER"
	required = "required"
)

// Need skips a test where no Kubernetes is asked for.
func Need(t testing.TB) {
	t.Helper()
	switch value := os.Getenv(variable); {
	case value != "" && value != required:
		t.Fatalf("%s is %q; allowed: %s, or nothing", variable, value, required)
	case value == "":
		t.Skipf("needs Kubernetes: 'make test-cluster' runs it, or %s=%s", variable, required)
	case testing.Short():
		t.Skip("needs Kubernetes, which -short leaves out")
	}
}

// Assets returns a directory with etcd, kube-apiserver and kubectl, as envtest's
// BinaryAssetsDirectory wants it. They are built if this machine has none yet and the
// test has half an hour left. It needs no root.
func Assets(t testing.TB) string {
	t.Helper()
	Need(t)
	command, err := build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := assets(t.Context(), command, tooLate(t))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// assets has the programs built, or fails if they are not there already. How far the
// build is shows on standard error.
func assets(ctx context.Context, command string, cached bool) (string, error) {
	cmd := exec.CommandContext(ctx, command, "assets", "-cached="+strconv.FormatBool(cached))
	cmd.Stderr = os.Stderr
	var err error
	if cmd.Dir, err = source(ctx); err != nil {
		return "", err
	}
	dir, err := output(cmd)
	return strings.TrimSpace(dir), err
}

// tooLate tells whether the test would be over before a build is.
func tooLate(t testing.TB) bool {
	limited, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return false
	}
	end, set := limited.Deadline()
	return set && time.Until(end) < buildTime
}

// Up brings a cluster up for a test, and takes it down when the test ends. The test
// fails if anything is left then, or if the cluster ended by itself.
func Up(t testing.TB) *Cluster {
	t.Helper()
	Need(t)
	c, err := start(t.Context(), tooLate(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the cluster's logs end:\n%s", c.Logs(10))
		}
		if err := c.Down(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// build compiles test/cluster, which takes a moment, into dir.
func build(ctx context.Context, dir string) (command string, err error) {
	source, err := source(ctx)
	if err != nil {
		return "", err
	}
	command = filepath.Join(dir, "cluster")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", command, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	_, err = output(cmd)
	return command, err
}

// source finds test/cluster in the module that is being tested.
func source(ctx context.Context) (string, error) {
	mod, err := output(exec.CommandContext(ctx, "go", "env", "GOMOD"))
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(strings.TrimSpace(mod)), "test", "cluster")
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("a test cluster is started from this module's work tree: %w", err)
	}
	return dir, nil
}

// output runs a command and returns what it printed. Its error has what the command
// said about it, which goes to its Stderr as well if that is set.
func output(cmd *exec.Cmd) (string, error) {
	var out, said bytes.Buffer
	cmd.Stdout = &out
	if cmd.Stderr != nil {
		cmd.Stderr = io.MultiWriter(cmd.Stderr, &said)
	} else {
		cmd.Stderr = &said
	}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), errors.Join(err, errors.New(strings.TrimSpace(said.String()))))
	}
	return out.String(), nil
}
