package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/internal/textsink"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

// control is an API server without nodes, and the command.
type control struct {
	t                         *testing.T
	client                    kubernetes.Interface
	spillway, kubeconfig, dir string
}

func newControl(t *testing.T) *control {
	t.Helper()
	ctrllog.SetLogger(logr.Discard())
	env := &envtest.Environment{BinaryAssetsDirectory: kubetest.Assets(t), CRDDirectoryPaths: []string{"../../manifests/base/crds"}, ErrorIfCRDPathMissing: true,
		ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	env.CRDInstallOptions.MaxTime = time.Minute
	config, err := env.Start()
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	must(t, err)
	c := &control{t: t, dir: t.TempDir()}
	c.client, err = kubernetes.NewForConfig(config)
	must(t, err)
	_, err = c.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "spillway-system"}}, metav1.CreateOptions{})
	must(t, err)
	user, err := env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	must(t, err)
	text, err := user.KubeConfig()
	must(t, err)
	c.kubeconfig = filepath.Join(c.dir, "kubeconfig")
	must(t, os.WriteFile(c.kubeconfig, text, 0o600))
	must(t, testbed.Build(c.dir, map[string]string{"spillway": "cmd/spillway"}))
	c.spillway = filepath.Join(c.dir, "spillway")
	return c
}

// dispatcher is one process of spillway serve.
type dispatcher struct {
	*control
	cmd           *exec.Cmd
	front         string
	health, admin string
	said          *textsink.Sink
	ended         chan error
}

// loopbacks counts the addresses that were given away.
var loopbacks atomic.Int32

// freePort is on a loopback address of its own: nobody takes it before it is listened at.
func (c *control) freePort() string {
	n := loopbacks.Add(1)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.%d.%d:0", 1+n/250, 1+n%250))
	must(c.t, err)
	defer l.Close()
	return l.Addr().String()
}

// serve starts one with a data directory.
func (c *control) serve(data string) *dispatcher {
	c.t.Helper()
	d := &dispatcher{control: c, front: c.freePort(), health: c.freePort(), admin: c.freePort(), said: new(textsink.Sink), ended: make(chan error, 1)}
	d.cmd = exec.Command(c.spillway, "serve", "--kubeconfig", c.kubeconfig, "--namespace", "spillway-system", "--listen", d.front,
		"--admin", d.admin, "--metrics", d.health, "--nodes", "127.0.0.1:0", "--data", filepath.Join(c.dir, data), "--log-format", "json")
	d.cmd.Stdout, d.cmd.Stderr = d.said, d.said
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(c.t, d.cmd.Start())
	go func() { d.ended <- d.cmd.Wait(); close(d.ended) }()
	c.t.Cleanup(func() {
		d.end(syscall.SIGKILL)
		if c.t.Failed() {
			c.t.Logf("%s said:\n%s", data, d.said)
		}
	})
	return d
}

// end signals it and returns how it ended.
func (d *dispatcher) end(signal syscall.Signal) error {
	_ = d.cmd.Process.Signal(signal) // it may have ended
	return <-d.ended
}

// readiness is what /readyz says.
func (d *dispatcher) readiness() (string, error) {
	resp, err := http.Get("http://" + d.health + "/readyz")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusOK {
		return "ready", err
	}
	return string(text), err
}

func (d *dispatcher) until(what string) {
	d.t.Helper()
	w := &world{t: d.t}
	w.until(waiting, "it says "+what, func() error {
		said, err := d.readiness()
		if err == nil && !strings.Contains(said, what) {
			err = errors.New(said)
		}
		return err
	})
}

// run runs the command against it.
func (d *dispatcher) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(d.t.Context(), waiting)
	defer cancel()
	out, err := exec.CommandContext(ctx, d.spillway, append(args, "--admin", "http://"+d.admin)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return string(out), nil
}

// TestOneDispatcher has processes that would all serve: one does.
func TestOneDispatcher(t *testing.T) {
	c := newControl(t)
	const other = "waits for "
	a := c.serve("a")
	a.until("ready")
	b := c.serve("b")
	b.until(other)
	if said, err := a.readiness(); said != "ready" {
		t.Errorf("the first says %s, %v", said, err)
	}
	if err := a.end(syscall.SIGTERM); err != nil {
		t.Errorf("the first ended with %v", err)
	}
	b.until("ready")

	// One that was killed is followed at once by the next of its own data directory.
	_ = b.end(syscall.SIGKILL)
	b = c.serve("b")
	b.until("ready")
	if strings.Contains(b.said.String(), "another dispatcher serves") {
		t.Error("it has waited for the one before it, which had its data directory")
	}

	// One of a copy of the data directory waits as any other does.
	must(t, os.Mkdir(filepath.Join(c.dir, "copy"), 0o700))
	place, err := os.ReadFile(filepath.Join(c.dir, "b", "place"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(c.dir, "copy", "place"), place, 0o600))
	copied := c.serve("copy")
	copied.until(other)
	_ = copied.end(syscall.SIGKILL)
	if said, err := b.readiness(); said != "ready" {
		t.Errorf("after one of a copy of its directory it says %s, %v", said, err)
	}

	// One that hangs loses its seat, and ends when it finds that out.
	d := c.serve("d")
	d.until(other)
	must(t, b.cmd.Process.Signal(syscall.SIGSTOP))
	d.until("ready")
	must(t, b.cmd.Process.Signal(syscall.SIGCONT))
	var exit *exec.ExitError
	if err := <-b.ended; !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(b.said.String(), "one dispatcher serves at a time") {
		t.Errorf("the one that lost its seat ended with %v", err)
	}
	if said, err := d.readiness(); said != "ready" {
		t.Errorf("the last says %s, %v", said, err)
	}
	if err := d.end(syscall.SIGTERM); err != nil {
		t.Errorf("the last ended with %v", err)
	}
}
