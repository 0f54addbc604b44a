// Package peers holds Spillway against software that others wrote: clients that call
// it, runtimes that it runs, and a cloud that it calls. README.md has the list. A
// test whose peer is not installed is skipped; where SPILLWAY_PEERS=required it fails.
package peers

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway/test/internal/testbed"
)

const (
	required = "required"
	// patience bounds every wait for a program: to be ready, or to end.
	patience = 3 * time.Minute
)

var scratch string // of TestMain: what is built

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if mode := os.Getenv("SPILLWAY_PEERS"); mode != "" && mode != required {
		fmt.Fprintf(os.Stderr, "SPILLWAY_PEERS is %q; allowed: %s, or nothing\n", mode, required)
		return 2
	}
	dir, err := testbed.NewDir("spillway-peers-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	scratch = dir
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// built compiles our programs once.
var built = sync.OnceValue(func() error {
	if err := testbed.Build(scratch, map[string]string{
		"spillway": "cmd/spillway", "scf/bootstrap": "cmd/spillway-agent", "probe/bootstrap": "pools/pooltest/probe/main",
	}); err != nil {
		return err
	}
	return os.Symlink("../probe", filepath.Join(scratch, "scf/lambda")) // what the shim runs
})

// ours returns the path of one of our programs.
func ours(t *testing.T, name string) string {
	t.Helper()
	must(t, built())
	return filepath.Join(scratch, name)
}

// needs returns path if it is there.
func needs(t *testing.T, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		absent(t, path)
	}
	return path
}

func absent(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("SPILLWAY_PEERS") == required {
		t.Fatalf("%s is not installed; test/peers/install installs it", what)
	}
	t.Skipf("%s is not installed; test/peers/install installs it", what)
}

// npm returns the path of what npm has installed, below node_modules.
func npm(t *testing.T, path string) string {
	t.Helper()
	cache := os.Getenv("SPILLWAY_PEERS_DIR") // as in the script install
	if cache == "" {
		home := os.Getenv("XDG_CACHE_HOME")
		if home == "" {
			home = filepath.Join(os.Getenv("HOME"), ".cache")
		}
		cache = filepath.Join(home, "spillway", "peers")
	}
	return needs(t, filepath.Join(cache, "npm", "node_modules", path))
}

// onPath returns the path of a program of the system.
func onPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		absent(t, name)
	}
	return path
}

// program is a process that a test has started; it is ended with the test.
type program struct {
	cmd    *exec.Cmd
	output *output
	ended  chan struct{}
}

// start runs cmd until it has written what ready matches, and returns the
// submatches. It is ended by SIGTERM to its own process at the end of the test.
func start(t *testing.T, cmd *exec.Cmd, ready string) []string {
	t.Helper()
	p := &program{cmd: cmd, ended: make(chan struct{}),
		output: &output{ready: regexp.MustCompile(ready), matched: make(chan []string, 1)}}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	must(t, cmd.Start())
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // a signal ends it
	}()
	t.Cleanup(func() { p.end(t) })
	select {
	case found := <-p.output.matched:
		return found
	case <-p.ended:
		t.Fatalf("%s ended before it was ready", cmd.Path)
	case <-time.After(patience):
		t.Fatalf("%s is not ready after %v", cmd.Path, patience)
	}
	return nil
}

func (p *program) end(t *testing.T) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Errorf("%s did not end after SIGTERM", p.cmd.Path)
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what it may have left
	<-p.ended
	if t.Failed() {
		t.Logf("%s wrote:\n%s", p.cmd.Path, p.output)
	}
}

// output keeps what a program writes and tells when that matches.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	ready   *regexp.Regexp // nil once it has matched
	matched chan []string
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(b)
	if o.ready != nil {
		if found := o.ready.FindStringSubmatch(o.text.String()); found != nil {
			o.matched <- found
			o.ready = nil
		}
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), mode))
	must(t, os.Chmod(path, mode)) // whatever the umask
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
