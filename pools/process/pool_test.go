package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/pooltest"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// probePackage is a package directory with agent/testdata/probe as "bootstrap".
var probePackage string

// crashVariable makes the test binary a server that is killed: see records_test.go.
const crashVariable = "SPILLWAY_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashVariable); dir != "" {
		serveUntilKilled(dir, os.Getenv("SPILLWAY_TEST_PACKAGE"))
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "process-test")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		probePackage = dir
		build := exec.Command("go", "build", "-o", filepath.Join(dir, "bootstrap"), "../../agent/testdata/probe")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
		os.Setenv("SPILLWAY_TEST_CANARY", "secret of the server")
		code := m.Run()
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

func open(t testing.TB, c Config) *Pool {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	p, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(p.run, "work", "*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return p
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

var ids atomic.Uint64

func startOn(t testing.TB, p *Pool, f *spillway.Function) spillway.InstanceID {
	t.Helper()
	id := spillway.InstanceID(ids.Add(1))
	cold, err := p.StartInstance(context.Background(), id, f)
	if err != nil {
		t.Fatal(err)
	}
	if cold.Start <= 0 || cold.Init <= 0 || cold.Unpack <= 0 {
		t.Errorf("cold start not timed: %+v", cold)
	}
	return id
}

func call(p *Pool, f *spillway.Function, id spillway.InstanceID, payload string) pools.Result {
	return p.Invoke(context.Background(), pools.Request{
		Invocation: fmt.Sprint("call-", ids.Add(1)), Attempt: 1, Function: f, Instance: id,
		Payload: []byte(payload), Deadline: time.Now().Add(30 * time.Second),
	})
}

func TestConformance(t *testing.T) {
	dir := pooltest.Build(t)
	for _, c := range []Config{{}, {WithoutCgroup: true}} {
		t.Run(fmt.Sprintf("WithoutCgroup=%v", c.WithoutCgroup), func(t *testing.T) {
			probe := functionOf(t, dir)
			hasty := *probe
			hasty.Timeout = time.Second
			web := *probe
			web.Contract = spillway.ContractHTTP
			pooltest.Run(t, pooltest.Fixture{Pool: open(t, c), Probe: probe, Hasty: &hasty, MiB: 128, Web: &web})
		})
	}
}

func TestMemoryLimit(t *testing.T) {
	for _, c := range []Config{{}, {WithoutCgroup: true}} {
		p := open(t, c)
		t.Run(p.MemoryLimit(), func(t *testing.T) {
			f := functionOf(t, probePackage)
			f.Resources.MiB = 96
			id := startOn(t, p, f)
			if r := call(p, f, id, `{"do":"eat","mib":16}`); r.Outcome.FunctionError != "" || r.Outcome.Usage.MaxMemoryMiB < 8 {
				t.Fatalf("within the limit: %+v %s", r.Outcome, r.Payload)
			}
			r := call(p, f, id, `{"do":"eat","mib":300}`)
			if r.Outcome.Class != spillway.Executed || r.Outcome.Cause != spillway.CauseOutOfMemory || !r.InstanceGone ||
				!strings.Contains(string(r.Payload), `"errorType":"Runtime.OutOfMemory"`) {
				t.Fatalf("over the limit: %+v %.200s", r.Outcome, r.Payload)
			}
		})
	}
}

// A child in a session of its own is outside the process group.
func TestTimeoutReachesProcessesThatLeftTheGroup(t *testing.T) {
	for _, c := range []Config{{}, {WithoutCgroup: true}} {
		p := open(t, c)
		t.Run(p.MemoryLimit(), func(t *testing.T) {
			f := functionOf(t, probePackage)
			f.Timeout = time.Second
			id := startOn(t, p, f)
			file := filepath.Join(p.run, "work", "0", "pid")
			done := make(chan pools.Result)
			go func() { done <- call(p, f, id, `{"do":"child","text":"setsid","file":"`+file+`"}`) }()
			var pid int
			for pid == 0 {
				text, _ := os.ReadFile(file)
				fmt.Sscan(string(text), &pid)
			}
			if r := <-done; r.Outcome.Cause != spillway.CauseTimeout || !r.InstanceGone {
				t.Fatalf("%+v %s", r.Outcome, r.Payload)
			}
			if s, err := readStat(pid); err == nil && !s.ended() {
				t.Errorf("child %d is in state %c", pid, s.state)
			}
		})
	}
}

func TestOwnUserAndCleanEnvironment(t *testing.T) {
	p := open(t, Config{})
	f := functionOf(t, probePackage)
	first, second := startOn(t, p, f), startOn(t, p, f)
	var one, two struct{ UID, GID int }
	for id, into := range map[spillway.InstanceID]any{first: &one, second: &two} {
		if err := json.Unmarshal(call(p, f, id, `{"do":"id"}`).Payload, into); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 && (!ofFunction(one.UID) || one.GID != one.UID || !ofFunction(two.UID) || one.UID == two.UID) {
		t.Errorf("users %+v and %+v", one, two)
	}
	if env := string(call(p, f, first, `{"do":"env"}`).Payload); strings.Contains(env, "secret of the server") || strings.Contains(env, "CANARY") {
		t.Errorf("the server's environment reached the function: %s", env)
	}
}

func TestOnlyItsOwnUserReachesTheRuntimeAPI(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("functions share our user")
	}
	p := open(t, Config{})
	f := functionOf(t, probePackage)
	id := startOn(t, p, f)
	var env []string
	if err := json.Unmarshal(call(p, f, id, `{"do":"env"}`).Payload, &env); err != nil {
		t.Fatal(err)
	}
	for _, pair := range env {
		if address, ok := strings.CutPrefix(pair, "AWS_LAMBDA_RUNTIME_API="); ok {
			if got, err := steal(address); err == nil {
				t.Errorf("a stranger was answered %s", got)
			}
		}
	}
	if r := call(p, f, id, `{}`); r.Outcome.FunctionError != "" {
		t.Errorf("the function was disturbed: %s", r.Payload)
	}
}

func TestStartRefusals(t *testing.T) {
	p := open(t, Config{InitTimeout: 200 * time.Millisecond})
	for name, test := range map[string]struct {
		kind   string
		change func(*spillway.Function)
	}{
		"wrong digest": {"Spillway.PackageError", func(f *spillway.Function) { f.Package.Digest = "sha256:" + strings.Repeat("0", 64) }},
		"no package": {"Spillway.PackageError", func(f *spillway.Function) {
			f.Package = spillway.Package{Path: "/none", Digest: "sha256:" + strings.Repeat("1", 64)}
		}},
		"no entrypoint": {"Runtime.InvalidEntrypoint", func(f *spillway.Function) { f.Package = emptyPackage(t) }},
		"exits":         {"Runtime.ExitError", func(f *spillway.Function) { f.Env = []string{"PROBE_INIT=exit"} }},
		"hangs":         {"Runtime.InitTimeout", func(f *spillway.Function) { f.Env = []string{"PROBE_INIT=hang"} }},
	} {
		t.Run(name, func(t *testing.T) {
			f := functionOf(t, probePackage)
			test.change(f)
			_, err := p.StartInstance(context.Background(), spillway.InstanceID(ids.Add(1)), f)
			var failed *pools.StartError
			if !errors.As(err, &failed) || failed.Type != test.kind {
				t.Errorf("%v, want %s", err, test.kind)
			}
		})
	}
}

// TestStartTooLate has the clock of the caller end a start, as the dispatcher's does: the
// error is the function's, and says where to look.
func TestStartTooLate(t *testing.T) {
	p := open(t, Config{})
	f := functionOf(t, probePackage)
	f.Env, f.Contract = []string{"PROBE_INIT=hang"}, spillway.ContractHTTP
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := p.StartInstance(ctx, spillway.InstanceID(ids.Add(1)), f)
	var failed *pools.StartError
	if !errors.As(err, &failed) || failed.Type != "Runtime.InitTimeout" || !strings.Contains(failed.Error(), "`spillway logs "+f.FunctionKey.String()+"`") {
		t.Errorf("%v", err)
	}
}

func emptyPackage(t *testing.T) spillway.Package {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "readme"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return functionOf(t, dir).Package
}

func TestManyAtOnce(t *testing.T) {
	p := open(t, Config{})
	f := functionOf(t, probePackage)
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			id := spillway.InstanceID(ids.Add(1))
			if _, err := p.StartInstance(context.Background(), id, f); err != nil {
				t.Error(err)
				return
			}
			var calls sync.WaitGroup
			calls.Go(func() { call(p, f, id, `{}`) })
			calls.Go(func() { p.StopInstance(context.Background(), id) })
			calls.Wait()
			if r := call(p, f, id, `{}`); r.Outcome.Class != spillway.NotExecuted {
				t.Errorf("a stopped instance: %+v", r.Outcome)
			}
		})
	}
	all.Wait()
	select {
	case id := <-p.Exits():
		t.Errorf("exit of %d, which was stopped", id)
	default:
	}
}

func TestLogFile(t *testing.T) {
	p := open(t, Config{})
	f := functionOf(t, probePackage)
	call(p, f, startOn(t, p, f), `{"do":"print","text":"hello log"}`)
	text, err := os.ReadFile(filepath.Join(p.config.Dir, "logs", "shop", "probe.log"))
	if err != nil || !strings.Contains(string(text), "\nhello log\nEND RequestId: ") || !strings.Contains(string(text), "Version: r1\n") {
		t.Errorf("log %q, %v", text, err)
	}
}

func TestOneServerADirectory(t *testing.T) {
	p := open(t, Config{})
	if second, err := Open(p.config); err == nil {
		second.Close(context.Background())
		t.Fatal("two pools share a directory")
	} else if !strings.Contains(err.Error(), "another server") {
		t.Error(err)
	}
}
