package scf

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway/agent"
)

var binaries string // folder of the example functions

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "scf-test-")
	if err != nil {
		panic(err)
	}
	binaries = dir
	if out, err := exec.Command("go", "build", "-o", dir+"/", "../../examples/functions/echo", "../../examples/functions/flaky").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, out))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// platform is SCF's side of the custom-runtime API: it hands over events one after
// another and notes what comes back.
type platform struct {
	*httptest.Server
	limit  string // Time_Limit_In_Ms
	refuse string // path that is answered 500

	mu   sync.Mutex
	said []string // path and body
	left []string // events not handed over
	done chan struct{}
}

func newPlatform(t *testing.T, events ...string) *platform {
	p := &platform{limit: "30000", left: events, done: make(chan struct{})}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.Path, "/runtime/")
	p.mu.Lock()
	p.said = append(p.said, strings.TrimSpace(path+" "+string(body)))
	ended := path == "invocation/next" && len(p.left) == 0
	if ended {
		close(p.done)
	}
	p.mu.Unlock()
	switch {
	case ended:
		<-r.Context().Done()
	case path == p.refuse:
		w.WriteHeader(http.StatusInternalServerError)
	case path == "invocation/next":
		p.mu.Lock()
		event := p.left[0]
		p.left = p.left[1:]
		p.mu.Unlock()
		w.Header()["Request_Id"] = []string{"req-1"}
		w.Header()["Time_Limit_In_Ms"] = []string{p.limit}
		fmt.Fprint(w, event)
	}
}

// run serves the events of p with a function of the examples until there are none
// left, and returns what was said.
func (p *platform) run(t *testing.T, command ...string) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		failed <- Run(ctx, Config{API: p.Listener.Addr().String(), Function: agent.Config{
			Name: "fn", TaskRoot: "/", Scratch: t.TempDir(), Command: command, InitTimeout: 5 * time.Second}})
	}()
	var err error
	select {
	case <-p.done:
		cancel()
		<-failed
	case err = <-failed:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.said), func(s string) bool { return s == "invocation/next" }), err
}

func binary(name string) string { return filepath.Join(binaries, name) }

func TestServes(t *testing.T) {
	p := newPlatform(t, `{"a":1}`, `{"$spillway":{"custom":{}},"b":2}`, `{"$spillway":null,"$event":[3]}`)
	said, err := p.run(t, binary("echo"))
	want := []string{"init/ready", `invocation/response {"a":1}`, `invocation/response {"b":2}`, `invocation/response [3]`}
	if err != nil || !slices.Equal(said, want) {
		t.Errorf("%v\ngot  %q\nwant %q", err, said, want)
	}
}

// TestSurvives: errors, a crash and a time limit are answered, and the next event
// finds a function again, without another init/ready.
func TestSurvives(t *testing.T) {
	p := newPlatform(t, `{"mode":"error"}`, `{"mode":"exit"}`, `{"mode":"panic"}`, `{"mode":"hang"}`, `{}`)
	p.limit = "1000"
	said, err := p.run(t, binary("flaky"))
	if err != nil || len(said) != 6 || said[0] != "init/ready" || !strings.HasPrefix(said[5], "invocation/response ") {
		t.Fatalf("%v %q", err, said)
	}
	for i, says := range []string{`"errorType":"errorString"`, `"errorType":"Runtime.ExitError"`, `flaky was asked to panic`, `"errorType":"Sandbox.Timedout"`} {
		if !strings.HasPrefix(said[i+1], "invocation/error {") || !strings.Contains(said[i+1], says) {
			t.Errorf("%q does not say %s", said[i+1], says)
		}
	}
}

func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*platform)
		command string
		says    string
	}{
		"no program":    {func(*platform) {}, "/does/not/exist", "Runtime.InvalidEntrypoint"},
		"ready refused": {func(p *platform) { p.refuse = "init/ready" }, binary("echo"), "post init/ready to SCF: it answered 500"},
		"next refused":  {func(p *platform) { p.refuse = "invocation/next" }, binary("echo"), "it answered 500"},
		"lost answer":   {func(p *platform) { p.refuse = "invocation/response" }, binary("echo"), "post invocation/response to SCF"},
		"no limit":      {func(p *platform) { p.limit = "0" }, binary("echo"), "Time_Limit_In_Ms"},
	} {
		p := newPlatform(t, `{}`)
		c.change(p)
		if _, err := p.run(t, c.command); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFromEnvironment(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"lambda/bootstrap", "tool"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"SCF_RUNTIME_API=10.0.0.1", "SCF_RUNTIME_API_PORT=9001", "SCF_FUNCTIONNAME=orders", "SCF_FUNCTIONVERSION=3", "_HANDLER=main", "TMPDIR=/scratch", "GREETING=hi"}
	c, err := FromEnvironment(env, root, nil)
	f := c.Function
	if err != nil || c.API != "10.0.0.1:9001" || f.Name != "orders" || f.Version != "3" || f.Handler != "main" || f.Scratch != "/scratch" ||
		f.TaskRoot != filepath.Join(root, "lambda") || f.Command[0] != filepath.Join(root, "lambda/bootstrap") ||
		!slices.Contains(f.Env, "GREETING=hi") || strings.Contains(strings.Join(f.Env, " "), "RUNTIME_API") {
		t.Errorf("%v %+v", err, c)
	}
	for command, want := range map[string]string{"tool": filepath.Join(root, "tool"), "sh": "", "/bin/sh": "/bin/sh"} {
		c, err := FromEnvironment(env, root, []string{command, "-x"})
		if got := c.Function.Command; err != nil || len(got) != 2 || want != "" && got[0] != want || !filepath.IsAbs(got[0]) || c.Function.TaskRoot != root {
			t.Errorf("%s: %v %+v", command, err, c.Function)
		}
	}
	for name, c := range map[string]struct {
		env     []string
		command []string
		says    string
	}{
		"not SCF":      {nil, nil, "not an SCF custom runtime"},
		"half":         {env[:1], nil, "not an SCF custom runtime"},
		"nothing here": {env, []string{"nowhere-to-be-found"}, "put the Lambda package into the folder lambda"},
		"a folder":     {env, []string{"lambda"}, "is not an executable file"},
	} {
		if _, err := FromEnvironment(c.env, root, c.command); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzEvent(f *testing.F) {
	f.Add("req-1", "3000", []byte(`{"$spillway":{},"a":1}`))
	f.Add("", "-1", []byte(nil))
	f.Add("x", "9223372036854775807", []byte(`1`))
	now := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, id, limit string, body []byte) {
		e, err := parseEvent(http.Header{"Request_id": {id}, "Time_limit_in_ms": {limit}}, body, now)
		if err == nil && (e.ID == "" || !e.Deadline.After(now)) {
			t.Errorf("%q %q became %+v", id, limit, e)
		}
	})
}
