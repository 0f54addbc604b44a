package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// defaultMinor is what controlplane/go.mod asks for; other minors have their own
// kube-MINOR.mod beside it.
const defaultMinor = "1.36"

var kubernetes = regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)$`)

// recipe is one program that can be built.
type recipe struct {
	program         string
	links           []string // names that it also goes by
	source, modfile string
	version         string // as in v1.36.3
	stamp           string // what tells the linker of it
	takes           string // how long to build
	key             string // of all that decides what is built
}

// chosen reads the recipe of the minor version that KUBE_MINOR asks for.
func chosen() (recipe, error) {
	dir, err := source("controlplane")
	if err != nil {
		return recipe{}, err
	}
	r := recipe{program: "kubebox", links: []string{"etcd", "kube-apiserver", "kubectl"}, source: dir, modfile: "go.mod", takes: "20 minutes"}
	if minor := os.Getenv("KUBE_MINOR"); minor != "" && minor != defaultMinor {
		r.modfile = "kube-" + minor + ".mod"
	}
	mod, err := os.ReadFile(filepath.Join(dir, r.modfile))
	if err != nil {
		return r, fmt.Errorf("KUBE_MINOR is %q; allowed: %s, or one that has a kube-MINOR.mod in %s", os.Getenv("KUBE_MINOR"), defaultMinor, dir)
	}
	found := kubernetes.FindSubmatch(mod)
	if found == nil {
		return r, fmt.Errorf("%s in %s requires no k8s.io/kubernetes", r.modfile, dir)
	}
	r.version = string(found[1])
	r.stamp = fmt.Sprintf(" -X %sgitVersion=%s -X %[1]sgitMajor=%[3]s -X %[1]sgitMinor=%[4]s", buildVersion, r.version, found[2], found[3])
	r.key, err = r.digest()
	return r, err
}

func (r recipe) digest() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH)
	for _, name := range []string{r.modfile, strings.TrimSuffix(r.modfile, ".mod") + ".sum", "main.go"} {
		text, err := os.ReadFile(filepath.Join(r.source, name))
		if err != nil {
			return "", fmt.Errorf("what kubebox is built from: %w", err)
		}
		fmt.Fprintln(h, name, len(text))
		h.Write(text)
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

func (r recipe) assets() string {
	return filepath.Join(cacheDir(), r.program+"-"+r.version+"-"+r.key)
}

func (r recipe) binary() string { return filepath.Join(r.assets(), r.program) }

// assets prints where etcd, kube-apiserver and kubectl are.
func (c *invocation) assets() error {
	r, err := chosen()
	if err != nil {
		return err
	}
	if err := r.ensure(*c.cached); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, r.assets())
	return err
}

// ensure builds the program if it is not in the cache. Of several that ask at once, one
// builds and the others wait.
func (r recipe) ensure(cachedOnly bool) error {
	done := r.binary()
	if exists(done) {
		return nil
	}
	if cachedOnly {
		return fmt.Errorf("%s %s is not built on this machine yet, which takes %s of a processor; run test/cluster/install", r.program, r.version, r.takes)
	}
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(r.assets()+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if exists(done) {
		return nil
	}
	return r.build()
}

// build compiles into a folder beside, which is given its name when all of it is there.
func (r recipe) build() error {
	work := r.assets() + ".new"
	if err := errors.Join(os.RemoveAll(work), os.MkdirAll(work, 0o755)); err != nil {
		return err
	}
	if err := r.compile(filepath.Join(work, r.program)); err != nil {
		return err
	}
	for _, name := range r.links {
		if err := os.Symlink(r.program, filepath.Join(work, name)); err != nil {
			return err
		}
	}
	return os.Rename(work, r.assets())
}

const buildVersion = "k8s.io/component-base/version."

func (r recipe) compile(to string) error {
	cmd := exec.Command("nice", "-n", "10", "go", "build", "-v", "-trimpath", "-modfile", r.modfile, "-ldflags", "-s -w"+r.stamp, "-o", to, ".")
	cmd.Dir = r.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	runtime.LockOSThread() // the signal comes when the thread ends
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	seen := &progress{}
	cmd.Stderr = seen
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%s: %5s  %s\n", r.program, time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
	}
	say("building %s, once for this machine; about %s of a processor", r.version, r.takes)
	stop := seen.report(say)
	err := cmd.Run()
	stop()
	if err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", r.program, r.source, err, seen.last())
	}
	say("built, %s of processor time", (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(time.Second))
	return nil
}

// progress counts the packages that the compiler names, and keeps what else it says.
type progress struct {
	lines atomic.Int64
	tail  []byte
}

func (p *progress) Write(b []byte) (int, error) {
	p.lines.Add(int64(bytes.Count(b, []byte("\n"))))
	p.tail = append(p.tail, b...)
	p.tail = p.tail[max(0, len(p.tail)-4000):]
	return len(b), nil
}

// last is what was written last; to be asked when nothing writes any more.
func (p *progress) last() string { return string(p.tail) }

// report says every 20 seconds how far it is, until the function it returns is called.
func (p *progress) report(say func(string, ...any)) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(20 * time.Second):
				say("%d packages of at most 2,800", p.lines.Load())
			}
		}
	}()
	return func() { close(end); <-ended }
}
