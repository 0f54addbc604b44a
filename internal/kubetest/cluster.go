package kubetest

import (
	"bufio"
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
	"sync"
	"syscall"
	"time"
)

// Node is the name of a cluster's only node, and NodeAddress its address.
const (
	Node        = "node1"
	NodeAddress = "198.51.100.10"
)

// Cluster is a running cluster. Its methods may be called by several goroutines.
type Cluster struct {
	// Kubeconfig is a file by which kubectl and clients are administrators. Its
	// server is reached in the cluster's network: give clients Dial.
	Kubeconfig string

	scratch, command, dir string
	pid                   int
	run                   *exec.Cmd
	hold                  io.Closer
	said                  *bytes.Buffer
	down                  func() error
}

// Start brings a cluster up, for a TestMain; Up does for a test. The cluster ends with
// Down, and with this process; if that is killed, only a small program is left in the
// directory for temporary files. Kubernetes is built if it is not in the cache. A
// canceled ctx ends the start, not what has started.
func Start(ctx context.Context) (*Cluster, error) { return start(ctx, false) }

func start(ctx context.Context, cached bool) (*Cluster, error) {
	c, err := newCluster()
	if err == nil {
		err = c.begin(ctx, cached)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func newCluster() (*Cluster, error) {
	scratch, err := os.MkdirTemp("", "spillway-cluster-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{scratch: scratch, command: filepath.Join(scratch, "bin", "cluster"), dir: filepath.Join(scratch, "cluster"), said: &bytes.Buffer{}}
	c.Kubeconfig = filepath.Join(c.dir, "pki", "admin.kubeconfig")
	c.down = sync.OnceValue(c.end)
	return c, os.Mkdir(filepath.Join(scratch, "bin"), 0o755)
}

// begin runs the command, which holds the cluster until its standard input ends. After
// an error there is nothing to take down.
func (c *Cluster) begin(ctx context.Context, cached bool) error {
	stdout, err := c.launch(ctx, cached)
	if err != nil {
		return errors.Join(err, os.RemoveAll(c.scratch))
	}
	if err := c.await(ctx, stdout); err != nil {
		return errors.Join(err, c.end())
	}
	return nil
}

// launch sees to what the machine lacks before it builds anything that takes long.
func (c *Cluster) launch(ctx context.Context, cached bool) (stdout io.Reader, err error) {
	if _, err := build(ctx, filepath.Dir(c.command)); err != nil {
		return nil, err
	}
	if _, err := output(exec.CommandContext(ctx, c.command, "check")); err != nil {
		return nil, err
	}
	if _, err := assets(ctx, c.command, cached); err != nil {
		return nil, err
	}
	c.run = exec.Command(c.command, "up", "-dir", c.dir, "-attached")
	if c.run.Dir, err = source(ctx); err != nil {
		return nil, err
	}
	c.run.Stderr = io.MultiWriter(os.Stderr, c.said)
	c.run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the test; the pipe tells its end
	if c.hold, err = c.run.StdinPipe(); err != nil {
		return nil, err
	}
	if stdout, err = c.run.StdoutPipe(); err != nil {
		return nil, err
	}
	return stdout, c.run.Start()
}

// await reads until the command says where the kubeconfig is: then all is ready.
func (c *Cluster) await(ctx context.Context, stdout io.Reader) error {
	stop := context.AfterFunc(ctx, func() { _ = c.run.Process.Signal(syscall.SIGTERM) }) // it may have ended
	defer stop()
	ready := false
	for lines := bufio.NewScanner(stdout); !ready && lines.Scan(); {
		ready = strings.HasPrefix(lines.Text(), "kubeconfig ")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !ready {
		return errors.New("no cluster came up")
	}
	text, err := os.ReadFile(filepath.Join(c.dir, "process"))
	if err != nil {
		return err
	}
	pid, _, _ := strings.Cut(string(text), " ")
	c.pid, err = strconv.Atoi(pid)
	return err
}

// Down takes the cluster down. Its error names what is left: processes, cgroups,
// mounts. Calling it again changes nothing.
func (c *Cluster) Down() error { return c.down() }

func (c *Cluster) end() error {
	c.hold.Close()
	err := c.run.Wait()
	if err != nil {
		err = fmt.Errorf("cluster: %w\n%s", err, strings.TrimSpace(c.said.String()))
	}
	return errors.Join(err, os.RemoveAll(c.scratch))
}

// Kubectl runs kubectl as an administrator and returns what it printed; its error has
// what it said.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.call(ctx, "kubectl", args...)
}

// Apply applies manifests, as YAML or JSON.
func (c *Cluster) Apply(ctx context.Context, manifests string) error {
	cmd := c.subcommand(ctx, "kubectl", "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
	_, err := output(cmd)
	return err
}

// Image makes an image of one static program, puts it on the node, and returns its
// name with its digest, by which or by name pods may run it. Containers run the
// program with args. Tag name with something other than latest, or set the pull
// policy to Never: there is no registry.
func (c *Cluster) Image(ctx context.Context, name, binary string, args ...string) (byDigest string, err error) {
	absolute, err := filepath.Abs(binary)
	if err != nil {
		return "", err
	}
	out, err := c.call(ctx, "image", append([]string{name, absolute}, args...)...)
	return strings.TrimSpace(out), err
}

// Stop kills a component, which is kept down until Start: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler, containerd, kubelet, or kwok. Pods run on.
func (c *Cluster) Stop(ctx context.Context, component string) error {
	_, err := c.call(ctx, "stop", component)
	return err
}

// Start starts a component that was stopped. It returns when the process is there,
// which may be seconds before it answers.
func (c *Cluster) Start(ctx context.Context, component string) error {
	_, err := c.call(ctx, "start", component)
	return err
}

// Command is a program in the cluster's network, which sees the files of this
// machine. KUBECONFIG leads it to the API server.
func (c *Cluster) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := c.subcommand(ctx, "exec", append([]string{program}, args...)...)
	cmd.Dir = ""
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	return cmd
}

// Logs returns the last lines of each component's log.
func (c *Cluster) Logs(lines int) string {
	files, _ := filepath.Glob(filepath.Join(c.dir, "log", "*.log")) // the pattern is well formed
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			text = []byte(err.Error())
		}
		of := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&all, "== %s\n%s\n", filepath.Base(file), strings.Join(of[max(0, len(of)-lines):], "\n"))
	}
	return all.String()
}

func (c *Cluster) call(ctx context.Context, name string, args ...string) (string, error) {
	return output(c.subcommand(ctx, name, args...))
}

func (c *Cluster) subcommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.command, append([]string{name, "-dir", c.dir, "--"}, args...)...)
	cmd.Dir = c.run.Dir
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
