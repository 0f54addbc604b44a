package remote_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/internal/textsink"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/pooltest"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// Built once: the agent, and the packages of the probes of package agent and of the suite.
var agentProgram, agentProbe, agentWeb string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "remote-test")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil { // agents have users of their own
			panic(err)
		}
		agentProgram, agentProbe, agentWeb = filepath.Join(dir, "spillway-agent"), filepath.Join(dir, "probe"), filepath.Join(dir, "web")
		build(agentProgram, "github.com/spillway-dev/spillway/cmd/spillway-agent")
		build(filepath.Join(agentProbe, "bootstrap"), "../testdata/probe")
		build(filepath.Join(agentWeb, "bootstrap"), "../testdata/web")
		code := m.Run()
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

func build(to, what string) {
	command := exec.Command("go", "build", "-ldflags=-s -w", "-o", to, what)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		panic(err)
	}
}

// authority makes a CA and what its clients connect with.
func authority(t testing.TB) (*remote.CA, *tls.Config) {
	t.Helper()
	ca, err := remote.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	config, err := ca.Client()
	if err != nil {
		t.Fatal(err)
	}
	return ca, config
}

// pod is one agent process.
type pod struct {
	addr    string
	command *exec.Cmd
	log     *textsink.Sink
	exited  chan struct{}
}

// launch starts an agent; command is that of an image, empty for one that takes packages.
func launch(ca *remote.CA, dir string, command ...string) (*pod, error) {
	return launchWith(exec.Command(agentProgram, append([]string{"serve", "--listen", "127.0.0.1:0", "--dir", dir, "--"}, command...)...), ca, dir)
}

func launchWith(command *exec.Cmd, ca *remote.CA, dir string) (*pod, error) {
	p := &pod{log: &textsink.Sink{}, exited: make(chan struct{}), command: command}
	p.command.Dir = dir
	p.command.Env = []string{remote.AuthorityVariable + "=" + string(ca.Certificate()), "OF_IMAGE=yes", "PATH=/usr/bin:/bin"}
	p.command.Stdout = p.log
	said, err := p.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	_, addr, ok := strings.Cut(strings.TrimSpace(line), "serving on ")
	if !ok {
		return nil, errors.Join(fmt.Errorf("the agent said %q: %w", line, err), p.command.Process.Kill(), p.command.Wait())
	}
	p.addr = addr
	go func() {
		_, _ = io.Copy(p.log, said)
		_ = p.command.Wait()
		close(p.exited)
	}()
	return p, nil
}

// kill ends the agent as a node's failure does.
func (p *pod) kill() {
	if own := p.command.SysProcAttr; own != nil && own.Setpgid {
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) // the agent outlives unshare
	}
	_ = p.command.Process.Kill()
	<-p.exited
}

// launched is an agent that takes packages, and a client of it, until the test ends.
func launched(t testing.TB) (*pod, *remote.Client) {
	t.Helper()
	ca, config := authority(t)
	p, err := launch(ca, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	c := remote.Dial(p.addr, config)
	t.Cleanup(c.Close)
	return p, c
}

// starter is a small pool of agents on this machine.
type starter struct {
	dir    string
	ca     *remote.CA
	config *tls.Config
	exits  chan spillway.InstanceID

	mu        sync.Mutex
	instances map[spillway.InstanceID]*instance
	next      int
	all       sync.WaitGroup
}

type instance struct {
	*pod
	client  *remote.Client
	cancel  context.CancelFunc // of the one who waits for its end
	busy    atomic.Int64
	stopped atomic.Bool
}

func newStarter(t testing.TB) *starter {
	ca, config := authority(t)
	s := &starter{dir: t.TempDir(), ca: ca, config: config, exits: make(chan spillway.InstanceID, 100), instances: map[spillway.InstanceID]*instance{}}
	t.Cleanup(func() {
		s.mu.Lock()
		ids := s.instances
		s.mu.Unlock()
		for id := range ids {
			s.StopInstance(context.Background(), id)
		}
		s.all.Wait()
		close(s.exits)
	})
	return s
}

var _ pools.Starter = (*starter)(nil)

func (s *starter) StartInstance(ctx context.Context, id spillway.InstanceID, f *spillway.Function) (pools.ColdStart, error) {
	s.mu.Lock()
	s.next++
	dir := filepath.Join(s.dir, fmt.Sprint(s.next))
	s.mu.Unlock()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return pools.ColdStart{}, err
	}
	p, err := launch(s.ca, dir)
	if err != nil {
		return pools.ColdStart{}, err
	}
	i := &instance{pod: p, client: remote.Dial(p.addr, s.config)}
	cold, err := start(ctx, i.client, f)
	if err != nil {
		i.client.Close()
		p.kill()
		return pools.ColdStart{}, err
	}
	waiting, cancel := context.WithCancel(context.Background())
	i.cancel = cancel
	s.mu.Lock()
	s.instances[id] = i
	s.mu.Unlock()
	s.all.Go(func() {
		if i.client.Wait(waiting) == nil && i.busy.Load() == 0 && !i.stopped.Load() {
			s.remove(id)
			s.exits <- id
		}
	})
	return cold, nil
}

// start has the agent start f, whose package is a directory, or was one that is known by
// its zip file's digest.
func start(ctx context.Context, c *remote.Client, f *spillway.Function) (pools.ColdStart, error) {
	cold, err := c.Start(ctx, remote.SpecOf(f))
	if !errors.Is(err, remote.ErrPackageMissing) {
		return cold, err
	}
	archive, err := zipped(f.Package.Path)
	if err != nil {
		return cold, err
	}
	if err := c.Send(ctx, f.Package.Digest, bytes.NewReader(archive)); err != nil {
		return cold, err
	}
	return c.Start(ctx, remote.SpecOf(f))
}

// zips are packages by their directory, which does not change.
var zips sync.Map

func zipped(dir string) ([]byte, error) {
	if archive, ok := zips.Load(dir); ok {
		return archive.([]byte), nil
	}
	archive, err := pack(dir)
	zips.Store(dir, archive)
	return archive, err
}

// pack does not compress, which takes seconds under the race detector.
func pack(dir string) ([]byte, error) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: path, Method: zip.Store}
		header.SetMode(info.Mode())
		file, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		contents, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		_, err = file.Write(contents)
		return err
	})
	err = errors.Join(err, w.Close())
	return archive.Bytes(), err
}

func (s *starter) find(id spillway.InstanceID) *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.instances[id]
}

func (s *starter) remove(id spillway.InstanceID) {
	s.mu.Lock()
	i := s.instances[id]
	delete(s.instances, id)
	s.mu.Unlock()
	if i != nil {
		i.cancel()
		i.client.Close()
		i.kill()
	}
}

func (s *starter) StopInstance(ctx context.Context, id spillway.InstanceID) {
	if i := s.find(id); i != nil {
		i.stopped.Store(true)
		_ = i.client.Stop(ctx)
		s.remove(id)
	}
}

func (s *starter) Exits() <-chan spillway.InstanceID { return s.exits }

func (s *starter) Invoke(ctx context.Context, r pools.Request) pools.Result {
	i := s.find(r.Instance)
	if i == nil {
		return pools.Result{Outcome: spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseCrashed, Detail: "no such instance"}, InstanceGone: true}
	}
	i.busy.Add(1)
	defer i.busy.Add(-1)
	result := i.client.Invoke(ctx, r)
	if result.InstanceGone {
		i.stopped.Store(true)
		s.remove(r.Instance)
	}
	return result
}

func functionOf(t testing.TB, path string) *spillway.Function {
	t.Helper()
	digest, err := pkgdigest.Digest(path)
	if err != nil {
		t.Fatal(err)
	}
	return &spillway.Function{
		FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "probe"},
		Revision:    "r1",
		Package:     spillway.Package{Path: path, Digest: digest},
		Handler:     "bootstrap",
		Resources:   spillway.Resources{Slots: 1, MilliCPU: 100, MiB: 128}, Instance: spillway.Resources{Slots: 1, MilliCPU: 100, MiB: 128},
		Timeout: time.Minute,
	}
}

func TestConformance(t *testing.T) {
	probe := functionOf(t, pooltest.Build(t))
	archive, err := zipped(probe.Package.Path)
	if err != nil {
		t.Fatal(err)
	}
	probe.Package.Digest = digestOf(archive)
	hasty := *probe
	hasty.Timeout = 5 * time.Second
	web := *probe
	web.Contract = spillway.ContractHTTP
	pooltest.Run(t, pooltest.Fixture{Pool: newStarter(t), Probe: probe, Hasty: &hasty, MiB: 128, Web: &web})
}
