package main

import (
	"bufio"
	"context"
	"encoding/json"
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
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spillway-dev/spillway/dispatcher"
)

// readyWithin bounds how long a script waits for a server before it gives up.
const readyWithin = time.Minute

func TestScripts(t *testing.T) {
	functions := functionsBuilder(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // or every command lasts a second longer
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"ready":    ready,
			"inflight": inflight,
			"serves":   serves,
			"sigterm":  sigterm,
			"follows":  follows,
			"field":    field,
			"asks":     asks,
			"killed":   killed,
			"function": func(ts *testscript.TestScript, _ bool, args []string) { functions(ts, args) },
		},
	})
}

// exits CODE PROGRAM ARG… runs a program that must end with CODE.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		code, err = ended.ExitCode(), nil
	}
	ts.Check(err)
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// ready DATA waits until the server that keeps its data there serves, and sets
// SPILLWAY_SERVER and SPILLWAY_ADMIN.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	watcher, err := fsnotify.NewWatcher()
	ts.Check(err)
	defer watcher.Close()
	ts.Check(watcher.Add(dir))
	late := time.After(readyWithin)
	for {
		text, err := os.ReadFile(filepath.Join(dir, stateFile))
		if err == nil {
			var at addresses
			ts.Check(json.Unmarshal(text, &at))
			ts.Setenv("SPILLWAY_SERVER", at.Front)
			ts.Setenv("SPILLWAY_ADMIN", at.Admin)
			return
		}
		select {
		case <-watcher.Events:
		case <-late:
			ts.Fatalf("no %s in %s", stateFile, dir)
		}
	}
}

// follows FUNCTION LINE EVENT follows a function's log from its end, calls it until
// a line holds LINE, and interrupts the log, which must end well.
func follows(ts *testscript.TestScript, _ bool, args []string) {
	program := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "spillway")
	log := exec.Command(program, "logs", "-f", args[0], "--tail", "0")
	log.Env = append(os.Environ(), "SPILLWAY_ADMIN="+ts.Getenv("SPILLWAY_ADMIN"))
	out, err := log.StdoutPipe()
	ts.Check(err)
	ts.Check(log.Start())
	found := make(chan bool)
	go func() {
		lines := bufio.NewScanner(out)
		seen := false
		for lines.Scan() {
			if !seen && strings.Contains(lines.Text(), args[1]) {
				seen = true
				found <- true
			}
		}
		close(found)
	}()
	late := time.After(readyWithin)
	for seen := false; !seen; {
		ts.Check(ts.Exec("spillway", "invoke", args[0], "-d", args[2]))
		select {
		case ok := <-found:
			if seen = ok; !ok {
				ts.Fatalf("the log ended by itself: %v", log.Wait())
			}
		case <-late:
			ts.Fatalf("no line with %s", args[1])
		case <-time.After(50 * time.Millisecond): // call again: the log may not have been open
		}
	}
	ts.Check(log.Process.Signal(os.Interrupt))
	<-found
	ts.Check(log.Wait())
}

// inflight waits until the server has a call in flight.
func inflight(ts *testscript.TestScript, _ bool, _ []string) {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	late := time.After(readyWithin)
	for {
		text, err := ask(context.Background(), must(baseURL("--admin", ts.Getenv("SPILLWAY_ADMIN"))).JoinPath("v1", "quota"))
		ts.Check(err)
		var view dispatcher.View
		ts.Check(json.Unmarshal(text, &view))
		if view.InFlight > 0 {
			return
		}
		select {
		case <-poll.C:
		case <-late:
			ts.Fatalf("no call in flight")
		}
	}
}

// serves GENERATION waits until the server serves that configuration, or has
// refused one if it is "refused".
func serves(ts *testscript.TestScript, _ bool, args []string) {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	late := time.After(readyWithin)
	for {
		said, err := fromAdmin[reloaded](context.Background(), ts.Getenv("SPILLWAY_ADMIN"), "v1", "config")
		ts.Check(err)
		if args[0] == "refused" && said.Error != "" || args[0] == strconv.FormatInt(said.Generation, 10) && said.Error == "" {
			return
		}
		select {
		case <-poll.C:
		case <-late:
			ts.Fatalf("it serves %+v", said)
		}
	}
}

// sigterm DATA asks the server that keeps its data there to end.
func sigterm(ts *testscript.TestScript, _ bool, args []string) {
	var at addresses
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(args[0], stateFile))), &at))
	ts.Check(syscall.Kill(at.PID, syscall.SIGTERM))
}

// killed DATA kills the server that keeps its data there, without warning.
func killed(ts *testscript.TestScript, _ bool, args []string) {
	path := filepath.Join(args[0], stateFile)
	var at addresses
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(path)), &at))
	ts.Check(os.Remove(ts.MkAbs(path)))
	ts.Check(syscall.Kill(at.PID, syscall.SIGKILL))
}

// asks STATUS METHOD PATH [FILE] sends a file to the admin port; the answer is the
// script's stdout.
func asks(ts *testscript.TestScript, _ bool, args []string) {
	body := ""
	if len(args) > 3 {
		body = ts.ReadFile(args[3])
	}
	r, err := http.NewRequest(args[1], ts.Getenv("SPILLWAY_ADMIN")+"/"+args[2], strings.NewReader(body))
	ts.Check(err)
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	text, err := io.ReadAll(answer.Body)
	ts.Check(errors.Join(err, answer.Body.Close()))
	fmt.Fprint(ts.Stdout(), string(text))
	if strconv.Itoa(answer.StatusCode) != args[0] {
		ts.Fatalf("answered %s: %s", answer.Status, text)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// field FILE NAME VARIABLE sets a variable to a text field of a JSON object.
func field(ts *testscript.TestScript, _ bool, args []string) {
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &object))
	text, ok := object[args[1]].(string)
	if !ok {
		ts.Fatalf("%s has no text %s", args[0], args[1])
	}
	ts.Setenv(args[2], text)
}

// functionsBuilder returns the script command "function NAME DIR": it puts an
// example function into DIR as a package. Each is built once.
func functionsBuilder(t *testing.T) func(*testscript.TestScript, []string) {
	cache, root := t.TempDir(), repository(t)
	var mu sync.Mutex
	return func(ts *testscript.TestScript, args []string) {
		mu.Lock()
		defer mu.Unlock()
		built := filepath.Join(cache, args[0])
		if _, err := os.Stat(built); err != nil {
			build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", built, "./examples/functions/"+args[0])
			build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
			out, err := build.CombinedOutput()
			if err != nil {
				ts.Fatalf("build %s: %v\n%s", args[0], err, out)
			}
		}
		dir := ts.MkAbs(args[1])
		ts.Check(os.MkdirAll(dir, 0o755))
		text, err := os.ReadFile(built)
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(dir, "bootstrap"), text, 0o755))
	}
}

func repository(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
