package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

const (
	keyID     = "EXAMPLECLOUD00000001"
	keySecret = "example-secret-of-the-stand-in-account"
	front     = kubetest.NodeAddress + ":8080"
	health    = kubetest.NodeAddress + ":9090"
	admin     = "127.0.0.1:8081" // in the cluster's network
)

// process is a spillway command that runs in the cluster's network.
type process struct {
	cmd    *exec.Cmd
	ended  chan error
	output *tail
	took   time.Duration // from its start until it was ready
}

// tail keeps what was written last.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b.Len() > 1<<16 {
		t.b.Next(t.b.Len() / 2)
	}
	return t.b.Write(p)
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// serve starts the server and waits until it is ready. Its data are new.
func (w *world) serve(ctx context.Context) (*process, error) {
	w.runs++
	data := filepath.Join(w.dir, "data"+strconv.Itoa(w.runs))
	return w.start(ctx, "http://"+health+"/readyz", "serve", "--kubeconfig", w.Kubeconfig, "--namespace", "spillway-system",
		"--listen", front, "--admin", admin, "--metrics", health, "--data", data)
}

// start starts a command of spillway, and waits until url answers 200.
func (w *world) start(ctx context.Context, url string, args ...string) (*process, error) {
	return w.launch(ctx, "spillway", url, args...)
}

// launch starts a program, and waits until url answers 200.
func (w *world) launch(ctx context.Context, program, url string, args ...string) (*process, error) {
	cmd := w.Command(context.WithoutCancel(ctx), filepath.Join(w.dir, program), args...)
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+keyID, "AWS_SECRET_ACCESS_KEY="+keySecret)
	p := &process{cmd: cmd, ended: make(chan error, 1), output: new(tail)}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	at := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.ended <- cmd.Wait() }()
	err := until(ctx, 5*time.Minute, program+" is ready", func() error {
		resp, err := w.http.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	p.took = time.Since(at)
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("%w\nit said: %s", err, p.output)
	}
	return p, nil
}

// stop ends it as a rollout does.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-p.ended:
		return err
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("it does not end; it said: %s", p.output)
	}
}

// memory is the resident memory in MiB, now and at the most.
func (p *process) memory() (now, most float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		for name, into := range map[string]*float64{"VmRSS:": &now, "VmHWM:": &most} {
			if f := strings.Fields(line); len(f) > 1 && f[0] == name {
				kib, err := strconv.ParseFloat(f[1], 64)
				if err != nil {
					return 0, 0, err
				}
				*into = kib / 1024
			}
		}
	}
	return now, most, nil
}

// platform is the objects of a section. Its functions are made from the digests of
// packages, by their folder.
type platform struct {
	pools     string
	functions func(digest map[string]string) []string
}

// begin clears what the section before has left, starts a server, pushes the packages
// and applies the objects.
func (w *world) begin(ctx context.Context, p platform) (*process, error) {
	if _, err := w.Kubectl(ctx, "delete", "functions,pools,quotas,burstpolicies", "--all", "-A", "--wait=true"); err != nil {
		return nil, err
	}
	s, err := w.serve(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.furnish(ctx, p); err != nil {
		return nil, fmt.Errorf("%w\nit said: %s", errors.Join(err, s.stop()), s.output)
	}
	return s, nil
}

func (w *world) furnish(ctx context.Context, p platform) error {
	digests := map[string]string{}
	for _, name := range []string{"echo", "report"} {
		digest, err := w.run(ctx, "package", "push", filepath.Join(w.dir, "functions", name))
		if err != nil {
			return err
		}
		digests[name] = digest
	}
	functions := p.functions(digests)
	if err := w.Apply(ctx, p.pools+"---\n"+strings.Join(functions, "---\n")); err != nil {
		return err
	}
	return until(ctx, time.Minute, "the server has all functions", func() error {
		text, err := w.read(ctx, "http://"+admin+"/v1/functions")
		if err == nil && strings.Count(text, `"function"`) < len(functions) {
			err = fmt.Errorf("it has %d of %d", strings.Count(text, `"function"`), len(functions))
		}
		return err
	})
}

func (w *world) read(ctx context.Context, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := w.http.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return string(text), err
}
