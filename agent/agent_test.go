package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/internal/textsink"
	"github.com/spillway-dev/spillway/pools"
)

var binaries string // directory of the built functions

const canary = "SPILLWAY_TEST_CANARY"

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "agent-test")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binaries = dir
		build := exec.Command("go", "build", "-o", dir+"/", "../examples/functions/echo", "../examples/functions/flaky", "./testdata/probe", "./testdata/web")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
		os.Setenv(canary, "secret of the server")
		code := m.Run()
		if err := goleak.Find(); err != nil && code == 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

func configOf(t testing.TB, binary string) Config {
	return Config{
		Name:      binary,
		Handler:   binary,
		MemoryMiB: 128,
		TaskRoot:  binaries,
		Scratch:   t.TempDir(),
		Command:   []string{filepath.Join(binaries, binary)},
	}
}

func start(t testing.TB, c Config) *Instance {
	t.Helper()
	i, err := Start(context.Background(), c)
	if err != nil {
		t.Fatalf("start %s: %v", c.Name, err)
	}
	t.Cleanup(i.Stop)
	return i
}

func event(id, payload string) Event {
	return Event{ID: id, Payload: []byte(payload), Deadline: time.Now().Add(30 * time.Second)}
}

func TestAnswers(t *testing.T) {
	i := start(t, configOf(t, "echo"))
	for n, payload := range []string{`{"a":1}`, `"` + strings.Repeat("x", 5<<20) + `"`, `null`} {
		e := i.Invoke(context.Background(), event(fmt.Sprint("id-", n), payload))
		if !e.Delivered || e.Cause != spillway.CauseNone || string(e.Payload) != payload || e.FunctionError != "" {
			t.Fatalf("call %d: %+v", n, short(e))
		}
		if (e.Init > 0) != (n == 0) {
			t.Errorf("call %d: init %v; only the first has one", n, e.Init)
		}
		if e.CPU <= 0 || e.PeakBytes < 1<<20 || e.Duration <= 0 {
			t.Errorf("call %d: not metered: %+v", n, short(e))
		}
	}
}

func short(e Ending) Ending {
	e.Payload = e.Payload[:min(len(e.Payload), 200)]
	return e
}

func TestFailures(t *testing.T) {
	for _, test := range []struct {
		mode, kind, message string
		cause               spillway.Cause
		gone                bool
	}{
		{"error", "errorString", "flaky was asked to fail", spillway.CauseNone, false},
		{"panic", "string", "flaky was asked to panic", spillway.CauseNone, true},
		{"exit", "Runtime.ExitError", `"RequestId: id Error: Runtime exited with error: exit status 7"`, spillway.CauseCrashed, true},
		{"oversized", "Function.ResponseSizeTooLarge", "(6291456 bytes)", spillway.CauseTooLarge, true},
	} {
		t.Run(test.mode, func(t *testing.T) {
			i := start(t, configOf(t, "flaky"))
			e := i.Invoke(context.Background(), event("id", `{"mode":"`+test.mode+`"}`))
			if !e.Delivered || e.Cause != test.cause || e.FunctionError != spillway.FunctionUnhandled || e.ErrorType != test.kind {
				t.Fatalf("ending %+v %s", short(e), e.Payload)
			}
			if !strings.Contains(string(e.Payload), test.message) {
				t.Errorf("payload %.200s, want %s", e.Payload, test.message)
			}
			if test.gone {
				<-i.Done() // a runtime that gives up after its answer may first ask again
				if again := i.Invoke(context.Background(), event("id2", `{}`)); again.Delivered || !again.InstanceGone {
					t.Errorf("a dead instance took a call: %+v", again)
				}
				return
			}
			if again := i.Invoke(context.Background(), event("id2", `{}`)); again.FunctionError != "" {
				t.Errorf("the instance did not survive: %s", again.Payload)
			}
		})
	}
}

func TestTimeoutKillsTheWholeGroup(t *testing.T) {
	c := configOf(t, "probe")
	i := start(t, c)
	ev := event("id", `{"do":"child","file":"`+c.Scratch+`/pid"}`)
	ev.Deadline = time.Now().Add(1500 * time.Millisecond)
	e := i.Invoke(context.Background(), ev)
	if e.Cause != spillway.CauseTimeout || !e.InstanceGone || !strings.Contains(string(e.Payload), "Task timed out after 1.") {
		t.Fatalf("%+v %s", e, e.Payload)
	}
	child, err := os.ReadFile(c.Scratch + "/pid")
	if err != nil {
		t.Fatalf("the function did not fork: %v", err)
	}
	if state, _ := stateOf(atoi(t, string(child))); state != 0 && state != 'Z' {
		t.Errorf("grandchild %s is in state %c", child, state)
	}
}

func TestCancelKills(t *testing.T) {
	i := start(t, configOf(t, "flaky"))
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	e := i.Invoke(ctx, event("id", `{"mode":"hang"}`))
	if e.Cause != spillway.CauseCancelled || !e.Delivered || !e.InstanceGone {
		t.Fatalf("%+v", e)
	}
}

func TestStartFailures(t *testing.T) {
	for _, test := range []struct {
		name, kind string
		change     func(*Config)
	}{
		{"missing", "Runtime.InvalidEntrypoint", func(c *Config) { c.Command = []string{"/does/not/exist"} }},
		{"exits", "Runtime.ExitError", func(c *Config) { c.Env = []string{"PROBE_INIT=exit"} }},
		{"reports", "Probe.InitBroken", func(c *Config) { c.Env = []string{"PROBE_INIT=error"} }},
		{"hangs", "Runtime.InitTimeout", func(c *Config) { c.Env = []string{"PROBE_INIT=hang"}; c.InitTimeout = 100 * time.Millisecond }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := configOf(t, "probe")
			test.change(&c)
			_, err := Start(context.Background(), c)
			var start *pools.StartError
			if !errors.As(err, &start) || start.Type != test.kind {
				t.Fatalf("error %v, want %s", err, test.kind)
			}
		})
	}
}

// TestStartTooLate says where the function was awaited and for how long, whoever's clock
// ended the wait.
func TestStartTooLate(t *testing.T) {
	for name, limits := range map[string][2]time.Duration{"init timeout": {100 * time.Millisecond, time.Hour}, "deadline": {time.Hour, 100 * time.Millisecond}} {
		for _, c := range []Config{configOf(t, "probe"), webConfig(t)} {
			c.Env, c.InitTimeout = []string{"PROBE_INIT=hang"}, limits[0]
			ctx, cancel := context.WithTimeout(context.Background(), limits[1])
			_, err := Start(ctx, c)
			cancel()
			var start *pools.StartError
			if !errors.As(err, &start) || start.Type != "Runtime.InitTimeout" || !strings.Contains(err.Error(), "init timeout is "+limits[0].String()) {
				t.Errorf("%s, %s: %v", name, c.Name, err)
			}
			if c.Web && !regexp.MustCompile(`on 127\.0\.0\.1:[23]\d{4}, its PORT`).MatchString(err.Error()) {
				t.Errorf("%s: no port in %v", name, err)
			}
		}
	}
}

func TestEnvironmentIsClean(t *testing.T) {
	c := configOf(t, "probe")
	c.Env = []string{"GREETING=hi", "AWS_LAMBDA_RUNTIME_API=elsewhere", "TZ=Europe/Berlin"}
	e := start(t, c).Invoke(context.Background(), event("id", `{"do":"env"}`))
	for _, want := range []string{"GREETING=hi", "TZ=Europe/Berlin", "AWS_LAMBDA_RUNTIME_API=127.0.0.1:", "LAMBDA_TASK_ROOT=" + binaries,
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/probe", "TMPDIR=" + c.Scratch, "fd 2"} {
		if !strings.Contains(string(e.Payload), want) {
			t.Errorf("no %s in %s", want, e.Payload)
		}
	}
	for _, not := range []string{canary, "secret of the server", "elsewhere", "pipe:[0"} {
		if strings.Contains(string(e.Payload), not) {
			t.Errorf("%s reached the function: %s", not, e.Payload)
		}
	}
}

func TestLogTail(t *testing.T) {
	var log textsink.Sink
	c := configOf(t, "probe")
	c.Log = &log
	i := start(t, c)
	ev := event("id-1", `{"do":"print","text":"hello"}`)
	ev.LogTail = true
	tail := string(i.Invoke(context.Background(), ev).LogTail)
	lines := strings.Split(strings.TrimSuffix(tail, "\n"), "\n")
	if len(lines) != 4 || lines[0] != "START RequestId: id-1 Version: $LATEST" || lines[1] != "hello" || lines[2] != "END RequestId: id-1" ||
		!strings.HasPrefix(lines[3], "REPORT RequestId: id-1\tDuration: ") || !strings.Contains(lines[3], "\tMemory Size: 128 MB\t") || !strings.Contains(lines[3], "Init Duration: ") {
		t.Fatalf("tail %q", tail)
	}
	ev = event("id-2", `{"do":"print","text":"`+strings.Repeat("z", 9000)+`"}`)
	ev.LogTail = true
	if tail := i.Invoke(context.Background(), ev).LogTail; len(tail) != pools.MaxLogTail || !strings.Contains(string(tail), "REPORT RequestId: id-2") {
		t.Errorf("tail has %d bytes", len(tail))
	}
	if e := i.Invoke(context.Background(), event("id-3", `{}`)); e.LogTail != nil {
		t.Error("a tail nobody asked for")
	}
	if all := log.String(); !strings.Contains(all, "hello\nEND RequestId: id-1") || strings.Count(all, "REPORT ") != 3 {
		t.Errorf("log %.300q", all)
	}
}

func TestOneAtATimeAndStopRaces(t *testing.T) {
	for range 5 {
		i := start(t, configOf(t, "echo"))
		var calls sync.WaitGroup
		for n := range 8 {
			calls.Go(func() {
				e := i.Invoke(context.Background(), event(fmt.Sprint(n), `1`))
				if e.Delivered && e.Cause == spillway.CauseNone && string(e.Payload) != `1` {
					t.Errorf("ending %+v", e)
				}
			})
		}
		calls.Go(i.Stop)
		calls.Wait()
		<-i.Done()
	}
}

func atoi(t *testing.T, s string) (n int) {
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
